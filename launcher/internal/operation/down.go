package operation

import (
	"context"
	"errors"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
)

// down stops everything; unless data is to be kept it removes everything too. It goes on when its client goes: half a cluster is of
// use to nobody.
func (o *Operation) down(ctx context.Context, req control.Request) error {
	ctx, cancel := o.detached(ctx)
	defer cancel()
	c := o.Cluster
	if c.Record() == nil {
		return o.downUnrecorded(ctx, req)
	}
	if err := node.StopAll(ctx, c.All(), !req.KeepData, o.Emit); err != nil {
		return err
	}
	c.Services.Stop(ctx, !req.KeepData)
	if err := c.Kernel.Heal(ctx, c.Host.ID()); err != nil {
		return err
	}
	if err := c.Host.Processes.KillAll(); err != nil {
		return err
	}
	if err := awaitPortsFree(ctx, c); err != nil {
		return err
	}
	if req.KeepData {
		return nil
	}
	return o.Folder.Remove()
}

// downUnrecorded is down for a folder without a record that can be read: what runs is found by the folder's mark.
func (o *Operation) downUnrecorded(ctx context.Context, req control.Request) error {
	if !o.Folder.Held() {
		return nil
	}
	c := o.Cluster
	id, _, err := nodedir.Marked(c.Dir())
	if err == nil {
		err = errors.Join(c.Host.Processes.KillStrays(c.Dir(), id), c.Kernel.Heal(ctx, id))
	}
	if err != nil || req.KeepData {
		return err
	}
	return o.Folder.Remove()
}

// awaitPortsFree waits until no process of the cluster holds a planned port.
func awaitPortsFree(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("still held"))
	defer cancel()
	return probe.Until(ctx, nil, func(context.Context) error {
		table, err := ports.Sockets()
		if err != nil {
			return err
		}
		for _, n := range c.All() {
			if err := c.Host.HeldPort(n, table); err != nil {
				return err
			}
		}
		return nil
	})
}
