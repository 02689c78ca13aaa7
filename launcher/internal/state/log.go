package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Log is an append-only log of JSON lines, bounded in size: when a file reaches
// half the limit it becomes PATH.1, in place of an older one. One process at a
// time may write it; its methods are safe for concurrent use.
type Log struct {
	path  string
	limit int64

	mu   sync.Mutex
	file *os.File // nil after Close
	size int64
}

// OpenLog opens the log at the path for appending and makes it, with mode 0600,
// when it is missing. limit is in bytes, for both files together.
func OpenLog(path string, limit int64) (*Log, error) {
	l := &Log{path: path, limit: limit}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open log %q: %w", path, bare(err))
	}
	return l, nil
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := endLine(f)
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, size
	return nil
}

// endLine completes a last line that a crash tore, so that the next record
// starts on its own line, and returns the size of the file.
func endLine(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return size, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	n, err := f.Write([]byte{'\n'})
	return size + int64(n), err
}

// Append writes v as one line.
func (l *Log) Append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record of log %q: %w", l.path, err)
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return fmt.Errorf("append to log %q: %w", l.path, fs.ErrClosed)
	}
	if l.size > 0 && l.size+int64(len(line)) > l.limit/2 {
		if err := l.rotate(); err != nil {
			return fmt.Errorf("rotate log %q: %w", l.path, bare(err))
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err != nil {
		return fmt.Errorf("append to log %q: %w", l.path, bare(err))
	}
	return nil
}

// rotate leaves the old file open, in use and in its place when it fails.
func (l *Log) rotate() error {
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return err
	}
	old := l.file
	if err := l.open(); err != nil {
		return errors.Join(err, os.Rename(l.path+".1", l.path))
	}
	return old.Close()
}

// Close closes the log. It may be called twice.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// ReadLog returns the records of the log at the path, oldest first, and how many
// lines were left out because a crash had torn them. A missing log is empty.
func ReadLog[T any](path string) (records []T, torn int, err error) {
	for _, p := range []string{path + ".1", path} {
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read log %q: %w", p, bare(err))
		}
		for line := range bytes.Lines(b) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			var r T
			if err := json.Unmarshal(line, &r); err != nil {
				torn++
				continue
			}
			records = append(records, r)
		}
	}
	return records, torn, nil
}
