package keeper

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// faults are the keeper's: those that were set, and the calls that set them again on a node that starts.
type faults struct {
	control.FaultTable
	calls map[int][]plan.Call
}

// fault makes the faults those of the request. When that fails, they are what they were. With nobody cut off any more it
// waits until the cluster has settled.
func (k *Keeper) fault(ctx context.Context, req control.Request, emit func(control.Event)) error {
	c := req.Faults
	if c == nil {
		return errors.New("fault: the request names none")
	}
	was := k.faultTable()
	if c.Base != was.Revision {
		return errOtherFaults()
	}
	if slices.EqualFunc(c.Faults, was.Faults, func(a, b control.Fault) bool { return a.Text == b.Text && slices.Equal(a.Links, b.Links) }) {
		if len(was.Faults) > 0 {
			emit(control.Event{Phase: idle, Text: "as that fault is set already"})
			return k.settle(ctx, emit)
		}
		emit(control.Event{Phase: idle, Text: "as there are no faults"}) // of ours: a node may have some that were set by hand
	}
	now := faults{control.FaultTable{Revision: was.Revision + 1, Faults: c.Faults}, c.Calls}
	if c.Own {
		if err := k.callFaults(ctx, c.Calls, emit); err != nil {
			return errors.Join(err, k.callFaults(context.WithoutCancel(ctx), c.Undo, emit))
		}
	} else if err := k.cutInKernel(ctx, now.AllLinks()); err != nil {
		return err
	}
	k.mu.Lock()
	k.faults = now
	k.mu.Unlock()
	for _, f := range c.Faults {
		k.record(control.Event{Phase: "fault", Text: f.Text}) // who asked has the list in the status
	}
	if len(c.Faults) == 0 && len(was.Faults) > 0 {
		emit(control.Event{Phase: "healed"})
	}
	return k.settle(ctx, emit)
}

func errOtherFaults() error {
	return &control.Error{Why: "the faults were changed by somebody else meanwhile", Stale: true}
}

func (k *Keeper) faultTable() control.FaultTable {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.faults.FaultTable
}

// callFaults gives every running node its orders.
func (k *Keeper) callFaults(ctx context.Context, calls map[int][]plan.Call, emit func(control.Event)) error {
	var g errgroup.Group
	g.SetLimit(8) // each may start a process
	for _, n := range k.all() {
		if n.is(control.Running) {
			g.Go(func() error { return k.calls(ctx, n, "set faults", calls[n.plan.Index], emit) })
		}
	}
	return g.Wait()
}

// refault sets the faults of a node that has just been started again.
func (k *Keeper) refault(ctx context.Context, n *node, emit func(control.Event)) error {
	return k.calls(ctx, n, "set faults", k.faultsAtStart(n), emit)
}

// faultsAtStart are the orders for a node that starts: none without faults, as it has none by itself.
func (k *Keeper) faultsAtStart(n *node) []plan.Call {
	if t := k.faultTable(); len(t.Faults) == 0 {
		return nil
	}
	return k.faultCalls(n)
}

// faultCalls are a node's orders, which make its faults those of the table.
func (k *Keeper) faultCalls(n *node) []plan.Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.faults.calls[n.plan.Index]
}
