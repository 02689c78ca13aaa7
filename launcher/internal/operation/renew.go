package operation

import (
	"context"
	"errors"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// announce makes the record, and the running nodes, take in who is a member now: the calls of all nodes are those of next, and
// where the template says how, a running node is refreshed or restarted, one after the other. Nothing is new to the one that came
// last, nil if none did.
func (m members) announce(ctx context.Context, last *node.Node) error {
	o, next := m.o, m.next
	if next == nil {
		return nil
	}
	c := o.Cluster
	err := c.Amend(func(r *cluster.Record) { r.Plan.Nodes, r.Plan.Services = r.Plan.Standing(next).Nodes, next.Services })
	if err != nil {
		return err
	}
	if err := c.Services.Renew(ctx, c.Record().Plan, o.Emit); err != nil {
		return err
	}
	for _, n := range c.All() {
		if last != nil && n.Plan.Index == last.Plan.Index || !n.Is(control.Running) || len(n.Plan.Refresh) == 0 {
			continue
		}
		if n.Plan.RefreshedByRestart() {
			if m.saysTheSame(n) {
				continue
			}
			if err := node.StopAll(ctx, []*node.Node{n}, false, o.Emit); err != nil {
				return err
			}
			if err := o.start(ctx, []*node.Node{n}, next); err != nil {
				return err
			}
			continue
		}
		renewed, err := m.write([]*node.Node{n})
		if err != nil {
			return err
		}
		if err := node.Refresh(ctx, renewed[0], o.Emit); err != nil {
			return err
		}
	}
	return nil
}

// takeBack writes again what stood on the disks of nodes before members came that are gone again, and refreshes those that
// run. It says what could not be written; what a node says to it is not asked for, since the refresh may be what failed.
func (m members) takeBack(ctx context.Context) error {
	o := m.o
	var errs []error
	for _, p := range m.next.Nodes {
		nodes, err := o.Cluster.Pick([]int{p.Index})
		if err != nil || nodes[0].Plan.Same(p) {
			continue
		}
		n := nodes[0]
		if files, edits := n.Plan.Changed(p); len(files)+len(edits) == 0 {
			continue
		}
		errs = append(errs, n.Rewrite(p))
		if n.Is(control.Running) {
			if err := node.Refresh(ctx, n.With(p), silent); err != nil {
				o.Log.Warn("refresh", "err", err)
			}
		}
	}
	return errors.Join(errs...)
}
