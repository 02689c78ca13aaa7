package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// Beside a node's directory, in its folder: what an upgrade has set aside, for going back.
const (
	previousFolder = "before"
	previousDir    = "dir"       // in it: the directory itself
	previousFile   = "node.json" // how the node was
)

// Previous is a node as it was before its upgrade. Its directory, data included, stands beside the file that this is read from.
type Previous struct {
	Node    plan.Node    `json:"node"`
	Options plan.Options `json:"options"` // the cluster's
	// Upgrade is the same for all nodes of one upgrade, and higher for every later one.
	Upgrade int `json:"upgrade"`
	// Swapping is true from before the directory is set aside until its successor is complete: after a crash in between,
	// the old one is put back.
	Swapping bool `json:"swapping"`
	Done     bool `json:"done"` // the upgraded node has run as a member
}

// Aside is what an upgrade has set aside of a node. Its methods are for the operation that holds the operation lock.
type Aside struct{ n *Node }

// Aside gives access to what an upgrade has set aside of the node.
func (n *Node) Aside() Aside { return Aside{n} }

// Previous returns how the node was before its upgrade, nil where there was none.
func (a Aside) Previous() (*Previous, error) { return previousOf(a.n.Plan.Folder) }

func previousOf(folder string) (*Previous, error) {
	var b Previous
	err := state.ReadJSON(filepath.Join(folder, previousFolder, previousFile), &b)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &b, err
}

// Before is the plan of a cluster with all of its nodes that have been upgraded as they were before.
func Before(p *plan.Plan) (*plan.Plan, error) {
	out := *p
	out.Nodes = slices.Clone(p.Nodes)
	for i, n := range p.Nodes {
		b, err := previousOf(n.Folder)
		if err != nil {
			return nil, err
		}
		if b != nil {
			out.Nodes[i] = b.Node
			out.GoBack(n.Index, b.Options)
		}
	}
	return &out, nil
}

// Amend changes what is recorded of how the node was. It does nothing where there was no upgrade.
func (a Aside) Amend(change func(*Previous)) error {
	b, err := a.Previous()
	if err != nil || b == nil {
		return err
	}
	change(b)
	return state.WriteJSON(filepath.Join(a.n.Plan.Folder, previousFolder, previousFile), b)
}

// Set moves the directory of a stopped node away, and records with it how the node was, its cluster's options included.
// upgrade is the number of the upgrade. What an unfinished upgrade has set aside stays: that is the version to
// go back to.
func (a Aside) Set(upgrade int, options plan.Options) error {
	folder := filepath.Join(a.n.Plan.Folder, previousFolder)
	had, err := a.Previous()
	if err != nil {
		return err
	}
	if had != nil && !had.Done {
		if err := a.Amend(func(b *Previous) { b.Swapping = true }); err != nil {
			return err
		}
		return a.removeDir()
	}
	if err := nodedir.Discard(folder, a.n.host.ID()); err != nil {
		return err
	}
	if err := nodedir.Make(folder, a.n.host.ID()); err != nil {
		return err
	}
	b := Previous{Node: a.n.Plan, Options: options, Upgrade: upgrade, Swapping: true}
	if err := state.WriteJSON(filepath.Join(folder, previousFile), b); err != nil {
		return err
	}
	return os.Rename(a.n.Plan.Dir, filepath.Join(folder, previousDir))
}

// Replace makes the node's directory as next says, after Set: the new source, over it what stays of the old directory,
// then the plan's edits.
func (a Aside) Replace(ctx context.Context, next plan.Node) error {
	if err := copySource(ctx, next); err != nil {
		return err
	}
	for _, f := range next.Files {
		if err := nodedir.WriteFile(next.Dir, f.Path, []byte(f.Text), fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if len(next.Keep) > 0 { // after the files: one that stays wins over the template's
		old := filepath.Join(a.n.Plan.Folder, previousFolder, previousDir)
		if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: old, To: next.Dir, Only: next.Keep, Over: true, Image: true}); err != nil {
			return err
		}
	}
	if err := makeDirs(next); err != nil {
		return err
	}
	if err := errors.Join(configure(next, nil), configureMember(next)); err != nil {
		return err
	}
	return a.n.host.writeStartScript(next)
}

// PutBack makes a node's folder what it was before its upgrade, its data included. It may be called again after a crash. It makes
// room before it writes anything: a full disk may be what stopped the upgrade.
func (a Aside) PutBack(b *Previous) error {
	old := filepath.Join(a.n.Plan.Folder, previousFolder, previousDir)
	if _, err := os.Lstat(old); err == nil {
		if !b.Swapping {
			if err := a.Amend(func(b *Previous) { b.Swapping = true }); err != nil {
				return err
			}
		}
		if err := a.removeDir(); err != nil {
			return err
		}
		if err := os.Rename(old, a.n.Plan.Dir); err != nil {
			return err
		}
	}
	return a.n.host.writeStartScript(b.Node)
}

// Drop removes what an upgrade has set aside, which is in use again.
func (a Aside) Drop() error {
	return nodedir.Remove(filepath.Join(a.n.Plan.Folder, previousFolder), a.n.host.ID())
}

// removeDir removes a node's directory, of which another one is at hand.
func (a Aside) removeDir() error {
	return nodedir.RemoveIn(a.n.Plan.Folder, a.n.host.ID(), filepath.Base(a.n.Plan.Dir))
}
