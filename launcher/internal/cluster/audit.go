package cluster

import (
	"errors"
	"slices"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/ports"
)

// audit returns what is not as planned among the sockets of the running nodes, and what they have outside of their folders. It returns what
// it could find out also with an error.
func audit(host *node.Host, nodes []*node.Node, sockets func() ([]ports.Socket, error)) ([]control.Finding, error) {
	var outside []control.Finding
	var outsideErr error
	var wg sync.WaitGroup
	wg.Go(func() { outside, outsideErr = host.Outside(nodes) })
	table, err := sockets()
	held, holdersErr := host.Holders(nodes, table)
	wg.Wait()
	var found []control.Finding
	for _, n := range nodes {
		if owned, ok := held[n.Plan.Index]; ok {
			found = append(found, n.Audit(table, owned)...)
		}
	}
	found = append(host.NameHolders(found), outside...)
	blameShared(nodes, found)
	return found, errors.Join(err, holdersErr, outsideErr)
}

// auditAll is audit for nodes and services.
func (c *Cluster) auditAll(nodes []*node.Node, sockets func() ([]ports.Socket, error)) ([]control.Finding, error) {
	names, all := map[int]string{}, append([]*node.Node(nil), nodes...)
	for _, one := range c.Services.all() {
		names[one.n.Plan.Index] = one.n.Plan.Name
		all = append(all, one.n)
	}
	found, err := audit(c.Host, all, sockets)
	for i := range found {
		if name, ok := names[found[i].Node]; ok {
			found[i].Node, found[i].Service = 0, name
		}
	}
	return found, err
}

// blameShared makes errors of ports and unix sockets that nobody planned and that more than one node wants: those that two have open at the
// same address, and those that one has open while another one, which has fewer, says that an address was in use.
func blameShared(nodes []*node.Node, found []control.Finding) {
	count := map[int]int{}
	for _, f := range found {
		if unplanned(f) {
			count[f.Node]++
		}
	}
	shared := map[int]int{} // the other node, by the finding's place
	for i, f := range found {
		if !unplanned(f) {
			continue
		}
		for _, n := range nodes {
			other := n.Plan.Index
			if other == f.Node || other <= 0 { // services have the listeners that they declare
				continue
			}
			same := slices.ContainsFunc(found, func(g control.Finding) bool { return unplanned(g) && g.Node == other && g.Address == f.Address })
			if same || count[other] < count[f.Node] && n.Is(control.Running) && node.SaysInUse(n) {
				shared[i] = other
				break
			}
		}
	}
	for i, other := range shared {
		found[i].Kind, found[i].Other = control.Shared, other
	}
}

// unplanned is a port, or a unix socket outside of the node's folder, that can be had only once.
func unplanned(f control.Finding) bool {
	return f.Kind == control.Undeclared && f.Proto == "tcp" || f.Kind == control.Outside && f.Proto == control.ProtoUnix
}

// Audit is what was found at one moment that is not as planned. Findings are what could be found out also with an error.
type Audit struct {
	Findings []control.Finding
	Err      error
}

// CheckShared fails when one of the nodes has a file, a socket or a port that is not its alone. A cluster of nodes that disturb each
// other is not up. The audit is for the status that follows; it is nil if there was nothing to check.
func (c *Cluster) CheckShared(up []*node.Node) (*Audit, error) {
	if len(up) == 0 {
		return nil, nil
	}
	all := c.All()
	found, err := c.auditAll(all, c.Host.SocketsNow)
	if err != nil { // what can't be seen here is no reason to fail
		c.log.Warn("look at what the nodes have", "err", err)
	}
	concerned := func(f control.Finding) bool {
		return f.Kind == control.Shared && f.Service == "" && slices.ContainsFunc(up, func(n *node.Node) bool { return n.Plan.Index == f.Node || n.Plan.Index == f.Other })
	}
	i := slices.IndexFunc(found, concerned)
	if i < 0 {
		return &Audit{found, err}, nil
	}
	at := slices.IndexFunc(all, func(n *node.Node) bool { return n.Plan.Index == found[i].Node })
	return nil, sharedError(all[at], found[i])
}

// sharedError is the error of a node about something that is not its alone.
func sharedError(n *node.Node, f control.Finding) error {
	hint := "name its key as a place in the template ([places.NAME]), or give it a relative path in the source"
	if f.Proto != control.ProtoFile && f.Proto != control.ProtoUnix {
		hint = "declare it in the template ([listeners.NAME]), so that each node has its own"
	}
	return &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: "check what it has to itself", Why: f.Error(), Hint: hint, Logs: n.Plan.Log}
}
