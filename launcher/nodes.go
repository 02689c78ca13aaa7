package launcher

import (
	"context"
	"errors"
	"slices"

	"onemore/launcher/internal/control"
)

// Stop stops nodes (none given: all) and waits until the rest has settled. Data, ports and names stay.
func (c *Cluster) Stop(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpStop, Nodes: nodes})
}

// Start starts stopped nodes (none given: all) and waits until the cluster has settled.
func (c *Cluster) Start(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpStart, Nodes: nodes})
}

// Restart stops and starts nodes; rolling: one after the other, with the cluster settled in between.
func (c *Cluster) Restart(ctx context.Context, rolling bool, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpRestart, Nodes: nodes, Rolling: rolling})
}

// Kill kills nodes with SIGKILL, as a crash would, and returns when their processes are gone.
func (c *Cluster) Kill(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpKill, Nodes: nodes})
}

// Pause freezes the nodes' processes where they are (SIGSTOP).
func (c *Cluster) Pause(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpPause, Nodes: nodes})
}

// Resume lets paused nodes go on and waits until the cluster has settled.
func (c *Cluster) Resume(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpResume, Nodes: nodes})
}

// Add adds k nodes to the cluster.
func (c *Cluster) Add(ctx context.Context, k int) (*Status, error) {
	_, st, _, err := up(ctx, Options{Cluster: c.name, Timeout: c.timeout, Progress: c.progress}, upCall{add: k})
	return st, err
}

// Remove lets nodes leave the cluster, stops them and removes their directories.
func (c *Cluster) Remove(ctx context.Context, nodes ...int) (*Status, error) {
	return retryStale(func() (*Status, error) {
		st, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		req, err := c.resolveRemove(ctx, st, nodes)
		if err != nil {
			return nil, err
		}
		return c.do(ctx, req)
	})
}

// resolveRemove plans the cluster anew so that only nodes that run and stay are peers of the calls that make the others leave.
func (l *keeperLink) resolveRemove(ctx context.Context, st *Status, nodes []int) (req control.Request, err error) {
	rec, err := l.record()
	if err != nil {
		return req, err
	}
	if len(nodes) >= len(rec.Plan.Nodes) {
		return req, &InputError{Err: errors.New("that would remove every node"), Hint: "use `onemore down`"}
	}
	t, err := recordedTemplate(ctx, rec)
	if err != nil {
		return req, err
	}
	staying := slices.DeleteFunc(running(st), func(i int) bool { return slices.Contains(nodes, i) })
	p, err := replan(t, rec, rec.Plan.Options, staying)
	if err != nil {
		return req, err
	}
	req = control.Request{Op: control.OpRemove, Plan: p, Revision: rec.Revision, Nodes: nodes, Options: rec.Options}
	if st.FaultTable.Touches(nodes) {
		req.Faults, err = planFaults(ctx, rec, st.FaultTable, faultsWithout(st.FaultTable.Faults, nodes))
	}
	return req, err
}

// running are the nodes of a status that run.
func running(st *Status) []int {
	out := []int{}
	for _, n := range st.Nodes {
		if n.State == control.Running {
			out = append(out, n.Index)
		}
	}
	return out
}
