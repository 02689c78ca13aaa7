package cluster

import (
	"context"
	"fmt"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/probe"
)

// Settle waits until every running node itself says that it sees all running ones: as many, and, where it says whom, the
// same as the others. Two that see two each need not see each other. A paused node can't say anything, and the others may still
// take it for a member, each as long as it likes: it counts for them or not.
func (c *Cluster) Settle(ctx context.Context, emit func(control.Event)) error {
	if t := c.Faults.Table(); t.Cut() {
		emit(control.Event{Phase: "not waiting", Text: "for all to see each other: a fault keeps them apart"})
		return nil
	}
	nodes := c.All()
	want := expectedMembers(c.Record(), nodes)
	var differs *report
	err := probe.Until(ctx, nil, func(ctx context.Context) error {
		reports := awaitReports(ctx, c.Record(), nodes, want, emit)
		if err := blame(reports, want); err != nil {
			if differs != nil && ctx.Err() != nil {
				return differs.err // the time was over while they were asked once more
			}
			return probe.Permanent(err)
		}
		emit = func(control.Event) {} // each is reported once
		if differs = disagreement(reports); differs == nil || want.Least < want.Most {
			return nil
		}
		return differs.err
	})
	if err != nil && differs != nil {
		return differs.n.Failed(differs.phase, err)
	}
	if err == nil {
		for _, n := range nodes {
			n.NoteMember()
		}
	}
	return err
}

// SettleWith is Settle for nodes that were brought up: it fails when one of them has ended meanwhile, which Settle alone takes
// for a smaller cluster.
func (c *Cluster) SettleWith(ctx context.Context, up []*node.Node, emit func(control.Event)) error {
	if err := ended(up); err != nil {
		return err
	}
	if err := c.Settle(ctx, emit); err != nil {
		return err
	}
	return ended(up)
}

// ended returns an error for the first of the nodes that does not run.
func ended(nodes []*node.Node) error {
	for _, n := range nodes {
		if !n.Is(control.Running) {
			return n.Failed("run as a member", fmt.Errorf("%w: %s", node.ErrExited, n.Exit()))
		}
	}
	return nil
}

// expectedMembers is how many members a settled node reports: those that run, and the others too where the server counts them.
func expectedMembers(rec *Record, nodes []*node.Node) node.Expected {
	e := node.Expected{Nodes: len(nodes)}
	for _, n := range nodes {
		switch {
		case n.Is(control.Running), n.Plan.Members.IncludesStopped && rec.HasJoined(n.Plan.Index):
			e.Least++
			e.Most++
		case n.Is(control.Paused):
			e.Most++
		}
	}
	return e
}
