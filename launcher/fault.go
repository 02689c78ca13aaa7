package launcher

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/template"
)

// Fault is a failure of the network between a cluster's nodes. Clients of the nodes are not affected.
type Fault = control.Fault

// Partition is a fault: nodes of different groups don't reach each other. Nodes that are in no group reach all.
func Partition(groups ...[]int) Fault {
	f := Fault{}
	var words []string
	for i, a := range groups {
		words = append(words, join(a))
		for j, b := range groups {
			if i != j {
				f.Links = append(f.Links, between(a, b, plan.Link{Block: true})...)
			}
		}
	}
	f.Text = "partition " + strings.Join(words, " / ")
	return f
}

// OneWay is a fault: nothing that from sends reaches to.
func OneWay(from, to []int) Fault {
	return Fault{Text: "one-way " + join(from) + " -> " + join(to), Links: between(from, to, plan.Link{Block: true})}
}

// Delay is a fault: what a sends to b, and with both what b sends to a, arrives later by d.
func Delay(a, b []int, both bool, d time.Duration) Fault {
	return linkFault("delay", a, b, both, plan.Link{Delay: template.Duration{Duration: d}}, d.String())
}

// Drop is a fault: of what a sends to b, and with both of what b sends to a, a share of the packets (0 to 1) is lost.
func Drop(a, b []int, both bool, share float64) Fault {
	return linkFault("drop", a, b, both, plan.Link{Drop: share}, strconv.FormatFloat(100*share, 'f', -1, 64)+"%")
}

// linkFault is a fault of the links from a to b, and with both of those from b to a; how is its measure, for people.
func linkFault(kind string, a, b []int, both bool, l plan.Link, how string) Fault {
	f := Fault{Links: between(a, b, l)}
	arrow := "->"
	if both {
		arrow = "<->"
		f.Links = append(f.Links, between(b, a, l)...)
	}
	f.Text = fmt.Sprintf("%s %s %s %s %s", kind, join(a), arrow, join(b), how)
	return f
}

// between are the links from each node of one list to each of another, in the condition of l.
func between(from, to []int, l plan.Link) []plan.Link {
	var out []plan.Link
	for _, i := range from {
		for _, j := range to {
			l.From, l.To = i, j
			out = append(out, l)
		}
	}
	return out
}

func join(nodes []int) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// Faults lists the faults of the cluster's network that are in force.
func (c *Cluster) Faults(ctx context.Context) ([]Fault, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return st.FaultTable.Faults, nil
}

// AddFault breaks the network between nodes, besides the faults that are in force already, until Heal, or Down. One that is in
// force is not set twice. A node that is started again gets its faults again. Where the template says how, the server does it
// itself; else the kernel does, for root on Linux.
func (c *Cluster) AddFault(ctx context.Context, f Fault) (*Status, error) {
	return changeFaults(ctx, c, func(now []Fault) ([]Fault, error) {
		if slices.ContainsFunc(now, func(o Fault) bool { return o.Text == f.Text && slices.Equal(o.Links, f.Links) }) {
			return now, nil
		}
		return append(slices.Clone(now), f), nil
	})
}

// Heal ends the faults of the given numbers, as Faults lists them from 1, or all of them, and waits until the cluster has
// settled, unless nodes are still cut off.
func (c *Cluster) Heal(ctx context.Context, numbers ...int) (*Status, error) {
	return changeFaults(ctx, c, func(now []Fault) ([]Fault, error) {
		left := []Fault{}
		if len(numbers) == 0 {
			return left, nil
		}
		for _, n := range numbers {
			if n < 1 || n > len(now) {
				return nil, &InputError{Err: fmt.Errorf("there is no fault %d", n), Hint: "`onemore fault ls` numbers them"}
			}
		}
		for i, f := range now {
			if !slices.Contains(numbers, i+1) {
				left = append(left, f)
			}
		}
		return left, nil
	})
}

// changeFaults makes the faults in force those that change makes of them.
func changeFaults(ctx context.Context, c *Cluster, change func([]Fault) ([]Fault, error)) (*Status, error) {
	return retryStale(func() (*Status, error) {
		st, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		want, err := change(st.FaultTable.Faults)
		if err != nil {
			return nil, err
		}
		rec, err := c.record()
		if err != nil {
			return nil, err
		}
		req, err := planFaults(ctx, rec, st.FaultTable, want)
		if err != nil {
			return nil, err
		}
		return c.do(ctx, control.Request{Op: control.OpFault, Faults: req})
	})
}

// faultsWithout are the faults between the nodes that stay when others are removed.
func faultsWithout(faults []Fault, removed []int) []Fault {
	left := []Fault{}
	for _, f := range faults {
		f.Links = slices.DeleteFunc(slices.Clone(f.Links), func(l plan.Link) bool {
			return slices.Contains(removed, l.From) || slices.Contains(removed, l.To)
		})
		if len(f.Links) > 0 {
			left = append(left, f)
		}
	}
	return left
}

// planFaults is the request that makes the faults in force, now, the wanted ones: with the calls that do it and undo it, where
// the server breaks its network itself.
func planFaults(ctx context.Context, rec *cluster.Record, now control.FaultTable, want []Fault) (*control.FaultChange, error) {
	req := &control.FaultChange{Base: now.Revision, Faults: want}
	t, err := recordedTemplate(ctx, rec)
	if err != nil || !t.OwnFaults() {
		return req, err
	}
	req.Own = true
	if req.Calls, err = faultCalls(t, rec, want); err != nil {
		return nil, err
	}
	req.Undo, err = faultCalls(t, rec, now.Faults)
	return req, err
}

// faultCalls are the calls, by node, that make these the faults in force.
func faultCalls(t *template.Template, rec *cluster.Record, faults []Fault) (map[int][]plan.Call, error) {
	po := rec.Plan.Options
	po.Formed = rec.Plan
	var links []plan.Link
	for _, f := range faults {
		links = append(links, f.Links...)
	}
	calls, err := plan.Faults(t, po, plan.MergeLinks(links))
	if err != nil {
		return nil, planError(err, ports.View{}, "")
	}
	return calls, nil
}
