// Package cluster is the nodes of one record together: the record on disk, the leases of the ports, the faults in force, waiting
// until all nodes see each other, and the cluster's status. It offers what operations are made of; it has no operations itself
// (package operation), and nothing of one node alone (package node).
//
// Start at Cluster and Record. OfflineStatus is the status of a cluster without a keeper.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// Cluster is the nodes of the record in dir. Methods that change it, or wait for it, are for the operation that holds the operation
// lock; Record, All and Status may be called by anybody at any time.
type Cluster struct {
	Host     *node.Host
	Leases   *Leases
	Faults   *Faults
	Kernel   *Kernel // faults that the kernel makes
	Services *Services

	dir string
	log *slog.Logger

	mu    sync.Mutex // guards what is below; held for reads and writes of memory only
	rec   *Record    // nil until the cluster is recorded; what it points to is never changed
	nodes map[int]*node.Node
}

// New returns the cluster of the folder dir (absolute), without a record.
func New(dir string, host *node.Host, log *slog.Logger) *Cluster {
	return &Cluster{dir: dir, log: log, Host: host, Services: &Services{host: host, log: log}, Leases: &Leases{host: host}, Faults: &Faults{}, Kernel: &Kernel{dir: dir, run: host.Run}}
}

// Dir is the cluster's folder.
func (c *Cluster) Dir() string { return c.dir }

// Record is the record in force, nil while there is none. Nobody may change what it points to.
func (c *Cluster) Record() *Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec
}

// Adopt puts a record in force: its nodes go on with their lives; new ones are in the state that the disk shows. It writes nothing.
func (c *Cluster) Adopt(rec *Record) {
	c.mu.Lock()
	had := c.nodes
	c.mu.Unlock()
	nodes := make(map[int]*node.Node, len(rec.Plan.Nodes))
	inOrder := make([]*node.Node, 0, len(rec.Plan.Nodes))
	for _, p := range rec.Plan.Nodes {
		if n := had[p.Index]; n != nil {
			nodes[p.Index] = n.With(p)
		} else {
			nodes[p.Index] = node.New(c.Host, p)
		}
		inOrder = append(inOrder, nodes[p.Index])
	}
	c.Host.SetNodes(rec.Plan, inOrder)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec, c.nodes = rec, nodes
}

// Forget makes it a cluster without a record and nodes: its folder has been removed.
func (c *Cluster) Forget() {
	c.Host.SetNodes(nil, nil)
	c.Services.set(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec, c.nodes = nil, nil
}

// Amend changes the record on disk and puts it in force, under the next revision. change gets a copy, of which the list of nodes
// and Joined may be changed in place.
func (c *Cluster) Amend(change func(*Record)) error {
	rec := *c.Record()
	p := *rec.Plan
	p.Nodes = slices.Clone(p.Nodes)
	rec.Plan, rec.Joined = &p, slices.Clone(rec.Joined)
	change(&rec)
	rec.Revision++
	if err := rec.Write(c.dir); err != nil {
		return err
	}
	c.Adopt(&rec)
	return nil
}

// AmendNode puts a node into the recorded plan in the place of the one of its number.
func (c *Cluster) AmendNode(next plan.Node) error {
	return c.Amend(func(r *Record) {
		for i := range r.Plan.Nodes {
			if r.Plan.Nodes[i].Index == next.Index {
				r.Plan.Nodes[i] = next
			}
		}
	})
}

// Pick returns the nodes of the given numbers in order; none given: all.
func (c *Cluster) Pick(indices []int) ([]*node.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec == nil {
		return nil, errors.New("there is no such cluster")
	}
	var out []*node.Node
	for _, p := range c.rec.Plan.Nodes {
		if len(indices) == 0 || slices.Contains(indices, p.Index) {
			out = append(out, c.nodes[p.Index])
		}
	}
	for _, i := range indices {
		if c.nodes[i] == nil {
			return nil, fmt.Errorf("there is no node %d in cluster %q", i, c.rec.Plan.Cluster)
		}
	}
	return out, nil
}

// All returns all nodes in order.
func (c *Cluster) All() []*node.Node {
	nodes, _ := c.Pick(nil) // the error says that there is no record
	return nodes
}

// Now returns the node as the plan in force has it.
func (c *Cluster) Now(n *node.Node) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.nodes[n.Plan.Index]; m != nil {
		return m
	}
	return n
}

// StopLogged stops nodes where nobody can do anything about an error but read of it in the keeper's log.
func (c *Cluster) StopLogged(ctx context.Context, nodes []*node.Node, discard bool) {
	if err := node.StopAll(ctx, nodes, discard, func(control.Event) {}); err != nil {
		c.log.Error("stop", "err", err)
	}
}
