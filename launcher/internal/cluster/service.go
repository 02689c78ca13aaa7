package cluster

import (
	"context"
	"os"
	"path/filepath"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// StartService starts the cluster's helper process, if the plan has one and it does not run.
func (c *Cluster) StartService(ctx context.Context, emit func(control.Event)) error {
	rec := c.Record()
	sp := rec.Plan.Service
	if sp == nil || c.service != nil && c.service.HasProcess() {
		return nil
	}
	folder := filepath.Join(c.dir, node.ServiceFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	p := plan.Node{Name: "service", Folder: folder, Dir: folder, Workdir: folder, Log: sp.Log, Command: sp.Command,
		Env: sp.Env, Listeners: rec.Plan.Shared, Stop: stopOf(rec.Plan)}
	n := node.New(c.Host, p)
	if c.service != nil {
		n = c.service.With(p) // what its last process has left is cleared
	}
	c.Host.SetService(n)
	c.service = n
	err := c.Launch(ctx, n, emit)
	if err != nil {
		c.StopService(context.WithoutCancel(ctx), true)
	}
	return err
}

// stopOf is how the helper process is stopped. It has the longest time to end in that a node has.
func stopOf(p *plan.Plan) plan.Stop {
	stop := plan.Stop{Signal: "TERM", Discard: "KILL"}
	for _, n := range p.Nodes {
		stop.Grace.Duration = max(stop.Grace.Duration, n.Stop.Grace.Duration)
	}
	return stop
}

// StopService stops the helper process, if there is one, with its data to be kept or not.
func (c *Cluster) StopService(ctx context.Context, discard bool) {
	if c.service != nil {
		c.StopLogged(ctx, []*node.Node{c.service}, discard)
	}
}

// StopIdleService stops the helper process when no node runs that it could help, and with it whatever is left of the cluster: nothing
// of it runs then.
func (c *Cluster) StopIdleService(ctx context.Context) error {
	for _, n := range c.All() {
		if n.HasProcess() {
			return nil
		}
	}
	c.StopService(ctx, false)
	return c.Host.Processes.KillAll()
}
