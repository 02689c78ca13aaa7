package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// stop stops running nodes as their template says, all at once, and waits until the rest has settled.
func (k *Keeper) stop(ctx context.Context, nodes []*node, emit func(control.Event)) error {
	running := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n.current() == nil })
	if err := whole(running, "stop"); err != nil {
		return err
	}
	if len(running) == 0 && !slices.ContainsFunc(nodes, func(n *node) bool { return n.is(control.Exited) }) {
		emit(nothing(nodes, "runs"))
	}
	if err := k.stopNodes(ctx, nodes, false, emit); err != nil {
		return err
	}
	return k.settle(ctx, emit)
}

// whole refuses to stop or start nodes one of whose folders has been deleted: it could not be started again.
func whole(nodes []*node, phase string) error {
	for _, n := range nodes {
		if gone := n.deleted(phase); gone != nil {
			return gone
		}
	}
	return nil
}

// idle is the phase of a command that finds everything as it should become.
const idle = "nothing to do"

// nothing tells that there is nothing to do for nodes, as none of them is what it takes.
func nothing(nodes []*node, takes string) control.Event {
	if len(nodes) == 1 {
		return control.Event{Phase: idle, Text: fmt.Sprintf("as node %d is %s", nodes[0].plan.Index, nodes[0].stateNow())}
	}
	return control.Event{Phase: idle, Text: fmt.Sprintf("as none of the %d nodes %s", len(nodes), takes)}
}

// running refuses to work with nodes that don't run. Of all nodes, one that does is enough.
func (k *Keeper) running(nodes []*node, phase string) error {
	var off []*node
	for _, n := range nodes {
		if n.current() == nil {
			off = append(off, n)
		}
	}
	if len(off) == 0 || len(off) < len(nodes) && len(nodes) == len(k.all()) {
		return nil
	}
	n := off[0]
	e := &control.Error{Node: n.plan.Index, Name: n.plan.Name, Phase: phase, Why: fmt.Sprintf("it does not run, it is %s", n.stateNow()),
		Hint: fmt.Sprintf("`onemore start %d` starts it", n.plan.Index)}
	if n.is(control.Absent) {
		e.Hint = "`onemore up` makes it"
	}
	return e
}

// start starts nodes that are made and don't run, and waits until the cluster has settled.
func (k *Keeper) start(ctx context.Context, nodes []*node, emit func(control.Event)) error {
	if err := k.leaseFor(ctx, k.rec.Plan); err != nil {
		return err
	}
	if err := k.startService(ctx, emit); err != nil {
		return err
	}
	started, err := k.startable(ctx, nodes, emit)
	if err != nil {
		return err
	}
	if len(started) == 0 {
		emit(nothing(nodes, "is stopped"))
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range started {
		g.Go(func() error { return k.launch(gctx, n, emit) })
	}
	err = g.Wait()
	if err == nil {
		err = k.settleWith(ctx, started, emit)
	}
	if err != nil {
		k.stopAgain(ctx, started)
	}
	return err
}

// stopAgain stops nodes whose start failed, unless somebody is about to take all down.
func (k *Keeper) stopAgain(ctx context.Context, nodes []*node) {
	if !errors.Is(context.Cause(ctx), errTakenDown) {
		k.stopAll(context.WithoutCancel(ctx), nodes, false)
	}
}

// startable returns those of the nodes that are to be started. One that a stop left half way is stopped first.
func (k *Keeper) startable(ctx context.Context, nodes []*node, emit func(control.Event)) ([]*node, error) {
	var out, half []*node
	for _, n := range nodes {
		switch {
		case n.is(control.Paused):
			return nil, paused(n, "start")
		case n.is(control.Stopping):
			half = append(half, n)
			out = append(out, n)
		case n.is(control.Stopped, control.Exited):
			out = append(out, n)
		}
	}
	if err := whole(out, "start"); err != nil {
		return nil, err
	}
	return out, k.stopNodes(ctx, half, false, emit)
}

// paused is the refusal to work with a node that is.
func paused(n *node, phase string) error {
	return &control.Error{Node: n.plan.Index, Name: n.plan.Name, Phase: phase, Why: "it is paused", Hint: fmt.Sprintf("`onemore resume %d` lets it go on", n.plan.Index)}
}

// restart stops and starts nodes: all at once, or one after the other with the cluster settled in between.
func (k *Keeper) restart(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	if err := whole(nodes, "restart"); err != nil {
		return err
	}
	batches := [][]*node{nodes}
	if req.Rolling {
		batches = nil
		for _, n := range nodes {
			batches = append(batches, []*node{n})
		}
	}
	for _, b := range batches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := k.restartTogether(ctx, req, b, emit); err != nil {
			return err
		}
	}
	return nil
}

// restartTogether stops nodes and starts them again, also when who asked goes in between.
func (k *Keeper) restartTogether(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	if err := k.drain(ctx, req, nodes, emit); err != nil {
		return err
	}
	ctx, cancel := k.unhurried(ctx)
	defer cancel()
	if err := k.stopNodes(ctx, nodes, false, emit); err != nil {
		return err
	}
	return k.start(ctx, nodes, emit)
}

// drain gives the template's orders for a planned stop, where nodes are restarted one by one.
func (k *Keeper) drain(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	if !req.Rolling {
		return nil
	}
	for _, n := range nodes {
		if !n.is(control.Running) {
			continue
		}
		if err := k.calls(ctx, n, "drain", n.plan.Drain, emit); err != nil {
			return err
		}
	}
	return nil
}

// kill sends SIGKILL to a node's whole family and returns when it is gone: a crash, so nothing else is done.
func (k *Keeper) kill(ctx context.Context, nodes []*node, emit func(control.Event)) error {
	if err := k.running(nodes, "kill"); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.current() == nil {
			continue
		}
		find := func() ([]proc.ID, error) { return k.family(n), nil }
		if _, err := proc.Stop(ctx, find, 0); err != nil {
			return k.failed(n, "kill", err)
		}
		if err := n.await(ctx, func() bool { return n.run == nil }); err != nil {
			return k.failed(n, "kill", err)
		}
		emit(control.Event{Node: n.plan.Index, Phase: "killed"})
	}
	return nil
}

// shift is a change of whether nodes stand still.
type shift struct {
	doing, done string
	sig         syscall.Signal
	from, to    control.State
}

var (
	pausing  = shift{"pause", "paused", syscall.SIGSTOP, control.Running, control.Paused}
	resuming = shift{"resume", "resumed", syscall.SIGCONT, control.Paused, control.Running}
)

// pause stops every process of the nodes where it is.
func (k *Keeper) pause(nodes []*node, emit func(control.Event)) error {
	if err := k.running(nodes, pausing.doing); err != nil {
		return err
	}
	return k.shift(nodes, pausing, emit)
}

// resume lets nodes go on, with the faults that were set or healed while they stood still.
func (k *Keeper) resume(ctx context.Context, nodes []*node, emit func(control.Event)) error {
	still := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return !n.is(control.Paused) })
	if err := k.shift(nodes, resuming, emit); err != nil {
		return err
	}
	for _, n := range still {
		if err := k.calls(ctx, n, "set faults", k.faultCalls(n), emit); err != nil {
			return err
		}
	}
	return k.settle(ctx, emit)
}

func (k *Keeper) shift(nodes []*node, s shift, emit func(control.Event)) error {
	if !slices.ContainsFunc(nodes, func(n *node) bool { return n.is(s.from) }) {
		emit(nothing(nodes, "is "+string(s.from)))
	}
	for _, n := range nodes {
		if n.current() == nil || !n.is(s.from) {
			continue
		}
		for _, id := range k.family(n) {
			if err := proc.Signal(id, s.sig); err != nil && !errors.Is(err, proc.ErrGone) {
				return k.failed(n, s.doing, err)
			}
		}
		n.update(func() {
			if n.state == s.from { // it may have ended meanwhile
				n.state = s.to
			}
		})
		emit(control.Event{Node: n.plan.Index, Phase: s.done})
	}
	return nil
}

// remove makes nodes leave the cluster, stops them, and removes their folders. req.Plan is the cluster with them, its calls
// made for the members that stay; req.Faults are theirs, where nodes that go have some.
func (k *Keeper) remove(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	if err := k.current(req); err != nil {
		return err
	}
	if req.Plan == nil || len(req.Plan.Nodes) != len(k.rec.Plan.Nodes) {
		return errors.New("the request to remove nodes has no plan of this cluster")
	}
	faults := k.faultTable()
	if faults.Touches(req.Nodes) != (req.Faults != nil) || req.Faults != nil && req.Faults.Base != faults.Revision {
		return errOtherFaults()
	}
	rec := *k.rec
	rec.Options, rec.Plan = req.Options, req.Plan // its calls go to members that stay
	k.adopt(&rec)
	for _, n := range nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := k.removeNode(ctx, k.now(n), emit); err != nil {
			return err
		}
	}
	if req.Faults != nil {
		return k.fault(ctx, req, emit)
	}
	return k.settle(ctx, emit)
}

// removeNode removes one node. Once it has begun to leave, it is no member that anybody could rely on: who asked may go. The
// record says so before its folder goes, and is without it after.
func (k *Keeper) removeNode(ctx context.Context, n *node, emit func(control.Event)) error {
	index := n.plan.Index
	ctx, finish := k.unhurried(ctx)
	defer finish()
	if err := k.calls(ctx, n, "leave", leaving(n), emit); err != nil {
		if e, ok := errors.AsType[*control.Error](err); ok && e.Hint == "" && n.is(control.Running) {
			e.Hint = fmt.Sprintf("`onemore kill %d` first removes it without asking it", index)
		}
		return err
	}
	ctx, cancel := k.insist()
	defer cancel()
	if err := k.stopNodes(ctx, []*node{n}, true, emit); err != nil {
		return err
	}
	err := k.amendRecord(func(r *Record) {
		r.Joined = slices.DeleteFunc(r.Joined, func(i int) bool { return i == index })
	})
	if err != nil {
		return k.failed(n, "record that it has left", err)
	}
	if err := k.removeFolder(n); err != nil {
		return k.failed(n, "remove its folder", err)
	}
	err = k.amend(func(p *plan.Plan) {
		p.Nodes = slices.DeleteFunc(p.Nodes, func(p plan.Node) bool { return p.Index == index })
	})
	if err != nil {
		return k.failed(n, "record that it is gone", err)
	}
	emit(control.Event{Node: index, Phase: "removed"})
	return k.leaseFor(ctx, k.rec.Plan)
}

// leaving is the calls by which a node leaves: of one that does not run, those that are asked of another member.
func leaving(n *node) []plan.Call {
	if n.is(control.Running) {
		return n.plan.Leave
	}
	return slices.DeleteFunc(slices.Clone(n.plan.Leave), func(c plan.Call) bool { return c.Node == n.plan.Index })
}
