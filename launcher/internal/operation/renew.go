package operation

import (
	"context"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// renew writes for nodes that are about to start, or to be refreshed, who is a member as next says, and records it. It returns them as
// they are in the record then. Without next, and for nodes that next does not have, nothing changes.
func (o *Operation) renew(nodes []*node.Node, next *plan.Plan) ([]*node.Node, error) {
	if next == nil {
		return nodes, nil
	}
	changed := map[int]plan.Node{}
	for _, n := range nodes {
		at := slices.IndexFunc(next.Nodes, func(p plan.Node) bool { return p.Index == n.Plan.Index })
		if at < 0 || n.Plan.Same(next.Nodes[at]) {
			continue
		}
		if err := n.Rewrite(next.Nodes[at]); err != nil {
			return nil, err
		}
		changed[n.Plan.Index] = next.Nodes[at]
	}
	if len(changed) == 0 {
		return nodes, nil
	}
	err := o.Cluster.Amend(func(r *cluster.Record) {
		for i, p := range r.Plan.Nodes {
			if c, ok := changed[p.Index]; ok {
				r.Plan.Nodes[i] = c
			}
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([]*node.Node, len(nodes))
	for i, n := range nodes {
		out[i] = o.Cluster.Now(n)
	}
	return out, nil
}

// membersChanged makes the record, and the running nodes but for those that have just been started, take in who is a member now: the
// calls of all nodes are those of next, and where the template says how, a running node is refreshed or restarted, one after
// the other.
func (o *Operation) membersChanged(ctx context.Context, next *plan.Plan, fresh []*node.Node) error {
	if next == nil {
		return nil
	}
	c := o.Cluster
	if err := c.Amend(func(r *cluster.Record) { r.Plan.Nodes = r.Plan.Standing(next).Nodes }); err != nil {
		return err
	}
	for _, n := range c.All() {
		started := slices.ContainsFunc(fresh, func(f *node.Node) bool { return f.Plan.Index == n.Plan.Index })
		if started || !n.Is(control.Running) || len(n.Plan.Refresh) == 0 {
			continue
		}
		if n.NeedsRestart() {
			if err := node.StopAll(ctx, []*node.Node{n}, false, o.Emit); err != nil {
				return err
			}
			if err := o.start(ctx, []*node.Node{n}, next); err != nil {
				return err
			}
			continue
		}
		renewed, err := o.renew([]*node.Node{n}, next)
		if err != nil {
			return err
		}
		if err := renewed[0].Refresh(ctx, o.Emit); err != nil {
			return err
		}
	}
	return nil
}
