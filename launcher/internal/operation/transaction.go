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

// transaction is an up, or a restore, on its way: what it created and started, so that it can be undone.
type transaction struct {
	o        *Operation
	req      control.Request
	fresh    bool            // the cluster was not formed before
	previous *cluster.Record // nil without one
	created  []*node.Node    // nodes that did not exist
	started  []*node.Node    // nodes that did, and were stopped
}

// begin takes the leases and writes the record of what is about to exist. Nodes that are in the way of it are stopped.
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
	if t.fresh && rec != nil { // an `up` that was killed half way: none of it was ever handed out
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
	if err := t.sort(); err != nil {
		return err
	}
	// A node that an `up --keep` left running, or a stop half way, is begun anew.
	if err := node.StopAll(ctx, t.created, true, t.o.Emit); err != nil {
		return err
	}
	return node.StopAll(ctx, t.started, false, t.o.Emit)
}

// writeRecord puts the record of what is about to exist in force.
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

// sort finds out which of the nodes are to be created and which to be started.
func (t *transaction) sort() error {
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

// commit records that everything is there. What others have planned meanwhile, for a cluster that was not formed, is stale.
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

// rollback takes back what the transaction did, keeps the logs of what failed, and returns the error with the place of them.
func (t *transaction) rollback(cause error) error {
	if e, ok := errors.AsType[*control.Error](cause); errors.Is(cause, control.ErrBusy) || ok && e.Stale {
		return cause // nothing was begun; the client asks again
	}
	e := control.AsError(cause)
	if !t.o.Folder.Held() { // there is no folder
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

// stop stops what the transaction started; nodes that it created for a formed cluster leave it first.
func (t *transaction) stop(ctx context.Context) {
	c := t.o.Cluster
	c.StopLogged(ctx, t.started, false)
	if !t.fresh {
		for _, n := range t.created {
			if n.Is(control.Starting, control.Running) {
				_ = n.Leave(ctx, false, t.o.Emit) // it may not be a member yet
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

// remove removes what the transaction created, and puts the previous record in force again.
func (t *transaction) remove(ctx context.Context) error {
	if t.fresh {
		return t.o.Folder.Remove()
	}
	var errs []error
	for _, n := range t.created {
		errs = append(errs, n.Remove())
	}
	if t.previous != nil {
		c := t.o.Cluster
		errs = append(errs, membersOf(t.o, t.previous.Plan).takeBack(ctx))
		back := *t.previous
		back.Revision = c.Record().Revision + 1 // what was planned on the record that is taken back is stale
		errs = append(errs, back.Write(c.Dir()))
		c.Adopt(&back)
		errs = append(errs, c.Services.Renew(ctx, back.Plan, silent))
		if c.Leases.Held() { // else they could not be taken
			errs = append(errs, c.Leases.Take(ctx, c.Record(), back.Plan))
		}
	}
	return errors.Join(errs...)
}

// discardNodes ends and removes the nodes of an `up` that never came to its end.
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
