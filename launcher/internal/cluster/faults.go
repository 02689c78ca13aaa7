package cluster

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// Faults are the faults in force: a record of them, which makes none. Its methods may be called by anybody.
type Faults struct {
	mu    sync.Mutex // guards what is below
	table control.FaultTable
	calls map[int][]plan.Call // by node: what sets the faults on it
}

// Table is the table of the faults in force.
func (f *Faults) Table() control.FaultTable {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table
}

// Set records the faults in force, and the calls that set them again on a node that starts.
func (f *Faults) Set(t control.FaultTable, calls map[int][]plan.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table, f.calls = t, calls
}

// callsOf are the calls that make the faults of a node those of the table.
func (f *Faults) callsOf(n *node.Node) []plan.Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[n.Plan.Index]
}

// CallFaults makes every running node's calls that set faults.
func (c *Cluster) CallFaults(ctx context.Context, calls map[int][]plan.Call, emit func(control.Event)) error {
	var g errgroup.Group
	g.SetLimit(8) // each may start a process
	for _, n := range c.All() {
		if n.Is(control.Running) {
			g.Go(func() error { return n.Calls(ctx, setFaults, calls[n.Plan.Index], emit) })
		}
	}
	return g.Wait()
}

const setFaults = "set faults"

// CallFaultsOf makes the calls that set a node's faults to those in force.
func (c *Cluster) CallFaultsOf(ctx context.Context, n *node.Node, emit func(control.Event)) error {
	return n.Calls(ctx, setFaults, c.Faults.callsOf(n), emit)
}
