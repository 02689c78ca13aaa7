package keeper

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/operation"
)

// operationLock lets one operation at a time change the cluster. The operation that takes the cluster down preempts the one under
// way, and no other begins before it. A channel is the lock itself, so that waiting for it can be cancelled.
type operationLock struct {
	slot chan struct{}   // full while the lock is held
	life context.Context // the keeper's

	mu     sync.Mutex              // guards what is below; held for reads and writes of memory only
	busy   string                  // the operation that holds the lock, and its client, as text
	cancel context.CancelCauseFunc // preempts the operation that holds it; nil if there is none, or it takes the cluster down
	downs  int                     // requests to take the cluster down
}

// heldLock is the lock in the hands of one operation.
type heldLock struct {
	ctx       context.Context // the request's, which also ends when the operation is preempted
	preempted context.Context // ends when the operation is preempted
	release   func()
}

func newOperationLock(life context.Context) *operationLock {
	return &operationLock{slot: make(chan struct{}, 1), life: life}
}

// acquire waits for the lock, and tells the client who holds it.
func (l *operationLock) acquire(ctx context.Context, req control.Request, emit func(control.Event)) (*heldLock, error) {
	if err := l.wait(ctx, emit); err != nil {
		return nil, err
	}
	preempted, preempt := context.WithCancelCause(context.Background())
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(preempted, func() { cancel(context.Cause(preempted)) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusal(req.Op); err != nil {
		preempt(nil)
		l.unlock()
		return nil, err
	}
	l.busy = strings.TrimSpace(string(req.Op) + " " + req.From)
	if req.Op != control.OpDown {
		l.cancel = preempt
	}
	return &heldLock{ctx: ctx, preempted: preempted, release: func() {
		preempt(nil)
		l.mu.Lock()
		l.busy, l.cancel = "", nil
		l.mu.Unlock()
		l.unlock()
	}}, nil
}

// wait returns when the caller has the lock.
func (l *operationLock) wait(ctx context.Context, emit func(control.Event)) error {
	select {
	case l.slot <- struct{}{}:
		return nil
	default:
	}
	by := l.holder()
	emit(control.Event{Time: time.Now(), Phase: "waiting", Text: "for " + by})
	select {
	case l.slot <- struct{}{}:
		return nil
	case <-l.life.Done():
		return control.ErrBusy
	case <-ctx.Done():
	}
	if l.life.Err() != nil {
		return control.ErrBusy
	}
	return fmt.Errorf("wait for %s: %w", by, context.Cause(ctx))
}

func (l *operationLock) unlock() { <-l.slot }

// holder is the operation that holds the lock, "" without one.
func (l *operationLock) holder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy
}

// refusal says why an operation that has the lock may not begin, nil if it may. mu is held.
func (l *operationLock) refusal(op control.Op) error {
	switch {
	case l.life.Err() != nil:
		return control.ErrBusy
	case op != control.OpDown && l.downs > 0:
		return &control.Error{Why: operation.ErrPreempted.Error()}
	}
	return nil
}

// preempt ends the operation under way, and lets no other begin until done is called: the cluster is to be taken down, and
// nobody needs what they are at.
func (l *operationLock) preempt() (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.downs++
	if l.cancel != nil {
		l.cancel(operation.ErrPreempted)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.downs--
	}
}
