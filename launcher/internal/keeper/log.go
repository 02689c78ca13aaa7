package keeper

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/state"
)

// stderrLog is what the keeper's own log is written to: the process's standard error once that is a file, nothing before.
type stderrLog struct{ ready atomic.Bool }

// open makes path the standard error of the whole process, so that a panic's trace lands in it. Without the file there is no log.
func (s *stderrLog) open(path string) {
	if redirectStderr(path) == nil {
		s.ready.Store(true)
	}
}

func (s *stderrLog) Write(b []byte) (int, error) {
	if !s.ready.Load() {
		return len(b), nil
	}
	return os.Stderr.Write(b)
}

func redirectStderr(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Dup2(int(f.Fd()), 2)
}

// eventsLimit is how long the event log may become, in bytes.
const eventsLimit = 4 << 20

// eventLog is the cluster's log of events. Its methods may be called from any goroutine; while it is closed, events are dropped.
type eventLog struct{ file atomic.Pointer[state.Log] }

func (l *eventLog) open(path string) error {
	f, err := state.OpenLog(path, eventsLimit)
	if err == nil {
		l.file.Store(f)
	}
	return err
}

// record writes one event, of this moment if it has no time.
func (l *eventLog) record(e control.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if f := l.file.Load(); f != nil {
		_ = f.Append(e) // a full disk must not stop a node
	}
}

// tee returns a function that stamps events and writes them to the log besides handing them to emit.
func (l *eventLog) tee(emit func(control.Event)) func(control.Event) {
	return func(e control.Event) {
		e.Time = time.Now()
		l.record(e)
		emit(e)
	}
}

func (l *eventLog) close() {
	if f := l.file.Swap(nil); f != nil {
		_ = f.Close()
	}
}
