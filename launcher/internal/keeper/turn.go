package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// errTakenDown is the cause of an operation that was ended because somebody wants the cluster gone.
var errTakenDown = errors.New("the cluster is being taken down by somebody else")

// take waits for the turn to change the cluster, and tells the client who is at it. The context that it returns also ends
// when the cluster is to be taken down.
func (k *Keeper) take(ctx context.Context, req Request, emit func(Event)) (_ context.Context, release func(), err error) {
	if err := k.await(ctx, emit); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refuse(req.Op); err != nil {
		cancel(nil)
		<-k.turn
		return nil, nil, err
	}
	k.busy = strings.TrimSpace(string(req.Op) + " " + req.From)
	if req.Op != OpDown {
		k.cancel = cancel
	}
	return ctx, func() {
		cancel(nil)
		k.mu.Lock()
		k.busy, k.cancel = "", nil
		k.mu.Unlock()
		<-k.turn
	}, nil
}

// await returns when the turn is the caller's.
func (k *Keeper) await(ctx context.Context, emit func(Event)) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	default:
	}
	k.mu.Lock()
	by := k.busy
	k.mu.Unlock()
	emit(Event{Time: time.Now(), Phase: "waiting", Text: "for " + by})
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-k.life.Done():
		return errTaken
	case <-ctx.Done():
	}
	if k.life.Err() != nil {
		return errTaken
	}
	return fmt.Errorf("wait for %s: %w", by, context.Cause(ctx))
}

// refuse says why an operation that has the turn may not begin. mu is held.
func (k *Keeper) refuse(op Op) error {
	switch {
	case k.life.Err() != nil:
		return errTaken
	case op != OpDown && k.downs > 0:
		return &Error{Why: errTakenDown.Error()}
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
	return &Error{Phase: fmt.Sprintf("take charge of cluster %q", filepath.Base(k.dir)), Why: k.broken.Error(),
		Hint: "`onemore down` removes it, with its data; what you want to keep of " + k.dir + ", copy first"}
}
