package node

import (
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

// Stay is which sockets serve a running node's TCP listeners. A server that leaves its cluster and joins it again, or another one, closes
// them and opens others, though it counts as many members as before.
type Stay struct {
	node    *Node
	process int
	sockets map[string][]uint64 // listener → inodes
}

// ObserveStay observes which sockets serve a node's listeners; ok is false if it does not run.
func ObserveStay(n *Node, table []ports.Socket) (s Stay, ok bool) {
	r := n.current()
	if r == nil || !n.Is(control.Running) {
		return Stay{}, false
	}
	s = Stay{node: n, process: r.proc.ID().PID, sockets: map[string][]uint64{}}
	for _, l := range n.Plan.Listeners {
		if inodes := listening(table, l); len(inodes) > 0 && !l.Optional { // an optional one comes and goes
			s.sockets[l.Name] = inodes
		}
	}
	return s, true
}

// listening returns the inodes of the TCP sockets that serve a listener.
func listening(table []ports.Socket, l plan.Listener) []uint64 {
	var out []uint64
	for _, s := range table {
		if s.Listening && s.Port == l.Port && serves(s, l) {
			out = append(out, s.Inode)
		}
	}
	return out
}

// Node is the node that was observed.
func (s Stay) Node() *Node { return s.node }

// Reopened returns a listener that none of the sockets serves any more that served it at the time of s; "" if there is none, or if the
// node's process is another one, or none.
func (s Stay) Reopened(table []ports.Socket) string {
	now, ok := ObserveStay(s.node, table)
	if !ok || now.process != s.process {
		return ""
	}
	for _, l := range s.node.Plan.Listeners {
		before := s.sockets[l.Name]
		if len(before) > 0 && !slices.ContainsFunc(before, func(inode uint64) bool { return slices.Contains(now.sockets[l.Name], inode) }) {
			return l.Name
		}
	}
	return ""
}
