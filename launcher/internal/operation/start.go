package operation

import (
	"context"
	"errors"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// start starts nodes that are made and don't run, and waits until the cluster has settled. When it fails, also because one of them has
// something that is not its alone, those are stopped again.
// Their texts become those of next first; nil leaves them as they are.
func (o *Operation) start(ctx context.Context, nodes []*node.Node, next *plan.Plan) error {
	c := o.Cluster
	if err := c.Leases.Take(ctx, c.Record(), c.Record().Plan); err != nil {
		return err
	}
	if err := c.Services.Start(ctx, c.Record().Plan, o.Emit); err != nil {
		return err
	}
	started, err := startable(ctx, nodes, o.Emit)
	if err != nil {
		return err
	}
	if len(started) == 0 {
		o.Emit(nothingToDo(nodes, "is stopped"))
	}
	if started, err = membersOf(o, next).write(started); err != nil {
		return err
	}
	err = c.LaunchAll(ctx, started, o.Emit)
	if err == nil {
		err = c.SettleWith(ctx, started, o.Emit)
	}
	if err == nil {
		_, err = c.CheckShared(started)
	}
	if err != nil {
		stopAgain(ctx, c, started)
	}
	return err
}

// stopAgain stops nodes whose start failed, unless the operation was preempted: then all are stopped anyway.
func stopAgain(ctx context.Context, c *cluster.Cluster, nodes []*node.Node) {
	if !errors.Is(context.Cause(ctx), ErrPreempted) {
		c.StopLogged(context.WithoutCancel(ctx), nodes, false)
	}
}

// startable returns those of the nodes that are to be started. One that a stop left half way is stopped first.
func startable(ctx context.Context, nodes []*node.Node, emit func(control.Event)) ([]*node.Node, error) {
	var out, half []*node.Node
	for _, n := range nodes {
		switch {
		case n.Is(control.Paused):
			return nil, pausedError(n, "start")
		case n.Is(control.Stopping):
			half = append(half, n)
			out = append(out, n)
		case n.Is(control.Stopped, control.Exited):
			out = append(out, n)
		}
	}
	if err := checkFolders(out, "start"); err != nil {
		return nil, err
	}
	return out, node.StopAll(ctx, half, false, emit)
}
