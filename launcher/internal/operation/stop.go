package operation

import (
	"context"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// stop stops running nodes as their template says, all at once, and waits until the rest has settled.
func (o *Operation) stop(ctx context.Context, nodes []*node.Node) error {
	running := slices.DeleteFunc(slices.Clone(nodes), func(n *node.Node) bool { return !n.HasProcess() })
	if err := checkFolders(running, "stop"); err != nil {
		return err
	}
	if len(running) == 0 && !slices.ContainsFunc(nodes, func(n *node.Node) bool { return n.Is(control.Exited) }) {
		o.Emit(nothingToDo(nodes, "runs"))
	}
	if err := node.StopAll(ctx, nodes, false, o.Emit); err != nil {
		return err
	}
	if err := o.Cluster.StopIdleServices(ctx); err != nil {
		return err
	}
	return o.Cluster.Settle(ctx, o.Emit)
}
