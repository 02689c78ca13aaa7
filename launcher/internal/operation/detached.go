package operation

import (
	"context"
	"errors"
	"time"
)

// detached returns a context for steps that are finished also when the client goes: it ends with ctx's time, or when the
// operation is preempted.
func (o *Operation) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadlineCause(o.Preempt, at, errors.New("not done within the time given"))
	}
	return context.WithCancel(o.Preempt)
}

// detachedTimeout bounds steps that have to be finished, such as those after a node has left.
const detachedTimeout = 5 * time.Minute

// untimed is detached, with a time of its own in the place of the request's.
func (o *Operation) untimed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(o.Preempt, detachedTimeout)
}
