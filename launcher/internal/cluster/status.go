package cluster

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// Status observes processes, sockets, and what each node says; nil without a record. busy is the operation under way, "" without
// one. Nodes that announce how many members they see are asked all the same with ask. audited is an audit of this moment; nil: it
// makes one.
func (c *Cluster) Status(ctx context.Context, busy string, ask bool, audited *Audit) *control.Status {
	rec, nodes := c.view()
	if rec == nil {
		return nil
	}
	st := describe(rec)
	st.Busy = busy
	if st.FaultTable = c.Faults.Table(); st.FaultTable.Faults == nil {
		st.FaultTable.Faults = []control.Fault{}
	}
	for _, f := range st.FaultTable.Faults {
		st.Faults = append(st.Faults, f.Text)
	}
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { n.Observe(ctx, &st.Nodes[i], ask) })
	}
	wg.Wait()
	if audited == nil {
		found, err := c.auditAll(nodes, c.Host.Sockets)
		audited = &Audit{found, err}
	}
	if st.Audit = audited.Findings; audited.Err != nil {
		st.Notes = append(st.Notes, audited.Err.Error())
	}
	for _, n := range nodes {
		if gone := n.Deleted("look"); gone != nil && (busy == "" || n.HasProcess()) { // else the operation may be removing it
			st.Notes = append(st.Notes, fmt.Sprintf("node %d: %s: %s", n.Plan.Index, gone.Why, gone.Hint))
		}
	}
	st.State = summary(st.Nodes)
	c.observeServices(ctx, st, rec.Plan)
	return st
}

// view is the record with its nodes, in order, of one moment.
func (c *Cluster) view() (*Record, []*node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec == nil {
		return nil, nil
	}
	var nodes []*node.Node
	for _, p := range c.rec.Plan.Nodes {
		nodes = append(nodes, c.nodes[p.Index])
	}
	return c.rec, nodes
}

// describe is a status made from the record alone: every node absent or stopped.
func describe(rec *Record) *control.Status {
	p := rec.Plan
	st := &control.Status{Cluster: p.Cluster, Template: p.Template, ID: p.ID, Dir: p.Dir, Notes: slices.Clone(p.Notes), State: control.Stopped, Nodes: []control.NodeStatus{},
		FaultTable: control.FaultTable{Faults: []control.Fault{}}}
	for _, n := range p.Nodes {
		ns := control.NodeStatus{Index: n.Index, Name: n.Name, Role: n.Role, Dir: n.Dir, Log: n.Log, Client: n.Client, State: node.DiskState(n),
			Listeners: map[string]string{}, URLs: map[string]string{}}
		if !n.Members.Notify && n.Members.Call == nil {
			ns.Members = control.MembersUnknown
		}
		for _, l := range n.Listeners {
			ns.Listeners[l.Name] = address(l)
			ns.URLs[l.Name] = cmp.Or(l.URL, address(l))
		}
		st.Nodes = append(st.Nodes, ns)
	}
	for i := range p.Services {
		s := &p.Services[i]
		one := control.ServiceStatus{Name: s.Name, State: control.Stopped, Dir: s.Folder, Log: s.Log, Listeners: map[string]string{}, URLs: map[string]string{}}
		for _, l := range p.ListenersOf(s) {
			one.Listeners[l.Name] = address(l)
			one.URLs[l.Name] = cmp.Or(l.URL, address(l))
		}
		st.Services = append(st.Services, one)
	}
	return st
}

func address(l plan.Listener) string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// summary is the state of a cluster whose nodes are these: all running and each seeing all, none, or something in between.
func summary(nodes []control.NodeStatus) control.State {
	full, alive := 0, 0
	for _, n := range nodes {
		if n.State == control.Starting {
			return control.Starting
		}
		if n.PID != 0 {
			alive++
		}
		if n.State == control.Running && n.Trouble == "" && (n.Members >= len(nodes) || n.Members == control.MembersUnknown) {
			full++
		}
	}
	switch {
	case full == len(nodes):
		return control.Running
	case alive == 0:
		return control.Stopped
	}
	return control.Degraded
}
