package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// Beside a node's directory, in its folder: what an upgrade set aside, for going back.
const (
	beforeFolder = "before"
	innerDir     = "dir"       // in it: the directory itself
	beforeFile   = "node.json" // how the node was
)

// before is a node as it was before its upgrade. Its directory, data included, stands beside this file.
type before struct {
	Node    plan.Node    `json:"node"`
	Options plan.Options `json:"options"` // the cluster's
	// Upgrade is the same for all nodes of one upgrade, and higher for every later one.
	Upgrade int `json:"upgrade"`
	// Swapping is true from before the directory is set aside until its successor is complete: after a crash in between,
	// the old one is put back.
	Swapping bool `json:"swapping"`
	Done     bool `json:"done"` // the upgraded node has run as a member
}

// upgrade gives nodes the directory and command of req.Plan, one after the other, the cluster settled in between. It stops
// at the first failure.
func (k *Keeper) upgrade(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	if req.Rollback {
		return k.rollback(ctx, req, nodes, emit)
	}
	if req.Plan == nil {
		return errors.New("upgrade: the request has no plan")
	}
	if err := k.current(req); err != nil {
		return err
	}
	number, err := k.upgradeNumber()
	if err != nil {
		return err
	}
	for i, n := range nodes {
		at := slices.IndexFunc(req.Plan.Nodes, func(p plan.Node) bool { return p.Index == n.plan.Index })
		if at < 0 {
			return fmt.Errorf("upgrade: the request's plan has no node %d", n.plan.Index)
		}
		swapped, err := k.upgradeNode(ctx, n, req.Plan.Nodes[at], number, emit)
		if err != nil {
			return halted(err, n, i, len(nodes), swapped)
		}
	}
	return k.amend(func(p *plan.Plan) { p.Options = req.Plan.Options })
}

// halted says how far an upgrade came with which node, and the ways on.
func halted(err error, n *node, done, of int, swapped bool) error {
	e := control.AsError(err)
	if done > 0 {
		e.Why += fmt.Sprintf("; %d of %d nodes were upgraded before it", done, of)
	}
	switch {
	case errors.Is(err, errNotBack):
		e.Hint = "mend what stands in the way: the next command puts it back before anything else"
	case swapped:
		e.Hint = fmt.Sprintf("node %d is stopped; `onemore upgrade --rollback` takes it, and those before it, back to what they were; or mend the source and upgrade again",
			n.plan.Index)
	case done > 0:
		e.Hint = fmt.Sprintf("node %d is as it was; `onemore upgrade --rollback` takes those before it back, too", n.plan.Index)
	default:
		e.Hint = "nothing was changed"
	}
	return e
}

// upgradeNumber is that of the upgrade which begins: the present one's where one did not come to its end.
func (k *Keeper) upgradeNumber() (int, error) {
	for _, n := range k.all() {
		if b, err := n.before(); err != nil || b != nil && !b.Done {
			if err != nil {
				return 0, err
			}
			return b.Upgrade, nil
		}
	}
	return k.rec.Revision, nil
}

// upgradeNode upgrades one node. swapped tells whether its directory is the new one when it fails.
func (k *Keeper) upgradeNode(ctx context.Context, n *node, next plan.Node, number int, emit func(control.Event)) (swapped bool, err error) {
	if n.is(control.Paused) {
		return false, &control.Error{Node: n.plan.Index, Name: n.plan.Name, Phase: "upgrade", Why: "it is paused", Hint: "use resume"}
	}
	if err := k.settle(ctx, emit); err != nil {
		return false, err
	}
	had, err := n.before()
	if err != nil {
		return false, err
	}
	run := n.is(control.Running) || had != nil && !had.Done // what a failed upgrade left stopped is to run again
	if n.is(control.Running) {
		if err := k.calls(ctx, n, "drain", next.Drain, emit); err != nil {
			return false, err
		}
	}
	ctx, cancel := k.unhurried(ctx) // from here on the node is finished, also when who asked has gone
	defer cancel()
	if err := k.stopNodes(ctx, []*node{n}, false, emit); err != nil {
		return false, k.goOn(n, run, err, emit)
	}
	emit(control.Event{Node: n.plan.Index, Phase: "upgrading", Text: next.Source})
	if err := k.swap(ctx, n, next, number); err != nil {
		err = k.failed(n, "upgrade", err)
		if back := k.putBack(n); back != nil {
			return false, errors.Join(err, fmt.Errorf("%w: %w", errNotBack, back))
		}
		return false, k.goOn(n, run, err, emit)
	}
	n = k.now(n)
	if run {
		if err := k.start(ctx, []*node{n}, emit); err != nil {
			k.stopAgain(ctx, []*node{n})
			return true, err
		}
	}
	return true, k.noteBefore(n, func(b *before) { b.Done = true })
}

// goOn starts a node again whose upgrade failed before anything of it was changed, if it ran.
func (k *Keeper) goOn(n *node, run bool, cause error, emit func(control.Event)) error {
	if !run {
		return cause
	}
	ctx, cancel := k.insist()
	defer cancel()
	return errors.Join(cause, k.start(ctx, []*node{k.now(n)}, emit))
}

// errNotBack says that a node's directory is still set aside.
var errNotBack = errors.New("what it was can't be put back")

// swap replaces a stopped node's directory by one made from the new source, with what is to be kept of the old. When it
// fails, putBack makes everything as before.
func (k *Keeper) swap(ctx context.Context, n *node, next plan.Node, number int) error {
	if err := k.setAside(n, number); err != nil {
		return err
	}
	if err := remake(ctx, next, filepath.Join(n.plan.Folder, beforeFolder, innerDir)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(next.Folder, startFile), []byte(k.startScript(next)), 0o755); err != nil {
		return err
	}
	if err := k.amendNode(next); err != nil {
		return err
	}
	return k.noteBefore(n, func(b *before) { b.Swapping = false })
}

// remake makes the directory of an upgraded node: the new source, over it what stays of the old, then the plan's edits.
func remake(ctx context.Context, p plan.Node, old string) error {
	if p.Source != "" {
		if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: p.Source, To: p.Dir, Exclude: p.Exclude, Share: p.Share}); err != nil {
			return err
		}
	} else if err := os.Mkdir(p.Dir, 0o755); err != nil {
		return err
	}
	for _, f := range p.Files {
		if err := nodedir.WriteFile(p.Dir, f.Path, []byte(f.Text), fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if len(p.Keep) > 0 { // after the files: one that stays wins over the template's
		if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: old, To: p.Dir, Only: p.Keep, Over: true, Image: true}); err != nil {
			return err
		}
	}
	for _, d := range p.Dirs {
		if err := os.MkdirAll(filepath.Join(p.Dir, filepath.FromSlash(d)), 0o755); err != nil {
			return err
		}
	}
	return configure(p, nil)
}

// setAside moves a node's directory to before. What an upgrade that did not come to its end has left there stays: it is
// what people want to go back to.
func (k *Keeper) setAside(n *node, number int) error {
	folder := filepath.Join(n.plan.Folder, beforeFolder)
	had, err := n.before()
	if err != nil {
		return err
	}
	if had != nil && !had.Done {
		if err := k.noteBefore(n, func(b *before) { b.Swapping = true }); err != nil {
			return err
		}
		return k.scrap(n)
	}
	if err := nodedir.Discard(folder, k.rec.Plan.ID); err != nil {
		return err
	}
	if err := nodedir.Make(folder, k.rec.Plan.ID); err != nil {
		return err
	}
	b := before{Node: n.plan, Options: k.rec.Plan.Options, Upgrade: number, Swapping: true}
	if err := state.WriteJSON(filepath.Join(folder, beforeFile), b); err != nil {
		return err
	}
	return os.Rename(n.plan.Dir, filepath.Join(folder, innerDir))
}

// before returns how a node was before its upgrade, nil where there was none.
func (n *node) before() (*before, error) {
	var b before
	err := state.ReadJSON(filepath.Join(n.plan.Folder, beforeFolder, beforeFile), &b)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &b, err
}

func (k *Keeper) noteBefore(n *node, change func(*before)) error {
	b, err := n.before()
	if err != nil || b == nil {
		return err
	}
	change(b)
	return state.WriteJSON(filepath.Join(n.plan.Folder, beforeFolder, beforeFile), b)
}

// putBack makes a node what it was before its upgrade, its data included. It may be called again after a crash. It makes room
// before it writes anything: a full disk may be what stopped the upgrade.
func (k *Keeper) putBack(n *node) error {
	b, err := n.before()
	if err != nil || b == nil {
		return err
	}
	folder := filepath.Join(n.plan.Folder, beforeFolder)
	old := filepath.Join(folder, innerDir)
	if _, err := os.Lstat(old); err == nil {
		if !b.Swapping {
			if err := k.noteBefore(n, func(b *before) { b.Swapping = true }); err != nil {
				return err
			}
		}
		if err := k.scrap(n); err != nil {
			return err
		}
		if err := os.Rename(old, n.plan.Dir); err != nil {
			return err
		}
	}
	if err := nodedir.WriteFile(n.plan.Folder, startFile, []byte(k.startScript(b.Node)), 0o755); err != nil {
		return err
	}
	if err := k.amendNode(b.Node); err != nil {
		return err
	}
	return nodedir.Remove(folder, k.rec.Plan.ID)
}

// scrap removes a node's directory, of which another one is at hand.
func (k *Keeper) scrap(n *node) error {
	return nodedir.RemoveIn(n.plan.Folder, k.rec.Plan.ID, filepath.Base(n.plan.Dir))
}

// rollback takes nodes back, the last one first, one at a time: those named that were upgraded, or, with none named, all
// of the last upgrade.
func (k *Keeper) rollback(ctx context.Context, req control.Request, nodes []*node, emit func(control.Event)) error {
	was := map[*node]*before{}
	last := 0
	for _, n := range nodes {
		b, err := n.before()
		if err != nil {
			return err
		}
		if b != nil {
			was[n], last = b, max(last, b.Upgrade)
		}
	}
	if len(was) == 0 {
		return &control.Error{Why: "no node has been upgraded: there is nothing to go back to"}
	}
	for _, n := range slices.Backward(nodes) {
		b := was[n]
		if b == nil || len(req.Nodes) == 0 && b.Upgrade != last {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := k.goBack(ctx, n, b, emit); err != nil {
			return err
		}
	}
	return nil
}

// goBack takes one node back.
func (k *Keeper) goBack(ctx context.Context, n *node, b *before, emit func(control.Event)) error {
	ctx, cancel := k.unhurried(ctx)
	defer cancel()
	if err := k.stopNodes(ctx, []*node{n}, false, emit); err != nil {
		return err
	}
	emit(control.Event{Node: n.plan.Index, Phase: "going back"})
	if err := k.putBack(n); err != nil {
		return k.failed(n, "go back", err)
	}
	if err := k.amend(func(p *plan.Plan) { p.GoBack(n.plan.Index, b.Options) }); err != nil {
		return err
	}
	return k.start(ctx, []*node{k.now(n)}, emit)
}

// mendSwaps puts back what an upgrade had set aside when its keeper died, or the disk was full.
func (k *Keeper) mendSwaps() error {
	for _, n := range k.all() {
		b, err := n.before()
		if err == nil && b != nil && b.Swapping {
			err = k.putBack(n)
		}
		if err != nil {
			return fmt.Errorf("put back what an upgrade of node %s had set aside: %w", n.plan.Name, err)
		}
	}
	return nil
}

// amend changes the recorded plan.
func (k *Keeper) amend(change func(*plan.Plan)) error {
	return k.amendRecord(func(r *Record) { change(r.Plan) })
}

// amendRecord changes the record.
func (k *Keeper) amendRecord(change func(*Record)) error {
	rec, p := *k.rec, *k.rec.Plan
	p.Nodes = slices.Clone(p.Nodes)
	rec.Plan, rec.Joined = &p, slices.Clone(rec.Joined)
	change(&rec)
	rec.Revision++
	if err := rec.write(k.dir); err != nil {
		return err
	}
	k.adopt(&rec)
	return nil
}

// amendNode puts a node into the recorded plan in the place of the one of its number.
func (k *Keeper) amendNode(next plan.Node) error {
	return k.amend(func(p *plan.Plan) {
		for i := range p.Nodes {
			if p.Nodes[i].Index == next.Index {
				p.Nodes[i] = next
			}
		}
	})
}
