package node

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// A node's log holds what its processes printed, every line with its time of arrival in front. When it has logLimit
// bytes it becomes LOG.1 and a new one begins, so that one node never takes more than twice that.
const (
	logLimit   = 16 << 20
	logMaxLine = 16 << 10
	// LogTime is the form of the time in front of every line, UTC; a space follows it.
	LogTime = "2006-01-02T15:04:05.000000Z"
)

type logFile struct {
	path  string
	limit int64
	mu    sync.Mutex // guards what is below, and lets one line at a time be written: it is held while writing
	f     *os.File
	size  int64
}

func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &logFile{path: path, limit: logLimit, f: f, size: fi.Size()}, nil
}

// pipe returns the end that a process writes to; the caller closes it once the process has it. What arrives is written
// until every holder has closed it; wg waits for that.
func (l *logFile) pipe(wg *sync.WaitGroup) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	wg.Go(func() {
		defer r.Close()
		l.copy(r)
	})
	return w, nil
}

// copy stamps lines until EOF. A line longer than logMaxLine is cut in pieces.
func (l *logFile) copy(r io.Reader) {
	br := bufio.NewReaderSize(r, 4096)
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		full := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 && (!full || len(line) >= logMaxLine) {
			l.write(bytes.TrimRight(line, "\r\n"))
			line = line[:0]
		}
		if err != nil && !full {
			return
		}
	}
}

// write appends one line. A full disk loses lines, never the node.
func (l *logFile) write(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return
	}
	if l.size >= l.limit {
		l.rotate()
	}
	buf := make([]byte, 0, len(LogTime)+2+len(line))
	buf = time.Now().UTC().AppendFormat(buf, LogTime)
	buf = append(append(append(buf, ' '), line...), '\n')
	n, _ := l.f.Write(buf)
	l.size += int64(n)
}

// rotate changes nothing when it fails: the next line tries again.
func (l *logFile) rotate() {
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		_ = os.Rename(l.path+".1", l.path)
		return
	}
	l.f.Close()
	l.f, l.size = f, 0
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
