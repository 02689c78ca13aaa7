package keeper

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/plan"
)

// Fault is one thing that is wrong with the network between the nodes.
type Fault struct {
	Text  string      `json:"text"` // as people say it: "partition 1,2 / 3"
	Links []plan.Link `json:"links"`
}

// FaultTable is all that is wrong at present. Revision grows with every change.
type FaultTable struct {
	Revision int     `json:"revision"`
	Faults   []Fault `json:"faults"`
}

// FaultChange makes the table of a cluster Faults. Calls are what brings that about where the server can do it itself, by
// node, and Undo what brings back the table that it was made from; without Calls the kernel does it.
type FaultChange struct {
	Base   int                 `json:"base"` // revision of the table that this was made from
	Faults []Fault             `json:"faults"`
	Own    bool                `json:"own"` // the server does it itself
	Calls  map[int][]plan.Call `json:"calls,omitempty"`
	Undo   map[int][]plan.Call `json:"undo,omitempty"`
}

// faults are the keeper's: those that were set, and the calls that set them again on a node that starts.
type faults struct {
	FaultTable
	calls map[int][]plan.Call
}

// cut tells whether some node can't reach another, so that nobody may be waited for.
func (f *FaultTable) cut() bool {
	return slices.ContainsFunc(f.Faults, func(one Fault) bool {
		return slices.ContainsFunc(one.Links, func(l plan.Link) bool { return l.Block || l.Drop == 1 })
	})
}

// Touches tells whether some fault is about one of the nodes.
func (f *FaultTable) Touches(nodes []int) bool {
	return slices.ContainsFunc(f.links(), func(l plan.Link) bool { return slices.Contains(nodes, l.From) || slices.Contains(nodes, l.To) })
}

func (f *FaultTable) links() []plan.Link {
	var all []plan.Link
	for _, one := range f.Faults {
		all = append(all, one.Links...)
	}
	return plan.MergeLinks(all)
}

// fault makes the faults those of the request. When that fails, they are what they were. With nobody cut off any more it
// waits until the cluster has settled.
func (k *Keeper) fault(ctx context.Context, req Request, emit func(Event)) error {
	c := req.Faults
	if c == nil {
		return errors.New("fault: the request names none")
	}
	was := k.faultTable()
	if c.Base != was.Revision {
		return errOtherFaults()
	}
	if slices.EqualFunc(c.Faults, was.Faults, func(a, b Fault) bool { return a.Text == b.Text && slices.Equal(a.Links, b.Links) }) {
		if len(was.Faults) > 0 {
			emit(Event{Phase: idle, Text: "as that fault is set already"})
			return k.settle(ctx, emit)
		}
		emit(Event{Phase: idle, Text: "as there are no faults"}) // of ours: a node may have some that were set by hand
	}
	now := faults{FaultTable{was.Revision + 1, c.Faults}, c.Calls}
	if c.Own {
		if err := k.callFaults(ctx, c.Calls, emit); err != nil {
			return errors.Join(err, k.callFaults(context.WithoutCancel(ctx), c.Undo, emit))
		}
	} else if err := k.cutInKernel(ctx, now.links()); err != nil {
		return err
	}
	k.mu.Lock()
	k.faults = now
	k.mu.Unlock()
	for _, f := range c.Faults {
		k.record(Event{Phase: "fault", Text: f.Text}) // who asked has the list in the status
	}
	if len(c.Faults) == 0 && len(was.Faults) > 0 {
		emit(Event{Phase: "healed"})
	}
	return k.settle(ctx, emit)
}

func errOtherFaults() error {
	return &Error{Why: "the faults were changed by somebody else meanwhile", Stale: true}
}

func (k *Keeper) faultTable() FaultTable {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.faults.FaultTable
}

// callFaults gives every running node its orders.
func (k *Keeper) callFaults(ctx context.Context, calls map[int][]plan.Call, emit func(Event)) error {
	var g errgroup.Group
	g.SetLimit(8) // each may start a process
	for _, n := range k.all() {
		if n.is(Running) {
			g.Go(func() error { return k.calls(ctx, n, "set faults", calls[n.plan.Index], emit) })
		}
	}
	return g.Wait()
}

// refault sets the faults of a node that has just been started again.
func (k *Keeper) refault(ctx context.Context, n *node, emit func(Event)) error {
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
