package launcher

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/template"
)

// UpgradeOptions say what nodes become.
type UpgradeOptions struct {
	Source string // the new node directory; "" keeps what the cluster has
	Bin    string // the new program, where the node directory does not hold it; "" keeps what the cluster has
	Nodes  []int  // none: all
}

// Upgrade gives nodes what a new source, or program, brings, one after the other: drained as the template says, stopped,
// swapped, started, and the cluster settled before the next. Data, edited files, names and ports stay. It stops at the first
// failure. What a node was is kept beside it until its next upgrade: Rollback.
func (c *Cluster) Upgrade(ctx context.Context, o UpgradeOptions) (*Status, error) {
	if o.Source == "" && o.Bin == "" {
		return nil, &InputError{Err: errors.New("upgrade to what?"), Hint: "name the new node directory with --source, or the new program with --bin"}
	}
	return planned(func() (*Status, error) { return c.upgrade(ctx, o) })
}

func (c *Cluster) upgrade(ctx context.Context, o UpgradeOptions) (*Status, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := c.record()
	if err != nil {
		return nil, err
	}
	nodes := o.Nodes
	if len(nodes) == 0 {
		for _, n := range rec.Plan.Nodes {
			nodes = append(nodes, n.Index)
		}
	}
	p, err := c.upgraded(ctx, rec, st, o, nodes)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, control.Request{Op: control.OpUpgrade, Plan: p, Revision: rec.Revision, Nodes: nodes})
}

// Rollback takes upgraded nodes (none given: all that were) back to what they were when their upgrade stopped them: program,
// files and data. What a node stored since then is gone, but for what the cluster gives it back.
func (c *Cluster) Rollback(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpUpgrade, Rollback: true, Nodes: nodes})
}

// upgraded plans the cluster with the nodes made from the new source or program.
func (c *Cluster) upgraded(ctx context.Context, rec *cluster.Record, st *Status, o UpgradeOptions, nodes []int) (*plan.Plan, error) {
	var asked origin
	if err := json.Unmarshal(rec.Options, &asked); err != nil {
		return nil, fmt.Errorf("read what cluster %q was made from: %w", c.name, err)
	}
	t, _, err := chooseTemplate(ctx, asked.Template, "")
	if err != nil {
		return nil, err
	}
	if err := (Options{Bin: o.Bin}).checkBin(t); err != nil {
		return nil, err
	}
	src, err := absolute(o.Source)
	if err != nil {
		return nil, err
	}
	if err := checkSuccessor(ctx, t, src); err != nil {
		return nil, err
	}
	po := rec.Plan.Options
	po.Formed, po.Acting, po.Renew = rec.Plan, running(st), nodes
	if err := findPrograms(t, &po, Options{Bin: cmp.Or(o.Bin, po.Bin)}); err != nil {
		return nil, err
	}
	all := len(nodes) == len(rec.Plan.Nodes)
	if o.Bin == "" || !all { // what is added later is as the rest still is
		po.Bin = rec.Plan.Options.Bin
	}
	if src != "" && all {
		po.Source = src
	}
	po.Node = maps.Clone(po.Node)
	if po.Node == nil {
		po.Node = map[int]NodeOptions{}
	}
	for _, i := range nodes {
		own := po.Node[i]
		own.Source, own.Bin = ownPath(own.Source, src, all), ownPath(own.Bin, o.Bin, all)
		if own.Bin != "" {
			if own.Bin, err = absolute(own.Bin); err != nil {
				return nil, err
			}
		}
		po.Node[i] = own
	}
	p, err := plan.Make(t, po, plan.Host{})
	if err != nil {
		return nil, refusal(err, ports.View{})
	}
	return p, nil
}

// ownPath is what a node has apart from the others: nothing, when all get the same.
func ownPath(had, given string, all bool) string {
	switch {
	case given == "":
		return had
	case all:
		return ""
	}
	return given
}

// checkSuccessor refuses a directory that can't be copied, or that is another server's.
func checkSuccessor(ctx context.Context, t *templateT, src string) error {
	if src == "" {
		return nil
	}
	if err := nodedir.CheckSource(ctx, src, t.Copy.Exclude...); err != nil {
		return &InputError{Err: err, Hint: "give the new node directory with --source"}
	}
	if len(t.Detect.Files)+len(t.Detect.Match) == 0 {
		return nil
	}
	if _, err := template.FindIn([]*templateT{t}, os.DirFS(src)); err != nil {
		return &InputError{Err: fmt.Errorf("%s is no node directory of template %q: %w", src, t.Name, err), Hint: "the cluster stays one of " + t.Name}
	}
	return nil
}
