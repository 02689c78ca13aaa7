package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/control"
)

// fault makes the faults those of the request. When that fails, they are what they were. With nobody cut off any more it
// waits until the cluster has settled.
func (o *Operation) fault(ctx context.Context, req control.Request) error {
	c, want := o.Cluster, req.Faults
	if want == nil {
		return errors.New("fault: the request names none")
	}
	was := c.Faults.Table()
	if want.Base != was.Revision {
		return staleFaultsError()
	}
	if slices.EqualFunc(want.Faults, was.Faults, sameFault) {
		if len(was.Faults) > 0 {
			o.Emit(control.Event{Phase: phaseIdle, Text: "as that fault is set already"})
			return c.Settle(ctx, o.Emit)
		}
		o.Emit(control.Event{Phase: phaseIdle, Text: "as there are no faults"}) // set by onemore: a node may have some that were set by hand
	}
	now := control.FaultTable{Revision: was.Revision + 1, Faults: want.Faults}
	if want.Own {
		if err := c.CallFaults(ctx, want.Calls, o.Emit); err != nil {
			return errors.Join(refusedFault(err), c.CallFaults(context.WithoutCancel(ctx), want.Undo, o.Emit))
		}
	} else if err := c.Kernel.Cut(ctx, c.Record(), c.All(), now.AllLinks()); err != nil {
		return err
	}
	c.Faults.Set(now, want.Calls)
	for _, f := range want.Faults {
		o.Record(control.Event{Phase: "fault", Text: f.Text}) // the client has the list in the status
	}
	if len(want.Faults) == 0 && len(was.Faults) > 0 {
		o.Emit(control.Event{Phase: "healed"})
	}
	return c.Settle(ctx, o.Emit)
}

// refusedFault is the error of a server that refuses a fault in its own words: those are all there is to say.
func refusedFault(err error) error {
	e, ok := errors.AsType[*control.Error](err)
	if !ok || e.Refused == "" {
		return err
	}
	return &control.Error{Node: e.Node, Name: e.Name, Why: fmt.Sprintf("node %s: %s", e.Name, e.Refused), Refused: e.Refused, Input: true}
}

func sameFault(a, b control.Fault) bool { return a.Text == b.Text && slices.Equal(a.Links, b.Links) }

func staleFaultsError() error {
	return &control.Error{Why: "the faults were changed by somebody else meanwhile", Stale: true}
}
