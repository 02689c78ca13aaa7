package nodecore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A lack of descriptors passes: afterwards every listener, and the control socket, serves again.
func TestAcceptGoesOnAfterLackOfDescriptors(t *testing.T) {
	var logs logBuffer
	cfg := testConfig(t, "a")
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
	n := open(t, cfg)
	waitReady(t, n)
	// Client sockets are made before, since this process is the node too.
	calls := map[string]unix.Sockaddr{"control": &unix.SockaddrUnix{Name: filepath.Join(cfg.dataDir(), controlSocket)}}
	for name := range n.sockets.addrs {
		ap := netip.MustParseAddrPort(n.Addr(name))
		calls[name] = &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	socks := map[string]int{}
	for name, to := range calls {
		family := unix.AF_INET
		if _, ok := to.(*unix.SockaddrUnix); ok {
			family = unix.AF_UNIX
		}
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		socks[name] = fd
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	defer restore()
	for name, fd := range socks {
		if err := unix.Connect(fd, calls[name]); err != nil {
			t.Fatalf("connect to %s: %v", name, err)
		}
	}
	eventually(t, func() error {
		for name := range socks {
			if !strings.Contains(logs.String(), "listener="+name+" ") {
				return fmt.Errorf("%s has not run out of descriptors: %s", name, logs.String())
			}
		}
		return nil
	})
	restore()
	if _, err := Control(t.Context(), cfg.dataDir(), ControlRequest{Op: OpStatus}); err != nil {
		t.Error(err)
	}
	var s Status
	get(t, n, "/status", &s)
	client(t, n, "c")
	b := open(t, testConfig(t, "b"))
	if err := b.Join(t.Context(), target(n)); err != nil { // by the cluster port, and the links
		t.Error(err)
	}
}

// A node that is paused, or otherwise mute, does not hold up who commands it.
func TestControlGivesUp(t *testing.T) {
	dir := t.TempDir()
	l, err := listenSocket(filepath.Join(dir, controlSocket)) // accepts by the kernel, and answers never
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	_, err = Control(ctx, dir, ControlRequest{Op: OpStatus})
	if err == nil || !strings.Contains(err.Error(), "no answer within") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*controlAnswerTime {
		t.Errorf("gave up after %v", took)
	}
}
