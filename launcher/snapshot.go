package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/operation"
	"onemore/launcher/internal/state"
)

// Snapshot is a saved cluster.
type Snapshot struct {
	Name     string    `json:"name"`
	Cluster  string    `json:"cluster"`
	Template string    `json:"template"`
	Time     time.Time `json:"time"`
	Nodes    int       `json:"nodes"`
	// Running is how many nodes ran. They were paused, all at once, while they were copied: the snapshot is what a crash of all of
	// them at that moment would have left. The others are as they were stopped.
	Running  int    `json:"running"`
	PausedMS int64  `json:"paused_ms"`
	Bytes    int64  `json:"bytes"`
	Sharing  bool   `json:"sharing"` // copied by reflink: it shares its blocks with the nodes' files until either is written to
	Dir      string `json:"dir"`
}

// SaveSnapshot copies the directories of all nodes. Nodes that run are paused meanwhile.
func (c *Cluster) SaveSnapshot(ctx context.Context, name string) (*Snapshot, error) {
	dir, err := snapshotDir(name)
	if err != nil {
		return nil, err
	}
	if _, err := c.do(ctx, control.Request{Op: control.OpSnapshot, Snapshot: dir}); err != nil {
		return nil, err
	}
	return openSnapshot(name)
}

// Snapshots lists what was saved. The error names those that are damaged; the others are returned too.
func Snapshots() ([]*Snapshot, error) {
	home, err := homeDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(home, operation.SnapshotsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := []*Snapshot{}
	var errs []error
	for _, e := range entries {
		if state.ValidName(e.Name()) != nil {
			continue // it is being saved
		}
		s, err := openSnapshot(e.Name())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// RemoveSnapshot removes a saved cluster.
func RemoveSnapshot(name string) error {
	dir, err := snapshotDir(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(dir); err != nil {
		return noSnapshot(name, err)
	}
	return nodedir.Discard(dir, operation.SnapshotsFolder)
}

// Restore makes a cluster from a snapshot, under the name, with the nodes and on the ports that it had, and returns when all
// of its nodes run and see each other. Of the options, only Timeout, Keep and Progress count, and Cluster, which must be the
// snapshot's own or "".
func Restore(ctx context.Context, name string, o Options) (*Cluster, *Status, error) {
	c, st, _, err := restore(ctx, name, o, false)
	return c, st, err
}

// RestoreOwned is Restore that makes this process the owner of the cluster.
func RestoreOwned(ctx context.Context, name string, o Options) (*Cluster, *Status, *Ownership, error) {
	return restore(ctx, name, o, true)
}

func restore(ctx context.Context, name string, o Options, own bool) (*Cluster, *Status, *Ownership, error) {
	dir, err := snapshotDir(name)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := operation.ReadSnapshot(dir)
	if err != nil {
		return nil, nil, nil, noSnapshot(name, err)
	}
	if o.Cluster != "" && o.Cluster != s.Plan.Cluster {
		return nil, nil, nil, &InputError{Err: fmt.Errorf("snapshot %q is of cluster %q; it can't become %q", name, s.Plan.Cluster, o.Cluster),
			Hint: "its nodes have their names and paths in their files: leave -c out"}
	}
	c, err := locate(s.Plan.Cluster, o)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.dir != s.Plan.Dir {
		return nil, nil, nil, &InputError{Err: fmt.Errorf("snapshot %q is of a cluster in %s; here it would be in %s", name, s.Plan.Dir, c.dir),
			Hint: "its nodes have their paths in their files: set ONEMORE_HOME to what it was"}
	}
	req := control.Request{Op: control.OpRestore, Snapshot: dir, Keep: o.Keep}
	if own {
		owned, st, err := c.hold(ctx, req)
		return c, st, owned, err
	}
	st, err := c.do(ctx, req)
	return c, st, nil, err
}

func snapshotDir(name string) (string, error) {
	if state.ValidName(name) != nil {
		return "", &InputError{Err: fmt.Errorf("%q can't name a snapshot", name), Hint: "letters, digits, '.', '_' and '-', with a letter or digit at both ends"}
	}
	home, err := homeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, operation.SnapshotsFolder, name), nil
}

func openSnapshot(name string) (*Snapshot, error) {
	dir, err := snapshotDir(name)
	if err != nil {
		return nil, err
	}
	s, err := operation.ReadSnapshot(dir)
	if err != nil {
		return nil, noSnapshot(name, err)
	}
	return &Snapshot{Name: name, Cluster: s.Plan.Cluster, Template: s.Plan.Template, Time: s.Time, Nodes: len(s.Plan.Nodes),
		Running: len(s.Running), PausedMS: s.Paused.Milliseconds(), Bytes: s.Bytes, Sharing: s.Sharing, Dir: dir}, nil
}

func noSnapshot(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &InputError{Err: fmt.Errorf("there is no snapshot %q", name), Hint: "`onemore snapshot ls` lists what there is"}
	}
	return fmt.Errorf("snapshot %q: %w", name, err)
}
