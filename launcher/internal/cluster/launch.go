package cluster

import (
	"context"

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

// LaunchAll starts stopped nodes, all at once, and waits until they serve.
func (c *Cluster) LaunchAll(ctx context.Context, nodes []*node.Node, emit func(control.Event)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return c.Launch(ctx, n, emit) })
	}
	return g.Wait()
}
