package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// upgrade gives nodes the directory and command of req.Plan, one after the other, the cluster settled in between. It stops
// at the first failure.
func (o *Operation) upgrade(ctx context.Context, req control.Request, nodes []*node.Node) error {
	if req.Rollback {
		return o.rollback(ctx, req, nodes)
	}
	if req.Plan == nil {
		return errors.New("upgrade: the request has no plan")
	}
	if err := checkRevision(o.Cluster.Record(), req); err != nil {
		return err
	}
	number, err := upgradeNumber(o.Cluster)
	if err != nil {
		return err
	}
	for i, n := range nodes {
		at := slices.IndexFunc(req.Plan.Nodes, func(p plan.Node) bool { return p.Index == n.Plan.Index })
		if at < 0 {
			return fmt.Errorf("upgrade: the request's plan has no node %d", n.Plan.Index)
		}
		u := nodeUpgrade{o: o, n: n, next: req.Plan.Nodes[at], present: req.Present, number: number}
		if err := u.run(ctx); err != nil {
			return u.halted(err, i, len(nodes))
		}
	}
	return o.Cluster.Amend(func(r *cluster.Record) { r.Plan.Options = req.Plan.Options })
}

// upgradeNumber is that of the upgrade which begins: the present one's where one did not come to its end.
func upgradeNumber(c *cluster.Cluster) (int, error) {
	for _, n := range c.All() {
		if b, err := n.Aside().Previous(); err != nil || b != nil && !b.Done {
			if err != nil {
				return 0, err
			}
			return b.Upgrade, nil
		}
	}
	return c.Record().Revision, nil
}

// nodeUpgrade is the upgrade of one node.
type nodeUpgrade struct {
	o       *Operation
	n       *node.Node
	next    plan.Node
	present *plan.Plan // see control.Request
	number  int        // of the upgrade
	again   bool       // the node is to run afterwards
	swapped bool       // its directory is the new one
}

// run upgrades the node.
func (u *nodeUpgrade) run(ctx context.Context) error {
	o, n := u.o, u.n
	if err := u.prepare(ctx); err != nil {
		return err
	}
	ctx, cancel := o.detached(ctx) // from here on the node is finished, also when the client has gone
	defer cancel()
	if err := node.StopAll(ctx, []*node.Node{n}, false, o.Emit); err != nil {
		return u.goOn(err)
	}
	renewed, err := membersOf(o, u.present).write([]*node.Node{n}) // of which the upgraded node keeps files
	if err != nil {
		return u.goOn(err)
	}
	n, u.n = renewed[0], renewed[0]
	o.Emit(control.Event{Node: n.Plan.Index, Phase: "upgrading", Text: u.next.Source})
	if err := u.swap(ctx); err != nil {
		err = n.Failed("upgrade", err)
		if failed := putBack(o.Cluster, n); failed != nil {
			return errors.Join(err, fmt.Errorf("%w: %w", errNotBack, failed))
		}
		return u.goOn(err)
	}
	u.swapped = true
	if u.again {
		upgraded := []*node.Node{o.Cluster.Now(n)}
		if err := o.start(ctx, upgraded, nil); err != nil {
			stopAgain(ctx, o.Cluster, upgraded)
			return err
		}
	}
	return n.Aside().Amend(func(b *node.Previous) { b.Done = true })
}

// prepare waits for a settled cluster and makes the template's calls before a planned stop.
func (u *nodeUpgrade) prepare(ctx context.Context) error {
	o, n := u.o, u.n
	if n.Is(control.Paused) {
		return &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: "upgrade", Why: "it is paused", Hint: "use resume"}
	}
	if err := o.Cluster.Settle(ctx, o.Emit); err != nil {
		return err
	}
	had, err := n.Aside().Previous()
	if err != nil {
		return err
	}
	u.again = n.Is(control.Running) || had != nil && !had.Done // what a failed upgrade left stopped is to run again
	if !n.Is(control.Running) {
		return nil
	}
	return n.Calls(ctx, "drain", u.next.Drain, o.Emit)
}

// swap replaces the stopped node's directory by one made from the new source, with what is to be kept of the old. When it
// fails, putBack makes everything as before.
func (u *nodeUpgrade) swap(ctx context.Context) error {
	c, aside := u.o.Cluster, u.n.Aside()
	if err := aside.Set(u.number, c.Record().Plan.Options); err != nil {
		return err
	}
	if err := aside.Replace(ctx, u.next); err != nil {
		return err
	}
	if err := c.AmendNode(u.next); err != nil {
		return err
	}
	return aside.Amend(func(b *node.Previous) { b.Swapping = false })
}

// goOn starts the node again whose upgrade failed before anything of it was changed, if it ran.
func (u *nodeUpgrade) goOn(cause error) error {
	if !u.again {
		return cause
	}
	ctx, cancel := u.o.untimed()
	defer cancel()
	return errors.Join(cause, u.o.start(ctx, []*node.Node{u.o.Cluster.Now(u.n)}, nil))
}

// halted says how far an upgrade of so many nodes came, with which node it failed, and the ways on.
func (u *nodeUpgrade) halted(err error, done, of int) error {
	e := control.AsError(err)
	if done > 0 {
		e.Why += fmt.Sprintf("; %d of %d nodes were upgraded before it", done, of)
	}
	index := u.n.Plan.Index
	switch {
	case errors.Is(err, errNotBack):
		e.Hint = "mend what stands in the way: the next command puts it back before anything else"
	case u.swapped:
		e.Hint = fmt.Sprintf("node %d is stopped; `onemore upgrade --rollback` takes it, and those before it, back to what they were; or mend the source and upgrade again", index)
	case done > 0:
		e.Hint = fmt.Sprintf("node %d is as it was; `onemore upgrade --rollback` takes those before it back, too", index)
	default:
		e.Hint = "nothing was changed"
	}
	return e
}

// errNotBack says that a node's directory is still set aside.
var errNotBack = errors.New("what it was can't be put back")
