package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// SnapshotsFolder holds, beside the clusters, the snapshots; it is also their mark.
const SnapshotsFolder = "_snapshots"

const (
	snapshotFile    = "snapshot.json"
	snapshotVersion = 1
)

// Snapshot is what a snapshot's folder says of itself. Beside it stands a copy of every node's directory, by number.
type Snapshot struct {
	Version  int             `json:"version"`
	Time     time.Time       `json:"time"`
	Running  []int           `json:"running"`  // nodes that ran: theirs are images as after a crash of all at one moment
	Paused   time.Duration   `json:"paused"`   // how long they stood still, in nanoseconds
	Bytes    int64           `json:"bytes"`    // of content; blocks that are shared with the nodes are counted, too
	Sharing  bool            `json:"sharing"`  // blocks are shared with the nodes until either is written to
	Options  json.RawMessage `json:"options"`  // the launcher's, as in cluster.Record
	Plan     *plan.Plan      `json:"plan"`     // to restore
	Groups   bool            `json:"groups"`   // as in cluster.Record
	Revision int             `json:"revision"` // of the record that Plan was in
}

// ReadSnapshot reads what a snapshot's folder says of itself.
func ReadSnapshot(dir string) (*Snapshot, error) {
	var s Snapshot
	if err := state.ReadJSON(filepath.Join(dir, snapshotFile), &s); err != nil {
		return nil, err
	}
	if s.Version != snapshotVersion || s.Plan == nil {
		return nil, fmt.Errorf("read snapshot %s: version %d, this onemore reads %d", dir, s.Version, snapshotVersion)
	}
	return &s, nil
}

// snapshot copies every node's directory to the folder req.Snapshot. Nodes that run stand still meanwhile, all of them at
// once: what is copied is what a crash of all at that moment would leave.
func (o *Operation) snapshot(ctx context.Context, req control.Request) (err error) {
	rec := o.Cluster.Record()
	if !rec.Formed {
		return errors.New("save a snapshot: the cluster is not formed")
	}
	if _, err := os.Lstat(req.Snapshot); err == nil {
		return &control.Error{Phase: "save a snapshot", Why: fmt.Sprintf("there is one called %q already", filepath.Base(req.Snapshot)),
			Hint: "remove it with `onemore snapshot rm`, or choose another name"}
	}
	temp, unlock, err := makeTemp(req.Snapshot)
	if err != nil {
		return fmt.Errorf("save a snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, nodedir.Remove(temp, SnapshotsFolder))
		}
		_ = unlock()
	}()
	s := &Snapshot{Version: snapshotVersion, Time: time.Now().UTC(), Running: []int{}, Options: rec.Options, Plan: rec.Plan, Groups: rec.Groups, Revision: rec.Revision}
	if err := copyPaused(ctx, o.Cluster, temp, s, o.Emit); err != nil {
		return err
	}
	if err := state.WriteJSON(filepath.Join(temp, snapshotFile), s); err != nil {
		return err
	}
	if err := os.Rename(temp, req.Snapshot); err != nil {
		return err
	}
	if err := o.Cluster.Settle(ctx, o.Emit); err != nil {
		return fmt.Errorf("the snapshot is saved, but after it: %w", err)
	}
	return nil
}

// makeTemp makes the folder in which a snapshot is made, and locks it; one that a killed keeper left is removed first.
func makeTemp(dir string) (temp string, unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", nil, err
	}
	temp = filepath.Join(filepath.Dir(dir), ".new-"+filepath.Base(dir))
	if unlock, ok, err := state.TryLockDir(temp); err == nil {
		if !ok {
			return "", nil, errors.New("another cluster is saving one of that name")
		}
		err := nodedir.Remove(temp, SnapshotsFolder)
		if err = errors.Join(err, unlock()); err != nil {
			return "", nil, err
		}
	}
	if err := nodedir.Make(temp, SnapshotsFolder); err != nil {
		return "", nil, err
	}
	unlock, ok, err := state.TryLockDir(temp)
	if err == nil && !ok {
		err = errors.New("another cluster is saving one of that name")
	}
	return temp, unlock, err
}

// copyPaused copies the nodes' directories while those that run are paused, and says in s how it went.
func copyPaused(ctx context.Context, c *cluster.Cluster, to string, s *Snapshot, emit func(control.Event)) (err error) {
	var running []*node.Node
	for _, n := range c.All() {
		switch {
		case n.Is(control.Running):
			running = append(running, n)
			s.Running = append(s.Running, n.Plan.Index)
		case n.Is(control.Paused): // stands still already, and goes on doing so
			s.Running = append(s.Running, n.Plan.Index)
		}
	}
	began := time.Now()
	defer func() {
		if len(running) > 0 {
			s.Paused = time.Since(began)
		}
		err = errors.Join(err, resumeEach(running, silent))
	}()
	if err := pauseEach(running, silent); err != nil {
		return err
	}
	if err := awaitPaused(ctx, running); err != nil {
		return err
	}
	for _, n := range c.All() {
		if n.Is(control.Absent) {
			continue
		}
		st, err := nodedir.Copy(ctx, nodedir.CopySpec{From: n.Plan.Dir, To: filepath.Join(to, strconv.Itoa(n.Plan.Index)), Image: true})
		if err != nil {
			return n.Failed("copy to the snapshot", err)
		}
		s.Bytes += st.Bytes
		s.Sharing = s.Sharing || st.Reflinked > 0
		emit(control.Event{Node: n.Plan.Index, Phase: "saved"})
	}
	return nil
}

// awaitPaused returns when no process of the nodes runs on.
func awaitPaused(ctx context.Context, nodes []*node.Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("it does not stand still"))
	defer cancel()
	for _, n := range nodes {
		if err := n.AwaitPaused(ctx); err != nil {
			return err
		}
	}
	return nil
}
