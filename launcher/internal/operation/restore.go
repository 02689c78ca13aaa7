package operation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// restore makes the cluster of a snapshot, under the names and ports that it had, and starts all of its nodes. When it fails,
// everything is undone.
func (o *Operation) restore(ctx context.Context, req control.Request) (err error) {
	rec := o.Cluster.Record()
	if rec != nil && rec.Formed {
		return &control.Error{Phase: "restore a snapshot", Why: fmt.Sprintf("cluster %q is there", rec.Plan.Cluster), Hint: "take it down first"}
	}
	s, err := ReadSnapshot(req.Snapshot)
	if err != nil {
		return err
	}
	req.Plan, req.Options, req.Groups, req.Nodes = s.Plan, s.Options, s.Groups, nil
	if rec != nil {
		req.Revision = rec.Revision
	}
	t := &transaction{o: o, req: req}
	defer func() {
		if err != nil {
			err = t.rollback(err)
		}
	}()
	if err := t.begin(ctx); err != nil {
		if e, ok := errors.AsType[*control.Error](err); ok && e.Clash {
			e.Hint = "a snapshot comes back on the ports that it was saved with: free them first"
		}
		return err
	}
	if err := t.copyBack(ctx); err != nil {
		return err
	}
	if err := o.Cluster.Services.Start(ctx, o.Cluster.Record().Plan, o.Emit); err != nil {
		return err
	}
	if err := o.Cluster.LaunchAll(ctx, t.created, o.Emit); err != nil {
		return err
	}
	if err := o.Cluster.SettleWith(ctx, t.created, o.Emit); err != nil {
		return err
	}
	return t.commit()
}

// copyBack makes the nodes' folders from the snapshot. A node that it does not have was not made when it was saved, and is
// none that is created.
func (t *transaction) copyBack(ctx context.Context) error {
	for _, n := range t.created {
		from := filepath.Join(t.req.Snapshot, strconv.Itoa(n.Plan.Index))
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := n.MakeFrom(ctx, from, t.o.Emit); err != nil {
			return n.Failed("restore", err)
		}
	}
	t.created = slices.DeleteFunc(t.created, func(n *node.Node) bool { return n.Is(control.Absent) })
	return nil
}
