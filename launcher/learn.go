package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/learn"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
)

// LearnOptions say what to learn, and how one node of it is started.
type LearnOptions = learn.Options

// Draft is what Learn found out, and the template made of it.
type Draft = learn.Draft

// Learn drafts a template for the server whose node directory is o.Source, by watching nodes of it run in copies, and brings the draft up,
// with one node and then with as many as it can. It leaves nothing behind; docs/learn.md describes what it finds. The error is
// an *InputError or a *Failure where the user can do something about it. Options.Fits, Bare and Try are set here.
func Learn(ctx context.Context, o LearnOptions) (*Draft, error) {
	if o.Fits = Fitting(o.Source); o.Fits != "" && o.Log != nil {
		o.Log(fmt.Sprintf("template %s fits %s: `onemore up -s %s` needs no draft", o.Fits, o.Source, o.Source))
	}
	o.Bare = func(environ []string) []string { return plan.Inherit{Clean: true}.From(environ, nil) }
	o.Try = func(ctx context.Context, toml string) (int, error) { return tryDraft(ctx, o, toml) }
	d, err := learn.Learn(ctx, o)
	if e, ok := errors.AsType[*learn.Error](err); ok {
		if e.Input {
			return nil, &InputError{Err: e, Hint: e.Hint}
		}
		return nil, &Failure{Why: e.Text, Hint: e.Hint, Log: e.Log}
	}
	return d, err
}

// Fitting is the name of the template that takes a node directory for its own; "" if none does, or more than one.
func Fitting(source string) string {
	all, err := templateSet().All()
	if err != nil {
		return ""
	}
	t, err := template.FindIn(all, os.DirFS(source))
	if err != nil {
		return ""
	}
	return t.Name
}

// draftNodes is with how many nodes a draft is brought up.
const draftNodes = 3

// tryDraft brings up a cluster of a draft, one node after another, and takes it down. It returns how many nodes ran, and why no more did.
func tryDraft(ctx context.Context, o LearnOptions, toml string) (nodes int, err error) {
	dir, err := os.MkdirTemp("", "onemore-draft-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) // our own, of this moment
	file := filepath.Join(dir, "draft.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		return 0, err
	}
	c, st, own, err := UpOwned(ctx, Options{Cluster: UniqueName("learn"), Template: file, Source: o.Source, Count: 1, Base: "auto", Timeout: o.Timeout})
	if err != nil {
		return 0, draftError(err)
	}
	defer own.Release()
	for err == nil && st != nil {
		nodes = len(st.Nodes)
		if i := slices.IndexFunc(st.Nodes, func(n NodeStatus) bool { return n.State != "running" }); i >= 0 {
			return nodes - 1, fmt.Errorf("node %d is %s %s", st.Nodes[i].Index, st.Nodes[i].State, st.Nodes[i].Exit)
		}
		if nodes == draftNodes {
			return nodes, nil
		}
		st, err = c.Add(ctx, 1)
	}
	return nodes, draftError(err)
}

// draftError keeps the lines of the log that a failure quotes.
func draftError(err error) error {
	if fail, ok := errors.AsType[*Failure](err); ok {
		return &learn.Error{Text: fail.Error(), Hint: fail.Hint, Log: fail.Log}
	}
	return err
}
