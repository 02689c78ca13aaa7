package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/template"
)

// Fault is one thing that is wrong with the network between a cluster's nodes. Clients of the nodes are not affected.
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
	return pairs("delay", a, b, both, plan.Link{Delay: template.Duration{Duration: d}}, d.String())
}

// Drop is a fault: of what a sends to b, and with both of what b sends to a, a share of the packets (0 to 1) is lost.
func Drop(a, b []int, both bool, share float64) Fault {
	return pairs("drop", a, b, both, plan.Link{Drop: share}, strconv.FormatFloat(100*share, 'f', -1, 64)+"%")
}

func pairs(kind string, a, b []int, both bool, l plan.Link, how string) Fault {
	f := Fault{Links: between(a, b, l)}
	arrow := "->"
	if both {
		arrow = "<->"
		f.Links = append(f.Links, between(b, a, l)...)
	}
	f.Text = fmt.Sprintf("%s %s %s %s %s", kind, join(a), arrow, join(b), how)
	return f
}

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

// ParseFault reads a fault as its Text has it: "partition 1,2 / 3", "one-way 1 -> 2", "delay 1 <-> 2 50ms",
// "drop 1 <-> 2 10%". A node is its number or its name; "to" stands for "->", and "and" for "<->".
func (c *Cluster) ParseFault(text string) (Fault, error) {
	f, err := c.parseFault(text)
	if err != nil {
		if in, ok := errors.AsType[*InputError](err); ok {
			return f, in
		}
		return f, &InputError{Err: fmt.Errorf("fault %q: %w", text, err),
			Hint: "partition 1,2 / 3; one-way 1 to 2; delay 1 and 2 50ms; drop 1 to 2 10% (a shell wants -> and <-> in quotes)"}
	}
	return f, nil
}

func (c *Cluster) parseFault(text string) (f Fault, err error) {
	for _, op := range []string{"<->", "/"} {
		text = strings.ReplaceAll(text, op, " "+op+" ")
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "->", " -> "), "< -> ", "<->")
	words := strings.Fields(text)
	if len(words) < 4 {
		return f, errors.New("it names no two sides")
	}
	kind, words := words[0], words[1:]
	if kind == "partition" {
		groups, err := c.groups(words)
		if err != nil {
			return f, err
		}
		return Partition(groups...), nil
	}
	last := ""
	if kind != "one-way" {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	at := slices.IndexFunc(words, func(w string) bool { return arrows[w] != "" })
	if at < 0 {
		return f, errors.New("no ->, <->, to or and is between its two sides")
	}
	a, err := c.nodesOf(words[:at])
	if err != nil {
		return f, err
	}
	b, err := c.nodesOf(words[at+1:])
	if err != nil {
		return f, err
	}
	if slices.ContainsFunc(a, func(i int) bool { return slices.Contains(b, i) }) {
		return f, errors.New("a node is on both sides")
	}
	return faultOf(kind, a, b, arrows[words[at]] == "<->", last)
}

// arrows are the words between two sides.
var arrows = map[string]string{"->": "->", "to": "->", "<->": "<->", "and": "<->"}

func faultOf(kind string, a, b []int, both bool, how string) (f Fault, err error) {
	switch kind {
	case "one-way":
		if both {
			return f, errors.New("both ways is a partition")
		}
		return OneWay(a, b), nil
	case "delay":
		d, err := time.ParseDuration(how)
		if err != nil || d <= 0 {
			return f, fmt.Errorf("%q is no time such as 50ms", how)
		}
		return Delay(a, b, both, d), nil
	case "drop":
		number, sign := strings.CutSuffix(how, "%")
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || !(p > 0 && p <= 100) { // not a number is neither
			return f, fmt.Errorf("%q is no percentage above 0 and up to 100", how)
		}
		if !sign && p < 1 {
			return f, fmt.Errorf("%q may be a share or a percentage: write %.6g%% or %.6g%%", how, p, 100*p)
		}
		return Drop(a, b, both, p/100), nil
	}
	return f, fmt.Errorf("there is no fault %q: have partition, one-way, delay, drop", kind)
}

// groups reads "1,2 / 3 / 4".
func (c *Cluster) groups(words []string) ([][]int, error) {
	var out [][]int
	seen := map[int]bool{}
	for part := range strings.SplitSeq(strings.Join(words, " "), "/") {
		nodes, err := c.nodesOf(strings.Fields(part))
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			if seen[n] {
				return nil, fmt.Errorf("node %d is on both sides", n)
			}
			seen[n] = true
		}
		out = append(out, nodes)
	}
	if len(out) < 2 {
		return nil, errors.New("it names one side only; write / between the sides")
	}
	return out, nil
}

// nodesOf reads "1,2" or "1, 2" or names.
func (c *Cluster) nodesOf(words []string) ([]int, error) {
	names := strings.FieldsFunc(strings.Join(words, " "), func(r rune) bool { return r == ',' || r == ' ' })
	if len(names) == 0 {
		return nil, errors.New("a side of it is empty")
	}
	nodes, err := c.Find(names...)
	slices.Sort(nodes)
	return slices.Compact(nodes), err
}

// Faults lists what is wrong with the cluster's network.
func (c *Cluster) Faults(ctx context.Context) ([]Fault, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return st.FaultTable.Faults, nil
}

// AddFault breaks the network between nodes, besides what is broken already, until Heal, or Down. One that is set already
// is not set twice. A node that is started again gets its faults again. Where the template says how, the server does it itself; else the kernel does, for root on Linux.
func (c *Cluster) AddFault(ctx context.Context, f Fault) (*Status, error) {
	return c.changeFaults(ctx, func(had []Fault) ([]Fault, error) {
		if slices.ContainsFunc(had, func(o Fault) bool { return o.Text == f.Text && slices.Equal(o.Links, f.Links) }) {
			return had, nil
		}
		return append(slices.Clone(had), f), nil
	})
}

// Heal ends the faults of the given numbers, as Faults lists them from 1, or all of them, and waits until the cluster has
// settled, unless nodes are still cut off.
func (c *Cluster) Heal(ctx context.Context, numbers ...int) (*Status, error) {
	return c.changeFaults(ctx, func(had []Fault) ([]Fault, error) {
		if len(numbers) == 0 {
			return []Fault{}, nil
		}
		left := []Fault{}
		for _, n := range numbers {
			if n < 1 || n > len(had) {
				return nil, &InputError{Err: fmt.Errorf("there is no fault %d", n), Hint: "`onemore fault ls` numbers them"}
			}
		}
		for i, f := range had {
			if !slices.Contains(numbers, i+1) {
				left = append(left, f)
			}
		}
		return left, nil
	})
}

func (c *Cluster) changeFaults(ctx context.Context, change func([]Fault) ([]Fault, error)) (*Status, error) {
	return planned(func() (*Status, error) {
		st, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		req, err := c.faultChange(ctx, st.FaultTable, change)
		if err != nil {
			return nil, err
		}
		return c.do(ctx, control.Request{Op: control.OpFault, Faults: req})
	})
}

// faultChange plans a change of the faults that there are.
func (c *Cluster) faultChange(ctx context.Context, had control.FaultTable, change func([]Fault) ([]Fault, error)) (*control.FaultChange, error) {
	now, err := change(had.Faults)
	if err != nil {
		return nil, err
	}
	req := &control.FaultChange{Base: had.Revision, Faults: now}
	return req, c.planFaults(ctx, req, had.Faults)
}

// without are the faults of the nodes that stay when others go.
func without(faults []Fault, gone []int) []Fault {
	left := []Fault{}
	for _, f := range faults {
		f.Links = slices.DeleteFunc(slices.Clone(f.Links), func(l plan.Link) bool {
			return slices.Contains(gone, l.From) || slices.Contains(gone, l.To)
		})
		if len(f.Links) > 0 {
			left = append(left, f)
		}
	}
	return left
}

// planFaults completes a change by the calls that bring it about, where the server has its own.
func (c *Cluster) planFaults(ctx context.Context, req *control.FaultChange, had []Fault) error {
	rec, err := c.record()
	if err != nil {
		return err
	}
	var asked origin
	if err := json.Unmarshal(rec.Options, &asked); err != nil {
		return fmt.Errorf("read what cluster %q was made from: %w", c.name, err)
	}
	t, _, err := chooseTemplate(ctx, asked.Template, "")
	if err != nil {
		return err
	}
	if !t.OwnFaults() {
		return nil
	}
	req.Own = true
	po := rec.Plan.Options
	po.Formed = rec.Plan
	for _, one := range []struct {
		to     *map[int][]plan.Call
		faults []Fault
	}{{&req.Calls, req.Faults}, {&req.Undo, had}} {
		var links []plan.Link
		for _, f := range one.faults {
			links = append(links, f.Links...)
		}
		if *one.to, err = plan.Faults(t, po, plan.MergeLinks(links)); err != nil {
			return refusal(err, ports.View{})
		}
	}
	return nil
}
