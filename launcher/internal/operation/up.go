package operation

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// makers is how many node directories are made at a time: on ext4 more workers make copies slower.
const makers = 2

// up brings req.Nodes of req.Plan to running members. When it fails, what it made is undone, and what it started is stopped.
func (o *Operation) up(ctx context.Context, req control.Request) (err error) {
	if req.Plan == nil {
		return errors.New("up: the request has no plan")
	}
	t := &transaction{o: o, req: req}
	defer func() {
		if err != nil {
			err = t.rollback(err)
		}
	}()
	if err := t.begin(ctx); err != nil { // leases and record
		return err
	}
	if err := o.Cluster.Services.Start(ctx, o.Cluster.Record().Plan, o.Emit); err != nil {
		return err
	}
	if err := t.bring(ctx); err != nil { // copy, edit, prepare, start, ready
		return err
	}
	if err := t.form(ctx); err != nil {
		return err
	}
	if !t.fresh && len(t.created) > 0 {
		if err := membersOf(o, req.Next).announce(ctx, t.created[len(t.created)-1]); err != nil {
			return err
		}
	}
	if err := o.Cluster.SettleWith(ctx, slices.Concat(t.created, t.started), o.Emit); err != nil {
		return err
	}
	for _, n := range t.created {
		if err := n.Calls(ctx, "after joining", n.Plan.After, o.Emit); err != nil {
			return err
		}
		if err := node.BecomeMember(n); err != nil {
			return err
		}
	}
	if o.Audited, err = o.Cluster.CheckShared(slices.Concat(t.created, t.started)); err != nil {
		return err
	}
	if err := t.seed(ctx); err != nil {
		return err
	}
	return t.commit()
}

// seed makes the calls that a new cluster is seeded by: once, since a cluster that was seeded is recorded as formed.
func (t *transaction) seed(ctx context.Context) error {
	if !t.fresh || len(t.created) == 0 {
		return nil
	}
	return t.created[0].Calls(ctx, "seed the cluster", t.req.Plan.Seed, t.o.Emit)
}

// bring makes and starts what is missing and waits until all of it is ready: all at once in a new cluster; into one that is
// formed, members are let in by a cluster that serves.
func (t *transaction) bring(ctx context.Context) error {
	if t.fresh {
		return t.bringAll(ctx)
	}
	c := t.o.Cluster
	var err error
	if t.started, err = membersOf(t.o, t.req.Plan).write(t.started); err != nil {
		return err
	}
	if err := c.LaunchAll(ctx, t.started, t.o.Emit); err != nil {
		return err
	}
	if len(t.started) > 0 && len(t.created) > 0 {
		if err := c.SettleWith(ctx, t.started, t.o.Emit); err != nil {
			return err
		}
	}
	return t.addEach(ctx)
}

// bringAll makes and starts the nodes of a new cluster: all at once, or each after the one before where the plan is staged, or after
// the one that founds the cluster where that is told to.
func (t *transaction) bringAll(ctx context.Context) error {
	making := make(chan struct{}, makers)
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range t.created {
		making <- struct{}{} // in the order of the nodes: the first is the one that the others look for
		g.Go(func() error {
			err := n.Make(ctx, t.o.Emit)
			<-making
			if err == nil && t.req.Plan.Staged && i > 0 {
				err = t.created[i-1].AwaitStaged(ctx)
			}
			if err == nil && n.Plan.Bootstrap != nil && i > 0 {
				err = node.AwaitFounder(ctx, t.created[0])
			}
			if err == nil {
				err = node.Prepare(ctx, n, t.o.Emit)
			}
			if err != nil {
				return err
			}
			if i == 0 {
				return t.o.Cluster.LaunchFounder(ctx, n, t.o.Emit)
			}
			return t.o.Cluster.Launch(ctx, n, t.o.Emit)
		})
	}
	return g.Wait()
}

// addEach brings members into a formed cluster one after another, each when the one before is a member: two at once can cost it its
// quorum, or, while the cluster has not told them of its leader, elect one of their own.
func (t *transaction) addEach(ctx context.Context) error {
	for i, n := range t.created {
		if err := t.add(ctx, n); err != nil {
			return err
		}
		if i == len(t.created)-1 {
			break // up settles with the last
		}
		if err := t.o.Cluster.SettleWith(ctx, t.created[:i+1], silent); err != nil {
			return err
		}
	}
	return nil
}

// add brings one member into a formed cluster.
func (t *transaction) add(ctx context.Context, n *node.Node) error {
	if err := n.Make(ctx, t.o.Emit); err != nil {
		return err
	}
	if err := n.Calls(ctx, "before the start", n.Plan.Before, t.o.Emit); err != nil {
		return err
	}
	if err := node.Prepare(ctx, n, t.o.Emit); err != nil {
		return err
	}
	if err := t.o.Cluster.Launch(ctx, n, t.o.Emit); err != nil {
		return err
	}
	return n.Calls(ctx, "join", n.Plan.Join, t.o.Emit)
}

// form makes the calls that form a new cluster; nodes that were added have joined one by one in bring.
func (t *transaction) form(ctx context.Context) error {
	if !t.fresh {
		return nil
	}
	for _, n := range t.created {
		if err := n.Calls(ctx, "form the cluster", n.Plan.Form, t.o.Emit); err != nil {
			return err
		}
	}
	for _, n := range t.created {
		if err := n.Calls(ctx, "join", n.Plan.Join, t.o.Emit); err != nil {
			return err
		}
	}
	return nil
}
