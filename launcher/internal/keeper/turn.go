package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"onemore/launcher/internal/control"
)

// errTakenDown is the cause of an operation that was ended because somebody wants the cluster gone.
var errTakenDown = errors.New("the cluster is being taken down by somebody else")

// take waits for the turn to change the cluster, and tells the client who is at it. The context that it returns also ends
// when the cluster is to be taken down.
func (k *Keeper) take(ctx context.Context, req control.Request, emit func(control.Event)) (_ context.Context, release func(), err error) {
	if err := k.await(ctx, emit); err != nil {
		return nil, nil, err
	}
	hurry, hasten := context.WithCancelCause(context.Background())
	ctx, cancel := context.WithCancelCause(ctx)
	context.AfterFunc(hurry, func() { cancel(context.Cause(hurry)) })
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refuse(req.Op); err != nil {
		hasten(nil)
		<-k.turn
		return nil, nil, err
	}
	k.busy = strings.TrimSpace(string(req.Op) + " " + req.From)
	k.hurry = hurry
	if req.Op != control.OpDown {
		k.cancel = hasten
	}
	return ctx, func() {
		hasten(nil)
		k.mu.Lock()
		k.busy, k.cancel = "", nil
		k.mu.Unlock()
		<-k.turn
	}, nil
}

// unhurried returns a context for what is finished also when who asked for it goes: it ends with ctx's time, or when the
// cluster is to be taken down. Only who has the turn calls it, and insist.
func (k *Keeper) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadlineCause(k.hurry, at, errors.New("not done within the time given"))
	}
	return context.WithCancel(k.hurry)
}

// insist is unhurried, with a time of its own.
func (k *Keeper) insist() (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.hurry, insistTimeout)
}

// insistTimeout bounds what has to come to its end, such as that of a node that has left.
const insistTimeout = 5 * time.Minute

// await returns when the turn is the caller's.
func (k *Keeper) await(ctx context.Context, emit func(control.Event)) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	default:
	}
	k.mu.Lock()
	by := k.busy
	k.mu.Unlock()
	emit(control.Event{Time: time.Now(), Phase: "waiting", Text: "for " + by})
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-k.life.Done():
		return control.ErrBusy
	case <-ctx.Done():
	}
	if k.life.Err() != nil {
		return control.ErrBusy
	}
	return fmt.Errorf("wait for %s: %w", by, context.Cause(ctx))
}

// refuse says why an operation that has the turn may not begin. mu is held.
func (k *Keeper) refuse(op control.Op) error {
	switch {
	case k.life.Err() != nil:
		return control.ErrBusy
	case op != control.OpDown && k.downs > 0:
		return &control.Error{Why: errTakenDown.Error()}
	}
	return nil
}

// hasten ends the operation under way, and lets no other begin until done is called: the cluster is to be taken down, and
// nobody needs what they are at.
func (k *Keeper) hasten() (done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.downs++
	if k.cancel != nil {
		k.cancel(errTakenDown)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.downs--
	}
}

// standsInTheWay says what is wrong with the cluster's folder, if nothing can be done but to take the cluster down.
func (k *Keeper) standsInTheWay() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil {
		return nil
	}
	return &control.Error{Phase: fmt.Sprintf("take charge of cluster %q", filepath.Base(k.dir)), Why: k.broken.Error(),
		Hint: "`onemore down` removes it, with its data; what you want to keep of " + k.dir + ", copy first"}
}
