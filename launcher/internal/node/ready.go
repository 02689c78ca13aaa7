package node

import (
	"context"
	"fmt"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// LaunchOptions are what a start depends on besides the node's plan.
type LaunchOptions struct {
	Group  int         // the group id of its processes, 0 for the keeper's own
	Founds bool        // it founds the cluster
	Faults []plan.Call // set the faults in force on it once it is ready; none without faults
}

// Launch starts a stopped node and waits until it serves: it says so (where it can), every planned listener is open and
// held by this node's own processes, and the template's calls answer. When it fails, the process may run on.
func (n *Node) Launch(ctx context.Context, o LaunchOptions, emit func(control.Event)) error {
	listens := func() {
		n.note("listened")
		if len(n.Plan.Ready.Calls) > 0 { // else it is ready at once
			emit(control.Event{Node: n.Plan.Index, Phase: "listening"})
		}
	}
	if t := n.Plan.Ready.Timeout.Duration; t > 0 && !limited(ctx) {
		patient, moved, cancel := WithPatience(ctx, t, func() []*Node { return []*Node{n} })
		defer cancel()
		noted := listens
		ctx, listens = patient, func() { noted(); moved() }
	}
	emit(control.Event{Node: n.Plan.Index, Phase: "starting"})
	if err := clearLeft(ctx, n); err != nil {
		return n.Failed("start", err)
	}
	if err := n.startProcess(ctx, o); err != nil {
		return n.Failed("start", err)
	}
	if err := ready(ctx, n, listens); err != nil {
		return n.Failed("wait until it is ready", err)
	}
	if err := n.Calls(ctx, "set faults", o.Faults, emit); err != nil {
		return err
	}
	n.note("was ready")
	n.set(control.Starting, control.Running)
	emit(control.Event{Node: n.Plan.Index, Phase: "ready"})
	return nil
}

// NoteMember says that the node, which runs, has served as a member of the cluster since its last start.
func (n *Node) NoteMember() {
	n.update(func() { n.member = n.state == control.Running })
}

// limited reports whether the operation has a time limit of its own, in the place of the template's.
func limited(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

// ready waits until the node serves. It calls listens when all planned listeners are open.
func ready(ctx context.Context, n *Node, listens func()) error {
	life, cancel := n.withLife(ctx)
	defer cancel()
	if n.Plan.Ready.Notify {
		if err := n.await(life, func() bool { return n.run != nil && n.run.ready }); err != nil {
			return fmt.Errorf("no READY=1 from it: %w", err)
		}
	}
	err := probe.Until(life, nil, func(context.Context) error {
		f, err := missing(n)
		switch {
		case err != nil:
			return err
		case f == nil:
			return nil
		case f.Kind == control.Stranger:
			return probe.Permanent(f) // it won't go away by itself
		}
		return f
	})
	if err != nil {
		return err
	}
	listens()
	for _, c := range n.Plan.Ready.Calls {
		if err := awaitCall(life, n, c); err != nil {
			return err
		}
	}
	return nil
}

// AwaitStaged waits until the node lets the next one be started, where the template says that nodes start one after another.
func (n *Node) AwaitStaged(ctx context.Context) error {
	if n.Plan.Staged == nil {
		return nil
	}
	if err := n.await(ctx, func() bool { return n.run != nil || n.state == control.Exited }); err != nil {
		return err
	}
	life, cancel := n.withLife(ctx)
	defer cancel()
	if err := awaitCall(life, n, *n.Plan.Staged); err != nil {
		return n.Failed("wait for its turn to be followed", err)
	}
	return nil
}
