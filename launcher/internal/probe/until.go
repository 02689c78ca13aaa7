package probe

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The pause between two polls of Until is a share of the time waited so far, so that little is added to a wait of any
// length, between two bounds.
const (
	pauseShare = 10
	firstPause = 2 * time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// permanent marks an error that no waiting will mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// lasting is an error that knows whether another try is of use, such as that of a program that is not there.
type lasting interface {
	error
	Permanent() bool
}

// Permanent makes Until give up at once with the error.
func Permanent(err error) error { return permanent{err} }

// Until calls f until it returns nil, or an error that is Permanent or wraps one
// that says so of itself, in short pauses that grow, or at once when something is
// received from poke, which may be nil. When the context is done, the error wraps
// why, and f's last error before that. The wait has no bound but the context's.
func Until(ctx context.Context, poke <-chan struct{}, f func(context.Context) error) error {
	var last error
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return gaveUp(ctx, last)
		case _, ok := <-poke:
			if !ok {
				poke = nil // a closed channel would never pause
			}
		case <-timer.C:
		}
		err := f(ctx)
		if err == nil {
			return nil
		}
		if p, ok := errors.AsType[permanent](err); ok {
			return p.error
		}
		if e, ok := errors.AsType[lasting](err); ok && e.Permanent() {
			return err
		}
		// The end of the context itself is no reason: keep the one before it.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		timer.Reset(min(max(time.Since(begin)/pauseShare, firstPause), lastPause))
	}
}

func gaveUp(ctx context.Context, last error) error {
	why := context.Cause(ctx)
	if errors.Is(why, context.DeadlineExceeded) {
		why = timedOut{why}
	}
	if last == nil {
		return why
	}
	return fmt.Errorf("%w: %w", why, last)
}

// timedOut has words for people.
type timedOut struct{ error }

func (timedOut) Error() string   { return "timed out" }
func (t timedOut) Unwrap() error { return t.error }
