package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// Stop stops nodes (none given: all) and waits until the rest has settled. Data, ports and names stay.
func (c *Cluster) Stop(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpStop, Nodes: nodes})
}

// Start starts stopped nodes (none given: all) and waits until the cluster has settled.
func (c *Cluster) Start(ctx context.Context, nodes ...int) (*Status, error) {
	return c.doWithMembers(ctx, control.Request{Op: control.OpStart, Nodes: nodes})
}

// Restart stops and starts nodes; rolling: one after the other, with the cluster settled in between.
func (c *Cluster) Restart(ctx context.Context, rolling bool, nodes ...int) (*Status, error) {
	return c.doWithMembers(ctx, control.Request{Op: control.OpRestart, Nodes: nodes, Rolling: rolling})
}

// doWithMembers sends a request that starts nodes: with it go their texts as they are for the members of now.
func (l *keeperLink) doWithMembers(ctx context.Context, req control.Request) (*Status, error) {
	return retryStale(func() (*Status, error) {
		rec, err := l.record()
		if err != nil {
			return nil, err
		}
		if rec.Formed {
			req.Next, req.Revision = l.membersNow(ctx, rec, rec.Plan), rec.Revision
		}
		return l.do(ctx, req)
	})
}

// membersNow plans the texts of all nodes of p, a plan of the recorded cluster, anew. It is nil, and said to be so, where the template
// can't be had any more: nodes start without it too.
func (l *keeperLink) membersNow(ctx context.Context, rec *cluster.Record, p *plan.Plan) *plan.Plan {
	t, err := recordedTemplate(ctx, rec)
	var next *plan.Plan
	if err == nil {
		of := *rec
		of.Plan = p
		next, err = replan(t, &of, p.Options, nil)
	}
	if err != nil && l.progress != nil {
		l.progress(Event{Phase: "not renewed", Text: fmt.Sprintf("what nodes were told of the members: %v", err)})
	}
	return next
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
func (c *Cluster) Add(ctx context.Context, k int) (*Status, error) { return c.AddRole(ctx, k, "") }

// AddRole adds k nodes of a role that the template has; "": of the one that the template says.
func (c *Cluster) AddRole(ctx context.Context, k int, role string) (*Status, error) {
	_, st, _, err := up(ctx, Options{Cluster: c.name, Timeout: c.timeout, Progress: c.progress, role: role}, upCall{add: k})
	return st, err
}

// Remove lets nodes leave the cluster, stops them and removes their directories.
func (c *Cluster) Remove(ctx context.Context, nodes ...int) (*Status, error) {
	st, err := retryStale(func() (*Status, error) {
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
	if err != nil {
		return st, err
	}
	return st, refreshNeedy(ctx, c.name, Options{Timeout: c.timeout, Progress: c.progress})
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
	if rec.Plan.Fixed {
		return req, inputError(plan.FixedRefusal(rec.Plan.Cluster, rec.Plan.Template, "removed from"))
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
	req.Next = l.membersNow(ctx, rec, rec.Plan.Without(nodes))
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
