package proc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Stop ends every process that find returns: TERM to each, and after the grace
// period KILL. It is over only when find returns none any more, so what was
// forked meanwhile, or appears once its parent is gone, is caught too; find is
// called again each time that all known processes are gone. It returns those
// that needed KILL. A grace of 0 kills at once.
//
// find must return only processes that the caller may end: descendants of its
// own children, or marked ones. When the context is done, Stop returns with an
// error that names who is left; the processes have their TERM, but may live.
func Stop(ctx context.Context, find func() ([]ID, error), grace time.Duration) (killed []ID, err error) {
	if grace > 0 {
		inGrace, cancel := context.WithTimeout(ctx, grace)
		err := end(inGrace, find, syscall.SIGTERM, func(ID) {})
		over := inGrace.Err() != nil
		cancel()
		if err == nil || !over || ctx.Err() != nil {
			return nil, err
		}
	}
	err = end(ctx, find, syscall.SIGKILL, func(id ID) { killed = append(killed, id) })
	return killed, err
}

// end sends sig once to every process that find returns, and returns when find
// returns none. sent is called with those that got the signal while alive.
func end(ctx context.Context, find func() ([]ID, error), sig syscall.Signal, sent func(ID)) error {
	signalled := make(map[ID]bool)
	for {
		ids, err := find()
		if err != nil {
			return fmt.Errorf("stop processes: %w", err)
		}
		watchers, err := watchAll(ids)
		if err != nil {
			return fmt.Errorf("stop processes: %w", err)
		}
		if len(watchers) == 0 {
			return nil
		}
		for _, w := range watchers {
			if signalled[w.id] {
				continue
			}
			if e := w.signal(sig); e == nil {
				signalled[w.id] = true
				sent(w.id)
				_ = w.signal(syscall.SIGCONT) // a paused process gets nothing but KILL
			} else if !errors.Is(e, ErrGone) {
				err = errors.Join(err, fmt.Errorf("signal %v with %v: %w", w.id, sig, e))
			}
		}
		if err == nil {
			err = waitAll(ctx, watchers)
		}
		for _, w := range watchers {
			w.Close()
		}
		if err != nil {
			return fmt.Errorf("stop processes: %w", err)
		}
	}
}

// watchAll opens those of the processes that are alive.
func watchAll(ids []ID) ([]*watcher, error) {
	var open []*watcher
	for _, id := range ids {
		w, err := watch(id)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			for _, w := range open {
				w.Close()
			}
			return nil, fmt.Errorf("watch %v: %w", id, err)
		}
		open = append(open, w)
	}
	return open, nil
}

// waitAll waits for all at once; the error names those that still live.
func waitAll(ctx context.Context, watchers []*watcher) error {
	errs := make([]error, len(watchers))
	var wg sync.WaitGroup
	for i, w := range watchers {
		wg.Go(func() {
			if err := w.wait(ctx); err != nil {
				errs[i] = fmt.Errorf("%s (%v) still runs: %w", Name(w.id.PID), w.id, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
