package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
)

// UpgradeOptions say what nodes become.
type UpgradeOptions struct {
	Source  string // the new node directory, or an archive of it, or the archive's URL; "" keeps what the cluster has
	Bin     string // the new program, where the node directory does not hold it; "" keeps what the cluster has
	Release string // a version, which brings one of the two; "" keeps what the cluster has
	Nodes   []int  // none: all
}

// Upgrade gives nodes what a new source, or program, brings, one after the other: drained as the template says, stopped,
// swapped, started, and the cluster settled before the next. Data, edited files, names and ports stay. It stops at the first
// failure. What a node was is kept beside it until its next upgrade: Rollback.
func (c *Cluster) Upgrade(ctx context.Context, o UpgradeOptions) (*Status, error) {
	if o.Source == "" && o.Bin == "" && o.Release == "" {
		return nil, &InputError{Err: errors.New("upgrade to what?"), Hint: "name a version with --release, the new node directory with --source, or the new program with --bin"}
	}
	return retryStale(func() (*Status, error) {
		st, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		req, err := c.resolveUpgrade(ctx, st, o)
		if err != nil {
			return nil, err
		}
		return c.do(ctx, req)
	})
}

// Rollback takes upgraded nodes (none given: all that were) back to what they were when their upgrade stopped them: program,
// files and data. What a node has stored since then is lost, unless the cluster gives it back.
func (c *Cluster) Rollback(ctx context.Context, nodes ...int) (*Status, error) {
	return retryStale(func() (*Status, error) {
		rec, err := c.record()
		if err != nil {
			return nil, err
		}
		req := control.Request{Op: control.OpUpgrade, Rollback: true, Revision: rec.Revision, Nodes: nodes}
		before, err := node.Before(rec.Plan)
		if err != nil {
			return nil, err
		}
		if req.Present = c.membersNow(ctx, rec, rec.Plan); req.Present != nil {
			req.Next = c.membersNow(ctx, rec, before)
		}
		return c.do(ctx, req)
	})
}

// resolveUpgrade plans the cluster with nodes that are made from the new source or program.
func (l *keeperLink) resolveUpgrade(ctx context.Context, st *Status, o UpgradeOptions) (req control.Request, err error) {
	rec, err := l.record()
	if err != nil {
		return req, err
	}
	if len(o.Nodes) == 0 {
		o.Nodes = indices(rec.Plan)
	}
	t, err := recordedTemplate(ctx, rec)
	if err != nil {
		return req, err
	}
	if err := (Options{Bin: o.Bin}).checkBin(t); err != nil {
		return req, err
	}
	if o.Source, err = absolute(o.Source); err != nil {
		return req, err
	}
	if o.Bin, err = absolute(o.Bin); err != nil {
		return req, err
	}
	if o, err = o.fetch(ctx, t, l.progress); err != nil {
		return req, err
	}
	if err := checkNewSource(ctx, t, o.Source); err != nil {
		return req, err
	}
	po, err := upgradedOptions(t, rec.Plan, o)
	if err != nil {
		return req, err
	}
	p, err := replan(t, rec, po, running(st))
	return control.Request{Op: control.OpUpgrade, Plan: p, Present: l.membersNow(ctx, rec, rec.Plan), Revision: rec.Revision, Nodes: o.Nodes}, err
}

// upgradedOptions are the options of the plan p, changed so that o.Nodes are made from o.Source and o.Bin. They hold for nodes
// that are added later, too, when all nodes are upgraded.
func upgradedOptions(t *template.Template, p *plan.Plan, o UpgradeOptions) (plan.Options, error) {
	po := p.Options
	po.Renew = o.Nodes
	po.Bin = cmp.Or(o.Bin, po.Bin)
	if err := findPrograms(t, &po, "--bin"); err != nil {
		return po, err
	}
	all := len(o.Nodes) == len(p.Nodes)
	if o.Bin == "" || !all {
		po.Bin = p.Options.Bin
	}
	if o.Source != "" && all {
		po.Source = o.Source
	}
	po.Node = overlay(po.Node, nil)
	for _, i := range o.Nodes {
		own := po.Node[i]
		own.Source, own.Bin = ownPath(own.Source, o.Source, all), ownPath(own.Bin, o.Bin, all)
		po.Node[i] = own
	}
	return po, nil
}

// ownPath is the source or program that a node has apart from the others after an upgrade to next: none when all nodes get it.
func ownPath(own, next string, all bool) string {
	switch {
	case next == "":
		return own
	case all:
		return ""
	}
	return next
}

// checkNewSource refuses a directory that can't be copied, or that is another server's.
func checkNewSource(ctx context.Context, t *template.Template, src string) error {
	if src == "" {
		return nil
	}
	if err := nodedir.CheckSource(ctx, src, t.Copy.Exclude...); err != nil {
		return &InputError{Err: err, Hint: "give the new node directory with --source"}
	}
	if len(t.Detect.Files)+len(t.Detect.Match) == 0 {
		return nil
	}
	if _, err := template.FindIn([]*template.Template{t}, os.DirFS(src)); err != nil {
		return &InputError{Err: fmt.Errorf("%s is no node directory of template %q: %w", src, t.Name, err), Hint: "the cluster stays one of " + t.Name}
	}
	return nil
}
