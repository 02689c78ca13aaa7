package operation

import (
	"context"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// restart stops and starts nodes: all at once, or one after the other with the cluster settled in between.
func (o *Operation) restart(ctx context.Context, req control.Request, nodes []*node.Node) error {
	if err := checkNext(o.Cluster.Record(), req); err != nil {
		return err
	}
	if err := checkFolders(nodes, "restart"); err != nil {
		return err
	}
	batches := [][]*node.Node{nodes}
	if req.Rolling {
		batches = slices.Collect(slices.Chunk(nodes, 1))
	}
	for _, b := range batches {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if req.Rolling {
			if err := drain(ctx, b, o.Emit); err != nil {
				return err
			}
		}
		if err := o.restartTogether(ctx, b, req.Next); err != nil {
			return err
		}
	}
	return nil
}

// drain makes the template's calls before a planned stop of nodes.
func drain(ctx context.Context, nodes []*node.Node, emit func(control.Event)) error {
	for _, n := range nodes {
		if !n.Is(control.Running) {
			continue
		}
		if err := n.Calls(ctx, "drain", n.Plan.Drain, emit); err != nil {
			return err
		}
	}
	return nil
}

// restartTogether stops nodes and starts them again, also when the client goes in between.
func (o *Operation) restartTogether(ctx context.Context, nodes []*node.Node, next *plan.Plan) error {
	ctx, cancel := o.detached(ctx)
	defer cancel()
	if err := node.StopAll(ctx, nodes, false, o.Emit); err != nil {
		return err
	}
	return o.start(ctx, nodes, next)
}
