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
	if pid.IsZero() {
		return nil
	}
	limited, cancel := timeLimit(ctx, c.timeout)
	defer cancel()
	return timedOut(limited, proc.Wait(limited, pid))
}

// Own makes this process an owner of the cluster: when release is called or the process dies, the keeper takes the cluster
// down, unless another process owns it too; release returns when it is down. gone is closed when the keeper has ended.
func (c *Cluster) Own(ctx context.Context) (release func(), gone <-chan struct{}, err error) {
	own, _, err := c.hold(ctx, control.Request{Op: control.OpHold})
	return own.release, own.gone, err
}
