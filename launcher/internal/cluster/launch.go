package cluster

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// launchOptions are what a start of the node depends on: a node without faults has none by itself, so nothing is set then.
func (c *Cluster) launchOptions(n *node.Node) node.LaunchOptions {
	o := node.LaunchOptions{Group: c.Kernel.group(c.Record(), n)}
	if t := c.Faults.Table(); len(t.Faults) > 0 {
		o.Faults = c.Faults.callsOf(n)
	}
	return o
}

// Launch starts a stopped node and waits until it serves.
func (c *Cluster) Launch(ctx context.Context, n *node.Node, emit func(control.Event)) error {
	return n.Launch(ctx, c.launchOptions(n), emit)
}

// LaunchFounder is Launch for the node that founds the cluster.
func (c *Cluster) LaunchFounder(ctx context.Context, n *node.Node, emit func(control.Event)) error {
	o := c.launchOptions(n)
	o.Founds = true
	return n.Launch(ctx, o, emit)
}

// LaunchAll starts stopped nodes, all at once, and waits until they serve. When no node of the cluster runs, and the template says
// which one brings it back, that one is started first.
func (c *Cluster) LaunchAll(ctx context.Context, nodes []*node.Node, emit func(control.Event)) error {
	founder, err := c.founder(ctx, nodes)
	if err != nil {
		return err
	}
	if founder != nil {
		emit(control.Event{Node: founder.Plan.Index, Phase: "founding"})
		if err := c.LaunchFounder(ctx, founder, emit); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		if n != founder {
			g.Go(func() error { return c.Launch(ctx, n, emit) })
		}
	}
	return g.Wait()
}

// founder is which of the nodes that are to be started founds the cluster, nil: none has to. It is an error when a node does that is
// not to be started.
func (c *Cluster) founder(ctx context.Context, nodes []*node.Node) (*node.Node, error) {
	all := c.All()
	if len(nodes) == 0 || slices.ContainsFunc(all, func(n *node.Node) bool { return n.HasProcess() }) {
		return nil, nil
	}
	founder, err := node.Founder(ctx, all)
	if founder == nil || err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.Plan.Index == founder.Plan.Index {
			return n, nil
		}
	}
	n := nodes[0]
	return nil, &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: "start",
		Why:  fmt.Sprintf("no node runs, and it is node %d (%s) that brings the cluster back", founder.Plan.Index, founder.Plan.Name),
		Hint: fmt.Sprintf("`onemore start %d` first, or `onemore start` for all", founder.Plan.Index)}
}
