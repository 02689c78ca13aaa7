package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// transaction is what an up, or a restore, changes: what it creates and starts is noted, so that rollback can undo it. The order is
// begin, the steps of the operation, then commit, or rollback when any of them failed.
type transaction struct {
	o        *Operation
	req      control.Request
	fresh    bool            // there was no formed cluster before: a rollback removes everything
	previous *cluster.Record // the record before begin; nil if there was none
	created  []*node.Node    // nodes whose directories this transaction makes
	started  []*node.Node    // nodes that existed and were stopped
}

// begin takes the leases, writes the record of what is about to exist, and stops processes that nodes to be created or started still have.
func (t *transaction) begin(ctx context.Context) error {
	c := t.o.Cluster
	if err := checkRevision(c.Record(), t.req); err != nil {
		return err
	}
	if c.Record() == nil {
		if err := t.o.Folder.Create(t.req.Plan.ID); err != nil {
			return err
		}
	}
	rec := c.Record()
	t.fresh = rec == nil || !rec.Formed
	if t.fresh && rec != nil { // left by an `up` that was killed before the cluster had formed: nobody uses it
		if err := discardNodes(ctx, c); err != nil {
			return err
		}
	}
	t.previous = rec
	if err := c.Leases.Take(ctx, rec, t.req.Plan); err != nil {
		return err
	}
	if err := t.writeRecord(); err != nil {
		return err
	}
	if err := t.pickNodes(); err != nil {
		return err
	}
	// An `up --keep` that failed leaves nodes running, and a stop that was interrupted leaves some half stopped.
	if err := node.StopAll(ctx, t.created, true, t.o.Emit); err != nil {
		return err
	}
	return node.StopAll(ctx, t.started, false, t.o.Emit)
}

// writeRecord writes the record of what is about to exist to disk and makes it the cluster's record. Nodes that stay keep their plans.
func (t *transaction) writeRecord() error {
	rec := &cluster.Record{Options: t.req.Options, Plan: t.req.Plan, Revision: t.req.Revision + 1, Groups: t.req.Groups}
	if t.previous != nil && !t.fresh {
		rec.Plan = t.previous.Plan.Standing(t.req.Plan)
		rec.Plan.Services = t.previous.Plan.Services // until the nodes are members
	}
	if t.previous != nil {
		rec.Formed, rec.Joined = t.previous.Formed, slices.Clone(t.previous.Joined)
	}
	if err := rec.Write(t.o.Cluster.Dir()); err != nil {
		return err
	}
	t.o.Cluster.Adopt(rec)
	return nil
}

// pickNodes fills created and started with the requested nodes that are not running.
func (t *transaction) pickNodes() error {
	nodes, err := t.o.Cluster.Pick(t.req.Nodes)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		switch {
		case t.fresh || !t.o.Cluster.Record().HasJoined(n.Plan.Index) || n.Is(control.Absent):
			t.created = append(t.created, n)
		case n.Is(control.Paused):
			return pausedError(n, "start")
		case n.Is(control.Stopped, control.Exited, control.Stopping):
			t.started = append(t.started, n)
		}
	}
	return nil
}

// commit records that the cluster has formed and which nodes have joined. The new revision makes plans stale that other clients made
// from the record of before.
func (t *transaction) commit() error {
	return t.o.Cluster.Amend(func(r *cluster.Record) {
		var joined []int
		for _, p := range r.Plan.Nodes {
			if r.HasJoined(p.Index) || slices.ContainsFunc(t.created, func(n *node.Node) bool { return n.Plan.Index == p.Index }) {
				joined = append(joined, p.Index)
			}
		}
		r.Formed, r.Joined = true, joined
	})
}

// rollback undoes what the transaction did and keeps the logs of the nodes that it created. It returns the cause with the place of the
// logs; Undone says whether undoing it succeeded.
func (t *transaction) rollback(cause error) error {
	if e, ok := errors.AsType[*control.Error](cause); errors.Is(cause, control.ErrBusy) || ok && e.Stale {
		return cause // begin changed nothing; the client plans and asks again
	}
	e := control.AsError(cause)
	if !t.o.Folder.Held() { // begin failed before the folder was made
		e.Undone = true
		return e
	}
	if t.req.Keep && !e.Interrupted {
		e.Logs = t.o.Cluster.Dir()
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.stop(ctx)
	if len(t.created) > 0 {
		e.Logs = keepLogs(t.o.Cluster, t.o.Log, t.created)
	}
	err := t.remove(ctx)
	if err != nil {
		e.Why += fmt.Sprintf(" (and undoing it: %v)", err)
	}
	e.Undone = err == nil
	return e
}

// stop stops the nodes that the transaction started or created. Nodes created for a formed cluster leave it first.
func (t *transaction) stop(ctx context.Context) {
	c := t.o.Cluster
	c.StopLogged(ctx, t.started, false)
	if !t.fresh {
		for _, n := range t.created {
			if n.Is(control.Starting, control.Running) {
				_ = n.Leave(ctx, false, t.o.Emit) // an error is no news: it may not be a member yet
			}
		}
	}
	c.StopLogged(ctx, t.created, true)
	if !t.fresh {
		for _, n := range t.created {
			_ = n.Leave(ctx, true, t.o.Emit) // likewise
		}
	}
	if t.fresh {
		c.Services.Stop(ctx, true)
	}
}

// remove removes the nodes that the transaction created (the whole folder if the cluster is fresh), and restores the previous record.
func (t *transaction) remove(ctx context.Context) error {
	if t.fresh {
		return t.o.Folder.Remove()
	}
	var errs []error
	for _, n := range t.created {
		errs = append(errs, n.Remove())
	}
	if t.previous != nil {
		errs = append(errs, membersOf(t.o, t.previous.Plan).takeBack(ctx), t.restoreRecord())
		c := t.o.Cluster
		errs = append(errs, c.Services.Renew(ctx, c.Record().Plan, silent))
		if c.Leases.Held() { // if begin failed to take the leases, there are none to change
			errs = append(errs, c.Leases.Take(ctx, c.Record(), c.Record().Plan))
		}
	}
	return errors.Join(errs...)
}

// restoreRecord puts the previous record in force again, under a revision that makes plans stale which were made from the one that is
// undone. Where begin wrote none there is nothing to undo: what the keeper has and what clients read on the disk stay one.
func (t *transaction) restoreRecord() error {
	c := t.o.Cluster
	if c.Record() == t.previous {
		return nil
	}
	return c.Amend(func(r *cluster.Record) {
		revision := r.Revision
		*r = *t.previous
		r.Revision = revision
	})
}

// discardNodes stops and removes the nodes, and stops the service, of an `up` that was killed before it was over.
func discardNodes(ctx context.Context, c *cluster.Cluster) error {
	if err := node.StopAll(ctx, c.All(), true, silent); err != nil {
		return err
	}
	c.Services.Stop(ctx, true)
	for _, n := range c.All() {
		if err := n.Remove(); err != nil {
			return err
		}
	}
	return nil
}
