package node

import (
	"cmp"
	"context"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// askTimeout bounds how long a node may take to say how many members it sees; twice that, and a client would give up the keeper.
const askTimeout = 4 * time.Second

// Observe fills in what is true of the node at this moment: its state, its process, and what it says itself. A node that
// announces how many members it sees is asked all the same with ask.
func (n *Node) Observe(ctx context.Context, ns *control.NodeStatus, ask bool) {
	n.mu.Lock()
	if ns.State = n.state; n.state == control.Exited {
		ns.Exit = n.exit
	}
	r := n.run
	if r != nil && n.Plan.Members.Notify {
		ns.Members = r.members
	}
	n.mu.Unlock()
	if r == nil {
		return
	}
	id := r.proc.ID()
	ns.PID, ns.Since = id.PID, &r.began
	ns.RSSBytes, ns.CPUPercent, _ = proc.Usage(id) // zero: it has just ended
	if c := n.Plan.Members.Call; c != nil && ns.State == control.Running && (ask || !n.Plan.Members.Notify) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		a, err := n.Call(ctx, *c)
		ns.Members = a.Number
		if err != nil {
			ns.Trouble = err.Error() // and no members say that it does not answer
			return
		}
	}
	ns.Trouble = trouble(ctx, n, ns.State)
}

// trouble is why a running node does not serve though it is up; "" if it does.
func trouble(ctx context.Context, n *Node, state control.State) string {
	if state != control.Running {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, c := range n.Plan.Members.Require {
		if err := lastingError(ctx, n, c); err != nil {
			return err.Error()
		}
	}
	return ""
}

// lastingError is the error of a call that fails for troubleLasts: servers answer "not now" for moments, such as NATS when it is not
// scheduled for a millisecond.
func lastingError(ctx context.Context, n *Node, c plan.Call) error {
	var last error
	counts := time.Now().Add(troubleLasts)
	err := probe.Until(ctx, nil, func(ctx context.Context) error {
		if _, last = n.Call(ctx, c); last != nil && time.Now().After(counts) {
			return probe.Permanent(last)
		}
		return last
	})
	return cmp.Or(last, err)
}

// troubleLasts is how long a call has to fail until it counts.
const troubleLasts = time.Second
