package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Signal sends sig to the process that id names, and to no other: the error
// wraps ErrGone when it is not running any more. Pids up to 1 and the calling
// process are refused.
func Signal(id ID, sig syscall.Signal) error {
	w, err := watch(id)
	if err != nil {
		return fmt.Errorf("signal %v: %w", id, err)
	}
	defer w.Close()
	if err := w.signal(sig); err != nil {
		return fmt.Errorf("signal %v with %v: %w", id, sig, err)
	}
	return nil
}

// SignalGroup sends sig to the process group that id leads. The error wraps
// ErrGone when the leader is not running any more.
func SignalGroup(id ID, sig syscall.Signal) error {
	w, err := watch(id)
	if err != nil {
		return fmt.Errorf("signal group of %v: %w", id, err)
	}
	defer w.Close()
	group, err := syscall.Getpgid(id.PID)
	if err != nil {
		return fmt.Errorf("find group of %v: %w", id, err)
	}
	if group != id.PID {
		return fmt.Errorf("signal group of %v: it leads none: %w", id, errForbidden)
	}
	if err := syscall.Kill(-group, sig); err != nil {
		return fmt.Errorf("signal group of %v with %v: %w", id, sig, err)
	}
	return nil
}

// Wait returns when the process has ended, at once when it already had, or when
// the context is done.
func Wait(ctx context.Context, id ID) error {
	w, err := watch(id)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for %v: %w", id, err)
	}
	defer w.Close()
	if err := w.wait(ctx); err != nil {
		return fmt.Errorf("wait for %v: %w", id, err)
	}
	return nil
}

// pollWait is the way to wait for a process that is not our child where the
// kernel offers no event.
func pollWait(ctx context.Context, id ID) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for Alive(id) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// verify is what every watch starts with: id may be signalled, and lives.
func verify(id ID) error {
	if err := check(id); err != nil {
		return err
	}
	if !Alive(id) {
		return ErrGone
	}
	return nil
}

// gone turns what the kernel and package os say of a missing process into
// ErrGone.
func gone(err error) error {
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return ErrGone
	}
	return err
}
