package operation

import (
	"context"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// kill sends SIGKILL to all processes of the nodes and returns when they are gone: a crash, so nothing else is done.
func (o *Operation) kill(ctx context.Context, nodes []*node.Node) error {
	if err := checkRunning(o.Cluster, nodes, "kill"); err != nil {
		return err
	}
	for _, n := range nodes {
		if !n.HasProcess() {
			continue
		}
		if err := n.Kill(ctx); err != nil {
			return err
		}
		o.Emit(control.Event{Node: n.Plan.Index, Phase: "killed"})
	}
	return nil
}
