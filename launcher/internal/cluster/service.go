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
	folder := filepath.Join(c.dir, "service")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	n := node.New(c.Host, plan.Node{Name: "service", Folder: folder, Dir: folder, Workdir: folder, Log: sp.Log, Command: sp.Command,
		Env: sp.Env, Listeners: rec.Plan.Shared, Stop: plan.Stop{Signal: "TERM", Discard: "KILL"}})
	c.Host.SetService(n)
	c.service = n
	err := c.Launch(ctx, n, emit)
	if err != nil {
		c.StopService(context.WithoutCancel(ctx))
	}
	return err
}

// StopService stops the helper process, if there is one, and discards its data.
func (c *Cluster) StopService(ctx context.Context) {
	if c.service != nil {
		c.StopLogged(ctx, []*node.Node{c.service}, true)
	}
}
