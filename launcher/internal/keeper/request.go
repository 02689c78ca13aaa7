package keeper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/operation"
)

// unlimited is the time of a request that has no end.
const unlimited = 365 * 24 * time.Hour

// do carries out one request: at once where it changes nothing, else when it has the operation lock.
func (k *Keeper) do(ctx context.Context, req control.Request, emit func(control.Event)) (*control.Status, error) {
	switch req.Op {
	case control.OpStatus:
		return k.status(ctx, k.lock.holder(), true, nil), nil
	case control.OpHold:
		return nil, nil
	case control.OpDown:
		defer k.lock.preempt()()
	default:
		if err := k.damagedError(); err != nil {
			return nil, err
		}
	}
	if limit := req.Timeout; limit != 0 { // else package operation sees that it ends
		if limit < 0 {
			limit = unlimited
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit-req.Spent, control.TimeoutError(fmt.Sprintf("not done within %v", limit)))
		defer cancel()
	}
	held, err := k.lock.acquire(ctx, req, emit)
	if err != nil {
		return nil, err
	}
	defer held.release()
	audited, err := k.change(held, req, emit)
	if err != nil {
		return nil, err
	}
	if req.Op == control.OpDown {
		k.disownAll()
		k.over() // before anybody else has the lock
		return nil, nil
	}
	var recording sync.WaitGroup
	defer recording.Wait() // while this operation has the lock
	recording.Go(func() { k.recordLeaders(req.Op) })
	st := k.status(held.ctx, k.lock.holder(), false, audited)
	if st != nil {
		st.Busy = "" // this operation is over
	}
	return st, nil
}

// change carries out a request that changes the cluster. Its events are written to the event log, too. It returns the audit with which the
// operation ended, if it made one.
func (k *Keeper) change(held *heldLock, req control.Request, emit func(control.Event)) (*cluster.Audit, error) {
	o := &operation.Operation{Cluster: k.cluster, Folder: k, Log: k.log, Record: k.events.record, Preempt: held.preempted, Emit: k.events.tee(emit)}
	for _, text := range k.cluster.Host.Processes.TakeSpared() {
		o.Emit(control.Event{Phase: "left alone", Text: text})
	}
	err := o.Do(held.ctx, req)
	if err == nil {
		return o.Audited, nil
	}
	k.log.Error(string(req.Op), "err", err)
	if errors.Is(context.Cause(held.ctx), operation.ErrPreempted) {
		return nil, &control.Error{Why: operation.ErrPreempted.Error()}
	}
	return nil, err
}

// recordLeaders records, after an operation that starts processes, what finds them after a crash.
func (k *Keeper) recordLeaders(op control.Op) {
	switch op {
	case control.OpUp, control.OpStart, control.OpRestart, control.OpRestore, control.OpUpgrade:
		if err := k.cluster.Host.Processes.RecordLeaders(); err != nil {
			k.log.Warn("record the leaders of process groups", "err", err)
		}
	}
}

// status is the cluster's status, nil without a cluster. busy is the operation under way.
func (k *Keeper) status(ctx context.Context, busy string, ask bool, audited *cluster.Audit) *control.Status {
	st := k.cluster.Status(ctx, busy, ask, audited)
	if st != nil {
		st.Keeper = k.self.PID
	}
	return st
}

// damagedError is the error that the record, or what an earlier keeper left, is damaged, nil if it is not.
func (k *Keeper) damagedError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.damaged == nil {
		return nil
	}
	return &control.Error{Phase: fmt.Sprintf("take charge of cluster %q", filepath.Base(k.dir)), Why: k.damaged.Error(),
		Hint: "`onemore down` removes it, with its data; what you want to keep of " + k.dir + ", copy first"}
}
