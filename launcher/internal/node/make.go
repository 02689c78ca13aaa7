package node

import (
	"bytes"
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

// Make makes a node's folder from nothing: what an earlier, interrupted try left is removed first. The start script
// is written last; until it is there the node counts as not made.
func (n *Node) Make(ctx context.Context, emit func(control.Event)) error {
	p := n.Plan
	emit(control.Event{Node: p.Index, Phase: "copying", Text: p.Source})
	if err := n.Remove(); err != nil {
		return n.Failed("clear its folder", err)
	}
	if err := nodedir.Make(p.Folder, n.host.ID()); err != nil {
		return n.Failed("make its folder", err)
	}
	if err := fill(ctx, p); err != nil {
		return n.Failed("copy", err)
	}
	first := p
	if len(p.Prepare) > 0 { // which may make files that are edited then
		first.Edits = withIfExists(p.Edits)
	}
	if err := configure(first, p.Files); err != nil {
		return n.Failed("edit", err)
	}
	if err := n.host.writeStartScript(p); err != nil {
		return n.Failed("write its start script", err)
	}
	n.update(func() { n.state = control.Stopped })
	return nil
}

// BecomeMember makes the edits for a node that has joined the cluster.
func BecomeMember(n *Node) error {
	err := configureMember(n.Plan)
	if err == nil && len(n.Plan.Joined) > 0 {
		_, err = handOver(n.Plan)
	}
	if err != nil {
		return n.Failed("edit", err)
	}
	return nil
}

// Rewrite writes what changes on the disk of a node that is to become as next says: texts in which other members stand. A file that
// is not as it was written any more is left: the server keeps its state in it, or somebody has changed it. It may be called
// again after a crash in between. The caller records next.
func (n *Node) Rewrite(next plan.Node) error {
	files, edits := n.Plan.Changed(next)
	files, err := asWritten(n.Plan, files)
	if err == nil {
		err = writeFiles(next, files)
	}
	if err == nil {
		p := next
		p.Edits = edits
		err = configure(p, files)
	}
	if err == nil {
		err = n.host.writeStartScript(next)
	}
	if err == nil {
		_, err = handOver(next)
	}
	if err != nil {
		return n.Failed("write who is a member", err)
	}
	return nil
}

// asWritten returns those of the files that are on the disk of a node as its plan p has written them.
func asWritten(p plan.Node, files []plan.File) ([]plan.File, error) {
	var out []plan.File
	for _, f := range files {
		at := slices.IndexFunc(p.Files, func(g plan.File) bool { return g.Path == f.Path })
		if at < 0 {
			continue
		}
		want, err := p.Edited(f.Path, []byte(p.Files[at].Text))
		if err != nil {
			return nil, err
		}
		present, err := nodedir.ReadFile(p.Dir, f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes.Equal(present, want) {
			out = append(out, f)
		}
	}
	return out, nil
}

// MakeFrom makes a node's folder around a copy of the directory from, which is an image of it, such as a snapshot has.
func (n *Node) MakeFrom(ctx context.Context, from string, emit func(control.Event)) error {
	p := n.Plan
	emit(control.Event{Node: p.Index, Phase: "copying", Text: from})
	if err := n.Remove(); err != nil {
		return err
	}
	if err := nodedir.Make(p.Folder, n.host.ID()); err != nil {
		return err
	}
	if _, err := nodedir.Copy(ctx, nodedir.CopySpec{From: from, To: p.Dir, Image: true}); err != nil {
		return err
	}
	if err := n.host.writeStartScript(p); err != nil {
		return err
	}
	n.update(func() { n.state = control.Stopped })
	return nil
}

// Remove removes a node's folder, if it is there and carries the cluster's mark.
func (n *Node) Remove() error {
	if _, err := os.Lstat(n.Plan.Folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := nodedir.Remove(n.Plan.Folder, n.host.ID())
	if err == nil {
		n.update(func() { n.state = control.Absent })
	}
	return err
}

// copySource makes a node's directory as a copy of its source, or empty where it has none.
func copySource(ctx context.Context, p plan.Node) error {
	if p.Source == "" {
		return os.Mkdir(p.Dir, 0o755)
	}
	_, err := nodedir.Copy(ctx, nodedir.CopySpec{From: p.Source, To: p.Dir, Exclude: p.Exclude, Share: p.Share})
	return err
}

// makeDirs makes the plan's empty directories.
func makeDirs(p plan.Node) error {
	for _, d := range p.Dirs {
		if err := os.MkdirAll(filepath.Join(p.Dir, filepath.FromSlash(d)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// fill makes the node's directory: the copy of the source, then the plan's own files and empty directories.
func fill(ctx context.Context, p plan.Node) error {
	if err := copySource(ctx, p); err != nil {
		return err
	}
	if err := writeFiles(p, p.Files); err != nil {
		return err
	}
	return makeDirs(p)
}

// writeFiles writes files of the plan, with the plan's edits of them.
func writeFiles(p plan.Node, files []plan.File) error {
	for _, f := range files {
		text, err := content(p, f)
		if err == nil {
			text, err = p.Edited(f.Path, text)
		}
		if err != nil {
			return err
		}
		if err := nodedir.WriteFile(p.Dir, f.Path, text, fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// content is the text of a file of the plan, over what the source has there.
func content(p plan.Node, f plan.File) ([]byte, error) {
	if f.Existing == "" {
		return []byte(f.Text), nil
	}
	present, err := nodedir.ReadFile(p.Dir, f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(f.Text), nil
	}
	if err != nil {
		return nil, err
	}
	return f.Over(present)
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

// configureMember applies the plan's edits of a node that is a member.
func configureMember(p plan.Node) error {
	p.Edits = p.Joined
	return configure(p, nil)
}

// writeStartScript writes the script that runs a node by hand. It is written last: its presence says that the directory is complete.
func (h *Host) writeStartScript(p plan.Node) error {
	return nodedir.WriteFile(p.Folder, startFile, []byte(startScript(h.currentPlan().Cluster, p)), 0o755)
}

// startScript is how a node is run by hand, without onemore: the same directory, environment and command.
func startScript(cluster string, p plan.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Runs node %s of cluster %s in the foreground, as onemore does.\n", p.Name, cluster)
	if p.User != "" {
		fmt.Fprintf(&b, "[ \"$(id -u)\" != 0 ] || exec su -s /bin/sh %s -- \"$0\" \"$@\"\n", quote(p.User))
	}
	fmt.Fprintf(&b, "cd %s || exit 1\n", quote(p.Workdir))
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

// withIfExists are the edits, of files that may not be there.
func withIfExists(edits []plan.FileEdit) []plan.FileEdit {
	out := slices.Clone(edits)
	for i := range out {
		out[i].IfExists = true
	}
	return out
}
