package launcher

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onemore/launcher/internal/control"
)

// TestSilentKeeper: a request with a time limit ends though its keeper takes it and never answers; the error names the way out.
func TestSilentKeeper(t *testing.T) {
	dir, err := os.MkdirTemp("", "om") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, control.SocketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go keepSilent(ln)
	// The time was over, and what it may be undone in nearly so, before the request is sent to a keeper that is connected.
	l := &keeperLink{folder: folder{name: "c", dir: dir}, timeout: time.Second}
	l.began = time.Now().Add(50*time.Millisecond - undoTimeout - l.timeout)
	conn, err := l.dial()
	if err != nil {
		t.Fatal(err)
	}
	client := make(chan *control.Client, 1)
	client <- conn
	l.prestarted.client = client
	_, err = l.do(t.Context(), control.Request{Op: control.OpStop})
	fail, ok := errors.AsType[*Failure](err)
	if !ok || !strings.Contains(fail.Why, "not done within 1s, and the cluster's keeper") || !strings.Contains(fail.Hint, "onemore down") {
		t.Errorf("error %v", err)
	}
}

// keepSilent accepts connections and answers nothing.
func keepSilent(ln net.Listener) {
	var conns []net.Conn
	for {
		conn, err := ln.Accept()
		if err != nil {
			break
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// TestTimeOver: an error of what was ended by the time limit says so, and the way out.
func TestTimeOver(t *testing.T) {
	l := &keeperLink{timeout: time.Nanosecond}
	ctx, cancel := l.bounded(t.Context(), 0)
	defer cancel()
	<-ctx.Done()
	for _, err := range []error{ctx.Err(), errors.New("some part of it")} {
		fail, ok := errors.AsType[*Failure](timedOut(ctx, err))
		if !ok || !strings.Contains(fail.Why, "not done within 1ns") || fail.Hint != control.MoreTimeHint {
			t.Errorf("error %v", fail)
		}
	}
	forever := &keeperLink{timeout: NoTimeout}
	ctx, cancel = forever.bounded(t.Context(), 0)
	defer cancel()
	if ctx.Err() != nil {
		t.Errorf("no limit is over: %v", ctx.Err())
	}
	if err := timedOut(ctx, errOverdue); err != errOverdue {
		t.Errorf("an error where no time is over became %v", err)
	}
}
