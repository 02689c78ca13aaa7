package keeper

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
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
	path string
	mu   sync.Mutex
	f    *os.File
	size int64
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
	return &logFile{path: path, f: f, size: fi.Size()}, nil
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
	if l.size >= logLimit {
		l.rotate()
	}
	buf := make([]byte, 0, len(LogTime)+2+len(line))
	buf = time.Now().UTC().AppendFormat(buf, LogTime)
	buf = append(append(append(buf, ' '), line...), '\n')
	n, _ := l.f.Write(buf)
	l.size += int64(n)
}

func (l *logFile) rotate() {
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
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

// tell returns the lines of a log that explain a failure: those that match want if there are any, else the last ones.
func tell(path, want string) []string {
	const most = 10
	tail := tail(path, 64<<10)
	if want != "" {
		if re, err := regexp.Compile(want); err == nil {
			var hit []string
			for _, l := range tail {
				if re.MatchString(l) {
					hit = append(hit, l)
				}
			}
			if len(hit) > 0 {
				tail = hit
			}
		}
	}
	if len(tail) > most {
		tail = tail[len(tail)-most:]
	}
	return tail
}

// tail returns the lines in the last n bytes of a log, without their times.
func tail(path string, n int64) []string {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return []string{fmt.Sprintf("(the log can't be read: %v)", err)}
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, n))
	var lines []string
	for l := range strings.Lines(string(data)) {
		l = strings.TrimRight(l, "\n")
		if len(l) > len(LogTime) {
			l = l[len(LogTime)+1:]
		}
		if strings.TrimSpace(l) != "" {
			lines = append(lines, l)
		}
	}
	return lines
}
