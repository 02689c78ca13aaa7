package operation

import (
	"context"
	"errors"

	"onemore/launcher/internal/cluster"
)

// Recover reads the record of the folder that carries the mark id, and puts in order what an earlier keeper of it has left:
// processes, rules in the kernel, an upgrade half way. After an error nothing can be done with the cluster but to take it down.
func Recover(ctx context.Context, c *cluster.Cluster, id string) error {
	rec, err := cluster.ReadRecordIfAny(c.Dir())
	if rec != nil {
		c.Adopt(rec)
	}
	err = errors.Join(err, c.Host.Processes.KillStrays(c.Dir(), id), c.Kernel.Heal(ctx, id))
	if err != nil {
		return err
	}
	return putBackInterrupted(c)
}
