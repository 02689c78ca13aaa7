//go:build !linux

package proc

import (
	"context"
	"syscall"
)

// watcher names one process. Without pidfds a signal is sent right after the
// identity was checked, which leaves a gap of microseconds.
type watcher struct{ id ID }

func watch(id ID) (*watcher, error) {
	if err := verify(id); err != nil {
		return nil, err
	}
	return &watcher{id: id}, nil
}

func (w *watcher) Close() error { return nil }

func (w *watcher) signal(sig syscall.Signal) error {
	if err := verify(w.id); err != nil {
		return err
	}
	return gone(syscall.Kill(w.id.PID, sig))
}

func (w *watcher) wait(ctx context.Context) error { return pollWait(ctx, w.id) }

// awaitExit has nothing to wait with here: the caller's own wait blocks.
func awaitExit(int) error { return nil }
