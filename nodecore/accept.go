package nodecore

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Pauses between attempts to accept, while that fails.
const (
	acceptMin = 5 * time.Millisecond
	acceptMax = 500 * time.Millisecond
)

// steadyListener is a listener whose Accept fails only when it is closed: what
// passes (no file descriptor, no memory) is waited for, so that no loop over
// Accept ends for it. All listeners of a node are such ones.
type steadyListener struct {
	net.Listener
	name   string
	log    *slog.Logger
	closed chan struct{}
	once   sync.Once
	err    error // of Close
}

func newSteadyListener(l net.Listener, name string, log *slog.Logger) *steadyListener {
	return &steadyListener{Listener: l, name: name, log: log, closed: make(chan struct{})}
}

// SyscallConn implements syscall.Conn, if the listener does.
func (s *steadyListener) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := s.Listener.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Accept implements net.Listener.
func (s *steadyListener) Accept() (net.Conn, error) {
	for pause := acceptMin; ; pause = min(2*pause, acceptMax) {
		conn, err := s.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		if pause == acceptMin {
			s.log.Warn("accept connection", "listener", s.name, "error", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.closed:
			t.Stop()
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener; it may be called twice.
func (s *steadyListener) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.err = s.Listener.Close()
	})
	return s.err
}
