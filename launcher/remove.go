package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

// Remove lets nodes leave the cluster, stops them and removes their directories.
func (c *Cluster) Remove(ctx context.Context, nodes ...int) (*Status, error) {
	return planned(func() (*Status, error) { return c.remove(ctx, nodes) })
}

// planned calls f, which plans on what the cluster is and asks its keeper, again when the cluster has changed meanwhile.
func planned(f func() (*Status, error)) (*Status, error) {
	for try := 1; ; try++ {
		st, err := f()
		if fail, ok := errors.AsType[*Failure](err); !ok || !fail.Stale || try == planTries {
			return st, err
		}
	}
}

func (c *Cluster) remove(ctx context.Context, nodes []int) (*Status, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := c.record()
	if err != nil {
		return nil, err
	}
	if len(nodes) >= len(rec.Plan.Nodes) {
		return nil, &InputError{Err: errors.New("that would remove every node"), Hint: "use `onemore down`"}
	}
	p, err := c.leaving(ctx, rec, st, nodes)
	if err != nil {
		return nil, err
	}
	req := control.Request{Op: control.OpRemove, Plan: p, Revision: rec.Revision, Nodes: nodes, Options: rec.Options}
	if st.FaultTable.Touches(nodes) {
		req.Faults, err = c.faultChange(ctx, st.FaultTable, func(had []Fault) ([]Fault, error) { return without(had, nodes), nil })
		if err != nil {
			return nil, err
		}
	}
	return c.do(ctx, req)
}

// leaving makes the cluster's plan anew with only those as peers that run and stay.
func (c *Cluster) leaving(ctx context.Context, rec *cluster.Record, st *Status, gone []int) (*plan.Plan, error) {
	var asked origin
	if err := json.Unmarshal(rec.Options, &asked); err != nil {
		return nil, fmt.Errorf("read what cluster %q was made from: %w", c.name, err)
	}
	t, _, err := chooseTemplate(ctx, asked.Template, "")
	if err != nil {
		return nil, err
	}
	po := rec.Plan.Options
	po.Formed = rec.Plan
	po.Acting = slices.DeleteFunc(running(st), func(i int) bool { return slices.Contains(gone, i) })
	p, err := plan.Make(t, po, plan.Host{})
	if err != nil {
		return nil, refusal(err, ports.View{})
	}
	return p, nil
}
