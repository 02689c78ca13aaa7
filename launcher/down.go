package launcher

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/proc"
)

// Down stops the cluster and removes it; with keepData its directories stay, and Up starts it again. It returns when the
// keeper has ended too.
func (c *Cluster) Down(ctx context.Context, keepData bool) error {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return noCluster(c.name)
	}
	pid, _ := c.keeperID()
	_, err := c.do(ctx, control.Request{Op: control.OpDown, KeepData: keepData})
	if err != nil {
		return err
	}
	if now, ok := c.keeperID(); ok {
		pid = now
	}
	if !pid.IsZero() {
		return proc.Wait(ctx, pid)
	}
	return nil
}

// Watch returns a channel that is closed when the cluster's keeper has ended, because somebody took the cluster down or because it
// was killed; stop ends the watch.
func (c *Cluster) Watch(ctx context.Context) (gone <-chan struct{}, stop func(), err error) {
	cl, _, err := c.send(ctx, control.Request{Op: control.OpHold})
	if err != nil {
		return nil, nil, err
	}
	gone = cl.Gone()
	return gone, func() { cl.Close(); <-gone }, nil
}
