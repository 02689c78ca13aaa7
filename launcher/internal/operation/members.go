package operation

import (
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// members is who is a member once an operation is over: the plan of the nodes then, nil where the operation does not know.
type members struct {
	o    *Operation
	next *plan.Plan
}

func membersOf(o *Operation, next *plan.Plan) members { return members{o, next} }

// saysTheSame reports whether the node was started with all that next says of it, so that a restart would change nothing.
func (m members) saysTheSame(n *node.Node) bool {
	at := slices.IndexFunc(m.next.Nodes, func(p plan.Node) bool { return p.Index == n.Plan.Index })
	return at < 0 || n.Plan.Same(m.next.Nodes[at])
}

// write writes for nodes that are about to start, or to be refreshed, who is a member as next says, and records it. It returns them as
// they are in the record then. Without next, and for nodes that next does not have, nothing changes.
func (m members) write(nodes []*node.Node) ([]*node.Node, error) {
	o, next := m.o, m.next
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
