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

// remove makes nodes leave the cluster, stops them, and removes their folders. req.Plan is the cluster with them, its calls
// made for the members that stay; req.Faults are the faults without theirs, where nodes that go have some.
func (o *Operation) remove(ctx context.Context, req control.Request, nodes []*node.Node) error {
	c := o.Cluster
	if err := checkRevision(c.Record(), req); err != nil {
		return err
	}
	if req.Plan == nil || len(req.Plan.Nodes) != len(c.Record().Plan.Nodes) {
		return errors.New("the request to remove nodes has no plan of this cluster")
	}
	faults := c.Faults.Table()
	if faults.Touches(req.Nodes) != (req.Faults != nil) || req.Faults != nil && req.Faults.Base != faults.Revision {
		return staleFaultsError()
	}
	rec := *c.Record()
	rec.Options, rec.Plan = req.Options, rec.Plan.Standing(req.Plan) // its calls are made to members that stay
	c.Adopt(&rec)
	stays := cluster.Stays(c)
	for _, n := range nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := o.removeNode(ctx, c.Now(n)); err != nil {
			return err
		}
	}
	stayed := cluster.Stayed(c, stays) // before a [[refresh]], which may well open listeners anew
	if err := membersOf(o, req.Next).announce(ctx, nil); err != nil {
		return err
	}
	stays = cluster.Stays(c)
	if err := settleWithout(ctx, o, req); err != nil {
		return err
	}
	if stayed == nil && !refreshes(req.Plan) {
		stayed = cluster.Stayed(c, stays)
	}
	return stayed
}

// settleWithout waits until the nodes that stay have settled, with the faults that are left.
func settleWithout(ctx context.Context, o *Operation, req control.Request) error {
	if req.Faults != nil {
		return o.fault(ctx, req)
	}
	return o.Cluster.Settle(ctx, o.Emit)
}

// refreshes reports whether members take in the news that others came or went by something that goes on after it was asked for.
func refreshes(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Nodes, func(n plan.Node) bool { return len(n.Refresh) > 0 })
}

// removeNode removes one node. Once it has begun to leave, it is no member that anybody could rely on: the client may go. The
// record says so before its folder goes, and is without it after.
func (o *Operation) removeNode(ctx context.Context, n *node.Node) error {
	c, index := o.Cluster, n.Plan.Index
	if err := o.leave(ctx, n); err != nil {
		return err
	}
	ctx, cancel := o.untimed()
	defer cancel()
	if err := node.StopAll(ctx, []*node.Node{n}, false, o.Emit); err != nil {
		return err
	}
	if err := n.Leave(ctx, true, o.Emit); err != nil {
		return err
	}
	err := c.Amend(func(r *cluster.Record) {
		r.Joined = slices.DeleteFunc(r.Joined, func(i int) bool { return i == index })
	})
	if err != nil {
		return n.Failed("record that it has left", err)
	}
	if err := n.Remove(); err != nil {
		return n.Failed("remove its folder", err)
	}
	err = c.Amend(func(r *cluster.Record) {
		r.Plan.Nodes = slices.DeleteFunc(r.Plan.Nodes, func(p plan.Node) bool { return p.Index == index })
	})
	if err != nil {
		return n.Failed("record that it is gone", err)
	}
	o.Emit(control.Event{Node: index, Phase: "removed"})
	return c.Leases.Take(ctx, c.Record(), c.Record().Plan)
}

// leave makes the calls by which the node leaves the cluster.
func (o *Operation) leave(ctx context.Context, n *node.Node) error {
	ctx, cancel := o.detached(ctx)
	defer cancel()
	err := n.Leave(ctx, false, o.Emit)
	if e, ok := errors.AsType[*control.Error](err); ok && e.Hint == "" && n.Is(control.Running) {
		e.Hint = fmt.Sprintf("`onemore kill %d` first removes it without asking it", n.Plan.Index)
	}
	return err
}
