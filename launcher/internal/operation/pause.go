package operation

import (
	"context"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// pause stops every process of the nodes where it is.
func (o *Operation) pause(nodes []*node.Node) error {
	if err := checkRunning(o.Cluster, nodes, "pause"); err != nil {
		return err
	}
	if !anyIs(nodes, control.Running) {
		o.Emit(nothingToDo(nodes, "is running"))
	}
	return pauseEach(nodes, o.Emit)
}

// resume lets nodes go on, with the faults that were set or healed while they stood still.
func (o *Operation) resume(ctx context.Context, nodes []*node.Node) error {
	paused := slices.DeleteFunc(slices.Clone(nodes), func(n *node.Node) bool { return !n.Is(control.Paused) })
	if len(paused) == 0 {
		o.Emit(nothingToDo(nodes, "is paused"))
	}
	if err := resumeEach(paused, o.Emit); err != nil {
		return err
	}
	for _, n := range paused {
		if err := o.Cluster.CallFaultsOf(ctx, n, o.Emit); err != nil {
			return err
		}
	}
	return o.Cluster.Settle(ctx, o.Emit)
}

func anyIs(nodes []*node.Node, s control.State) bool {
	return slices.ContainsFunc(nodes, func(n *node.Node) bool { return n.Is(s) })
}

func pauseEach(nodes []*node.Node, emit func(control.Event)) error {
	for _, n := range nodes {
		if err := n.Pause(emit); err != nil {
			return err
		}
	}
	return nil
}

func resumeEach(nodes []*node.Node, emit func(control.Event)) error {
	for _, n := range nodes {
		if err := n.Resume(emit); err != nil {
			return err
		}
	}
	return nil
}
