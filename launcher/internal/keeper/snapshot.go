package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
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
	Options  json.RawMessage `json:"options"`  // the launcher's, as in Record
	Plan     *plan.Plan      `json:"plan"`     // to restore
	Groups   bool            `json:"groups"`   // as in Record
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
func (k *Keeper) snapshot(ctx context.Context, req control.Request, emit func(control.Event)) (err error) {
	if !k.rec.Formed {
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
	s := &Snapshot{Version: snapshotVersion, Time: time.Now().UTC(), Running: []int{}, Options: k.rec.Options, Plan: k.rec.Plan, Groups: k.rec.Groups, Revision: k.rec.Revision}
	if err := k.copyStill(ctx, temp, s, emit); err != nil {
		return err
	}
	if err := state.WriteJSON(filepath.Join(temp, snapshotFile), s); err != nil {
		return err
	}
	if err := os.Rename(temp, req.Snapshot); err != nil {
		return err
	}
	if err := k.settle(ctx, emit); err != nil {
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

// copyStill copies the nodes' directories while none of them runs.
func (k *Keeper) copyStill(ctx context.Context, to string, s *Snapshot, emit func(control.Event)) (err error) {
	var still []*node
	for _, n := range k.all() {
		if n.is(control.Running) {
			still = append(still, n)
			s.Running = append(s.Running, n.plan.Index)
		}
	}
	began := time.Now()
	defer func() {
		if len(still) > 0 {
			s.Paused = time.Since(began)
		}
		err = errors.Join(err, k.shift(still, resuming, func(control.Event) {}))
	}()
	if err := k.shift(still, pausing, func(control.Event) {}); err != nil {
		return err
	}
	if err := k.awaitStill(ctx, still); err != nil {
		return err
	}
	for _, n := range k.all() {
		if n.is(control.Absent) {
			continue
		}
		st, err := nodedir.Copy(ctx, nodedir.CopySpec{From: n.plan.Dir, To: filepath.Join(to, strconv.Itoa(n.plan.Index)), Image: true})
		if err != nil {
			return k.failed(n, "copy to the snapshot", err)
		}
		s.Bytes += st.Bytes
		s.Sharing = s.Sharing || st.Reflinked > 0
		emit(control.Event{Node: n.plan.Index, Phase: "saved"})
	}
	return nil
}

// awaitStill returns when no thread of the nodes runs on: a signal takes effect some time after it was sent.
func (k *Keeper) awaitStill(ctx context.Context, nodes []*node) error {
	families, err := k.families()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("it does not stand still"))
	defer cancel()
	for _, n := range nodes {
		for _, id := range families[n.plan.Index] {
			err := probe.Until(ctx, nil, func(context.Context) error {
				still, err := proc.Stopped(id)
				if err == nil && !still {
					err = fmt.Errorf("%v still runs", id)
				}
				return err
			})
			if err != nil {
				return k.failed(n, "pause", err)
			}
		}
	}
	return nil
}

// restore makes the cluster of a snapshot, under the names and ports that it had, and starts all of its nodes.
func (k *Keeper) restore(ctx context.Context, req control.Request, emit func(control.Event)) (err error) {
	if k.rec != nil && k.rec.Formed {
		return &control.Error{Phase: "restore a snapshot", Why: fmt.Sprintf("cluster %q is there", k.rec.Plan.Cluster), Hint: "take it down first"}
	}
	s, err := ReadSnapshot(req.Snapshot)
	if err != nil {
		return err
	}
	req.Plan, req.Options, req.Groups, req.Nodes = s.Plan, s.Options, s.Groups, nil
	if k.rec != nil {
		req.Revision = k.rec.Revision
	}
	u := &undertaking{k: k, req: req, emit: emit}
	if err := u.begin(ctx); err != nil {
		if e, ok := errors.AsType[*control.Error](err); ok && e.Clash {
			e.Hint = "a snapshot comes back on the ports that it was saved with: free them first"
		}
		return u.abandon(err)
	}
	defer func() {
		if err != nil {
			err = u.undo(err)
		}
	}()
	for _, n := range u.made {
		if err := k.restoreNode(ctx, n, req.Snapshot, emit); err != nil {
			return k.failed(n, "restore", err)
		}
	}
	if err := k.startService(ctx, emit); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range u.made {
		if n.is(control.Stopped) {
			g.Go(func() error { return k.launch(gctx, n, emit) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	u.made = slices.DeleteFunc(u.made, func(n *node) bool { return n.is(control.Absent) })
	if err := k.settleWith(ctx, u.made, emit); err != nil {
		return err
	}
	return u.finish()
}

// restoreNode makes a node's folder from a snapshot. A node that the snapshot does not have was not made when it was saved.
func (k *Keeper) restoreNode(ctx context.Context, n *node, snapshot string, emit func(control.Event)) error {
	p := n.plan
	from := filepath.Join(snapshot, strconv.Itoa(p.Index))
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	emit(control.Event{Node: p.Index, Phase: "copying", Text: from})
	if err := k.removeFolder(n); err != nil {
		return err
	}
	if err := nodedir.Make(p.Folder, k.rec.Plan.ID); err != nil {
		return err
	}
	if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: from, To: p.Dir, Image: true}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.Folder, startFile), []byte(k.startScript(p)), 0o755); err != nil {
		return err
	}
	n.update(func() { n.state = control.Stopped })
	return nil
}
