package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// makers is how many node directories are made at a time: on ext4 more workers make copies slower.
const makers = 2

// up brings req.Nodes of req.Plan to running members, in the order of the design: lease, record, copy, edit, start,
// ready, join, converged. When it fails, what it made is undone, and what it started is stopped.
func (k *Keeper) up(ctx context.Context, req control.Request, emit func(control.Event)) (err error) {
	if req.Plan == nil {
		return errors.New("up: the request has no plan")
	}
	u := &undertaking{k: k, req: req, emit: emit}
	if err := u.begin(ctx); err != nil {
		return u.abandon(err)
	}
	defer func() {
		if err != nil {
			err = u.undo(err)
		}
	}()
	if err := k.startService(ctx, emit); err != nil {
		return err
	}
	if err := u.bring(ctx); err != nil {
		return err
	}
	if err := u.join(ctx); err != nil {
		return err
	}
	if err := k.settleWith(ctx, slices.Concat(u.made, u.started), emit); err != nil {
		return err
	}
	for _, n := range u.made {
		if err := k.calls(ctx, n, "after joining", n.plan.After, emit); err != nil {
			return err
		}
	}
	return u.finish()
}

// undertaking is one `up` on its way: what it made and started, so that it can be undone.
type undertaking struct {
	k       *Keeper
	req     control.Request
	emit    func(control.Event)
	created bool // the cluster's folder
	fresh   bool // the cluster was not formed before
	before  *Record
	made    []*node // nodes that did not exist
	started []*node // nodes that did, and were stopped
}

// begin takes the leases and writes the record of what is about to exist.
func (u *undertaking) begin(ctx context.Context) error {
	k := u.k
	p := u.req.Plan
	if err := k.current(u.req); err != nil {
		return err
	}
	if k.rec == nil {
		if err := k.create(p.ID); err != nil {
			return err
		}
		u.created = true
	}
	u.fresh = k.rec == nil || !k.rec.Formed
	if u.fresh && k.rec != nil { // an `up` that was killed half way: none of it was ever handed out
		if err := k.discardAll(ctx); err != nil {
			return err
		}
	}
	u.before = k.rec
	if err := k.leaseFor(ctx, p); err != nil {
		return err
	}
	rec := &Record{Options: u.req.Options, Plan: p, Revision: u.req.Revision + 1}
	rec.Groups = u.req.Groups
	if u.before != nil {
		rec.Formed, rec.Joined = u.before.Formed, slices.Clone(u.before.Joined)
	}
	if err := rec.write(k.dir); err != nil {
		return err
	}
	k.adopt(rec)
	nodes, err := k.pick(u.req.Nodes)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		switch {
		case u.fresh || !rec.joined(n.plan.Index) || n.is(control.Absent):
			u.made = append(u.made, n)
		case n.is(control.Paused):
			return paused(n, "start")
		case n.is(control.Stopped, control.Exited, control.Stopping):
			u.started = append(u.started, n)
		}
	}
	// A node that an `up --keep` left running, or a stop half way, is begun anew.
	if err := k.stopNodes(ctx, u.made, true, u.emit); err != nil {
		return err
	}
	return k.stopNodes(ctx, u.started, false, u.emit)
}

// current refuses a request whose plan was made from another state of the cluster, or from another cluster of its name: two
// `up` of the same moment. A restore brings a plan of its own.
func (k *Keeper) current(req control.Request) error {
	have, same := 0, true
	if k.rec != nil {
		have, same = k.rec.Revision, req.Op == control.OpRestore || req.Plan == nil || req.Plan.ID == k.rec.Plan.ID
	}
	if req.Revision != have || !same {
		return errStale()
	}
	return nil
}

func errStale() error {
	return &control.Error{Why: "the cluster was changed by somebody else meanwhile", Stale: true}
}

// create makes the cluster's folder, marked from its first moment, and takes charge of it. One that is there and has no
// record is what an `up` or a `down` that was killed has left.
func (k *Keeper) create(id string) error {
	if err := k.removeAll(); err != nil {
		return err
	}
	err := nodedir.Make(k.dir, id)
	if errors.Is(err, fs.ErrExist) { // somebody made it since this keeper was started
		return cmp.Or(k.claim(), errStale())
	}
	if err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := k.lock(); err != nil {
		return err
	}
	return k.open()
}

// abandon ends an `up` that failed before anything ran.
func (u *undertaking) abandon(err error) error {
	if e, ok := errors.AsType[*control.Error](err); errors.Is(err, control.ErrBusy) || ok && e.Stale {
		return err // nothing was begun; the client asks again
	}
	return u.undo(err)
}

// bring makes and starts what is missing and waits until all of it is ready: all at once, or each after the one before.
func (u *undertaking) bring(ctx context.Context) error {
	k := u.k
	making := make(chan struct{}, makers)
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range u.started {
		g.Go(func() error { return k.launch(gctx, n, u.emit) })
	}
	if u.fresh {
		for i, n := range u.made {
			making <- struct{}{} // in the order of the nodes: the first is the one that the others look for
			g.Go(func() error {
				err := k.makeNode(gctx, n, u.emit)
				<-making
				if err == nil && u.req.Plan.Staged && i > 0 {
					err = k.stage(gctx, u.made[i-1])
				}
				if err != nil {
					return err
				}
				return k.launch(gctx, n, u.emit)
			})
		}
		return g.Wait()
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(u.started) > 0 && len(u.made) > 0 { // who is added is let in by a cluster that serves
		if err := k.settleWith(ctx, u.started, u.emit); err != nil {
			return err
		}
	}
	return u.addEach(ctx)
}

// addEach brings members into a formed cluster one after another: two at once can cost it its quorum.
func (u *undertaking) addEach(ctx context.Context) error {
	k := u.k
	for _, n := range u.made {
		if err := k.makeNode(ctx, n, u.emit); err != nil {
			return err
		}
		if err := k.calls(ctx, n, "before the start", n.plan.Before, u.emit); err != nil {
			return err
		}
		if err := k.launch(ctx, n, u.emit); err != nil {
			return err
		}
		if err := k.calls(ctx, n, "join", n.plan.Join, u.emit); err != nil {
			return err
		}
	}
	return nil
}

// stage waits until a node lets the next one be started.
func (k *Keeper) stage(ctx context.Context, n *node) error {
	if n.plan.Staged == nil {
		return nil
	}
	if err := n.await(ctx, func() bool { return n.run != nil || n.state == control.Exited }); err != nil {
		return err
	}
	life, cancel := n.withLife(ctx)
	defer cancel()
	err := probe.Until(life, nil, func(ctx context.Context) error {
		_, err := k.call(ctx, n, *n.plan.Staged)
		return err
	})
	if err != nil {
		return k.failed(n, "wait for its turn to be followed", err)
	}
	return nil
}

// join runs the calls that form a new cluster; nodes that were added have joined one by one in bring.
func (u *undertaking) join(ctx context.Context) error {
	if !u.fresh {
		return nil
	}
	for _, n := range u.made {
		if err := u.k.calls(ctx, n, "form the cluster", n.plan.Form, u.emit); err != nil {
			return err
		}
	}
	for _, n := range u.made {
		if err := u.k.calls(ctx, n, "join", n.plan.Join, u.emit); err != nil {
			return err
		}
	}
	return nil
}

// finish records that everything is there. What others have planned meanwhile, for a cluster that was not formed, is stale.
func (u *undertaking) finish() error {
	return u.k.amendRecord(func(r *Record) {
		var joined []int
		for _, p := range r.Plan.Nodes {
			if r.joined(p.Index) || slices.ContainsFunc(u.made, func(n *node) bool { return n.plan.Index == p.Index }) {
				joined = append(joined, p.Index)
			}
		}
		r.Formed, r.Joined = true, joined
	})
}

// undo takes back what this `up` did, keeps the logs of what failed, and returns the error with the place of them.
func (u *undertaking) undo(cause error) error {
	k := u.k
	e := control.AsError(cause)
	if k.unlock == nil { // there is no folder
		e.Undone = true
		return e
	}
	if u.req.Keep && !e.Interrupted {
		e.Logs = k.dir
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	k.stopAll(ctx, u.started, false)
	if !u.fresh {
		for _, n := range u.made {
			if n.is(control.Starting, control.Running) && len(n.plan.Leave) > 0 {
				_ = k.calls(ctx, n, "leave", n.plan.Leave, u.emit) // it may not be a member yet
			}
		}
	}
	k.stopAll(ctx, u.made, true)
	if u.fresh {
		k.stopService(ctx)
	}
	if len(u.made) > 0 {
		e.Logs = k.keepLogs(u.made)
	}
	err := u.unmake(ctx)
	if err != nil {
		e.Why += fmt.Sprintf(" (and undoing it: %v)", err)
	}
	e.Undone = err == nil
	return e
}

func (u *undertaking) unmake(ctx context.Context) error {
	k := u.k
	if u.fresh {
		return k.removeAll()
	}
	var errs []error
	for _, n := range u.made {
		errs = append(errs, k.removeFolder(n))
	}
	if u.before != nil {
		back := *u.before
		back.Revision = k.rec.Revision + 1 // what was planned on the record that is taken back is stale
		errs = append(errs, back.write(k.dir))
		k.adopt(&back)
		if k.lease != nil { // else it could not be taken
			errs = append(errs, k.leaseFor(ctx, back.Plan))
		}
	}
	return errors.Join(errs...)
}

// startService starts the cluster's helper process, if the plan has one and it does not run.
func (k *Keeper) startService(ctx context.Context, emit func(control.Event)) error {
	sp := k.rec.Plan.Service
	if sp == nil || (k.service != nil && k.service.current() != nil) {
		return nil
	}
	folder := filepath.Join(k.dir, "service")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	n := newNode(plan.Node{Name: "service", Folder: folder, Dir: folder, Workdir: folder, Log: sp.Log, Command: sp.Command,
		Env: sp.Env, Listeners: k.rec.Plan.Shared, Stop: plan.Stop{Signal: "TERM", Discard: "KILL"}})
	k.mu.Lock()
	k.service = n
	k.mu.Unlock()
	err := k.launch(ctx, n, emit)
	if err != nil {
		k.stopService(context.WithoutCancel(ctx))
	}
	return err
}
