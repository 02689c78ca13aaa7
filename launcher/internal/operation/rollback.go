package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// rollback takes nodes back to what they were before their upgrade, the last one first, one at a time: those named that were
// upgraded, or, with none named, all of the last upgrade.
func (o *Operation) rollback(ctx context.Context, req control.Request, nodes []*node.Node) error {
	if err := checkNext(o.Cluster.Record(), req); err != nil {
		return err
	}
	was := map[*node.Node]*node.Previous{}
	last := 0
	for _, n := range nodes {
		b, err := n.Aside().Previous()
		if err != nil {
			return err
		}
		if b != nil {
			was[n], last = b, max(last, b.Upgrade)
		}
	}
	if len(was) == 0 {
		return &control.Error{Why: "no node has been upgraded: there is nothing to go back to"}
	}
	for _, n := range slices.Backward(nodes) {
		b := was[n]
		if b == nil || len(req.Nodes) == 0 && b.Upgrade != last {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := o.goBack(ctx, req, n, b); err != nil {
			return err
		}
	}
	return nil
}

// goBack takes one node back. What it is told of the members are those of now, not those of the day of its upgrade.
func (o *Operation) goBack(ctx context.Context, req control.Request, n *node.Node, b *node.Previous) error {
	ctx, cancel := o.detached(ctx)
	defer cancel()
	if err := node.StopAll(ctx, []*node.Node{n}, false, o.Emit); err != nil {
		return err
	}
	o.Emit(control.Event{Node: n.Plan.Index, Phase: "going back"})
	back := func() error { return putBack(o.Cluster, n) }
	if b.Done && n.Plan.KeepBack { // one that has not run since has told nobody anything
		back = func() error {
			renewed, err := membersOf(o, req.Present).write([]*node.Node{n}) // files that it keeps
			if err != nil {
				return err
			}
			return remake(ctx, o.Cluster, renewed[0], b)
		}
	}
	if err := back(); err != nil {
		return n.Failed("go back", err)
	}
	if err := o.Cluster.Amend(func(r *cluster.Record) { r.Plan.GoBack(n.Plan.Index, b.Options) }); err != nil {
		return err
	}
	return o.start(ctx, []*node.Node{o.Cluster.Now(n)}, req.Next)
}

// putBack makes a node what it was before its upgrade, its data included. It may be called again after a crash.
func putBack(c *cluster.Cluster, n *node.Node) error {
	aside := n.Aside()
	b, err := aside.Previous()
	if err != nil || b == nil {
		return err
	}
	if err := aside.PutBack(b); err != nil {
		return err
	}
	if err := c.AmendNode(b.Node); err != nil {
		return err
	}
	return aside.Drop()
}

// remake makes a stopped node from what it was made of before its upgrade, with the data that it has now. When that fails, it is what it
// was; after a crash, putBackInterrupted makes it so.
func remake(ctx context.Context, c *cluster.Cluster, n *node.Node, was *node.Previous) error {
	aside := n.Aside()
	if err := aside.Set(was.Upgrade, c.Record().Plan.Options); err != nil {
		return err
	}
	err := aside.Replace(ctx, was.Node)
	if err == nil {
		err = c.AmendNode(was.Node)
	}
	if err != nil {
		return errors.Join(err, putBack(c, n))
	}
	return aside.Drop()
}

// putBackInterrupted puts back what an upgrade had set aside when its keeper died, or the disk was full.
func putBackInterrupted(c *cluster.Cluster) error {
	for _, n := range c.All() {
		b, err := n.Aside().Previous()
		if err == nil && b != nil && b.Swapping {
			err = putBack(c, n)
		}
		if err != nil {
			return fmt.Errorf("put back what an upgrade of node %s had set aside: %w", n.Plan.Name, err)
		}
	}
	return nil
}
