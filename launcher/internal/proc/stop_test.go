package proc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopTermThenKill(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	mark := markFor(t)
	var ids []ID
	for _, role := range []string{"block", "stubborn", "parent:block", "parent:stubborn"} {
		spec, lines := program(t, role)
		spec.Env = append(spec.Env, "PROC_TEST_MARK="+mark)
		p := start(t, s, spec)
		readLine(t, lines)
		ids = append(ids, p.ID())
	}
	find := func() ([]ID, error) {
		found, err := markedWith(mark)
		return IDs(found), err
	}
	killed, err := Stop(t.Context(), find, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(killed) != 2 || !slices.Contains(killed, ids[1]) {
		t.Errorf("killed %v, want the two that ignore TERM, with %v", killed, ids[1])
	}
	if left, err := find(); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if killed, err := Stop(t.Context(), find, time.Minute); err != nil || len(killed) != 0 {
		t.Errorf("stop of nothing: got %v, %v", killed, err)
	}
}

func TestStopEndsPaused(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "block")
	p := start(t, s, spec)
	readLine(t, lines)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	killed, err := Stop(t.Context(), func() ([]ID, error) { return []ID{p.ID()}, nil }, time.Minute)
	if err != nil || len(killed) != 0 {
		t.Errorf("got %v, %v, want an end by TERM", killed, err)
	}
	if got := p.Exit(); got.Signal != syscall.SIGTERM {
		t.Errorf("ended with %v", got)
	}
}

func TestStopCancelled(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "stubborn")
	p := start(t, s, spec)
	readLine(t, lines)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Stop(ctx, func() ([]ID, error) { return []ID{p.ID()}, nil }, time.Minute)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.ID().String()) {
		t.Errorf("got %v, want a deadline error that names %v", err, p.ID())
	}
	broken := errors.New("cannot look")
	if _, err := Stop(t.Context(), func() ([]ID, error) { return nil, broken }, time.Minute); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of find", err)
	}
}

func TestSpawnerCloseKillsAndRefuses(t *testing.T) {
	s := NewSpawner(SpawnerOptions{Reap: true})
	var all []*Process
	for range 5 {
		spec, lines := program(t, "stubborn")
		all = append(all, start(t, s, spec))
		readLine(t, lines)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		if got := p.Exit(); got.Signal != syscall.SIGKILL {
			t.Errorf("ended with %v", got)
		}
	}
	if _, err := s.Start(t.Context(), Spec{Args: []string{"true"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("start after close: got %v, want ErrClosed", err)
	}
	if _, err := s.Run(t.Context(), Spec{Args: []string{"true"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("run after close: got %v, want ErrClosed", err)
	}
}
