package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
)

// makeNode makes a node's folder from nothing: what an earlier, interrupted try left is removed first. The start script
// is written last; until it is there the node counts as not made.
func (k *Keeper) makeNode(ctx context.Context, n *node, emit func(control.Event)) error {
	p := n.plan
	emit(control.Event{Node: p.Index, Phase: "copying", Text: p.Source})
	if err := k.removeFolder(n); err != nil {
		return k.failed(n, "clear its folder", err)
	}
	if err := nodedir.Make(p.Folder, k.rec.Plan.ID); err != nil {
		return k.failed(n, "make its folder", err)
	}
	if err := k.fill(ctx, p); err != nil {
		return k.failed(n, "copy", err)
	}
	if err := configure(p, p.Files); err != nil {
		return k.failed(n, "edit", err)
	}
	if err := os.WriteFile(filepath.Join(p.Folder, startFile), []byte(k.startScript(p)), 0o755); err != nil {
		return k.failed(n, "write its start script", err)
	}
	n.update(func() { n.state = control.Stopped })
	return nil
}

// fill lays the copy of the source, then the plan's own files and empty directories.
func (k *Keeper) fill(ctx context.Context, p plan.Node) error {
	if p.Source != "" {
		if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: p.Source, To: p.Dir, Exclude: p.Exclude, Share: p.Share}); err != nil {
			return err
		}
	} else if err := os.Mkdir(p.Dir, 0o755); err != nil {
		return err
	}
	for _, f := range p.Files {
		text, err := edited(p, f.Path, []byte(f.Text))
		if err != nil {
			return err
		}
		if err := nodedir.WriteFile(p.Dir, f.Path, text, fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	for _, d := range p.Dirs {
		if err := os.MkdirAll(filepath.Join(p.Dir, filepath.FromSlash(d)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// edited is a file's text with the plan's edits of it.
func edited(p plan.Node, path string, text []byte) ([]byte, error) {
	for _, e := range p.Edits {
		if e.File != path {
			continue
		}
		var err error
		if text, err = confedit.Apply(e.Format, text, e.Edits); err != nil {
			return nil, fmt.Errorf("edit %s: %w", path, err)
		}
	}
	return text, nil
}

// configure applies the plan's edits, but those of files that were written with them.
func configure(p plan.Node, written []plan.File) error {
	for _, e := range p.Edits {
		if slices.ContainsFunc(written, func(f plan.File) bool { return f.Path == e.File }) {
			continue
		}
		src, err := nodedir.ReadFile(p.Dir, e.File)
		if errors.Is(err, fs.ErrNotExist) && e.IfExists {
			continue
		}
		if err != nil {
			return err
		}
		out, err := confedit.Apply(e.Format, src, e.Edits)
		if err != nil {
			return fmt.Errorf("edit %s: %w", e.File, err)
		}
		if err := nodedir.WriteFile(p.Dir, e.File, out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// startScript is how a node is run by hand, without onemore: the same directory, environment and command.
func (k *Keeper) startScript(p plan.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Runs node %s of cluster %s in the foreground, as onemore does.\ncd %s || exit 1\n", p.Name, k.rec.Plan.Cluster, quote(p.Workdir))
	for _, kv := range slices.Concat(p.StartEnv, p.Env) {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(value))
	}
	b.WriteString("exec")
	for _, a := range p.Command {
		b.WriteString(" " + quote(a))
	}
	b.WriteString(" \"$@\"\n")
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// removeFolder removes a node's folder, if it is there and ours.
func (k *Keeper) removeFolder(n *node) error {
	if _, err := os.Lstat(n.plan.Folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := nodedir.Remove(n.plan.Folder, k.rec.Plan.ID)
	if err == nil {
		n.update(func() { n.state = control.Absent })
	}
	return err
}
