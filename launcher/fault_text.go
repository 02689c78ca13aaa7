package launcher

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault as its Text has it: "partition 1,2 / 3", "one-way 1 -> 2", "delay 1 <-> 2 50ms",
// "drop 1 <-> 2 10%". A node is its number or its name; "to" stands for "->", and "and" for "<->".
func (c *Cluster) ParseFault(text string) (Fault, error) {
	f, err := faultParser{c.Find}.parse(text)
	if err != nil {
		if in, ok := errors.AsType[*InputError](err); ok {
			return f, in
		}
		return f, &InputError{Err: fmt.Errorf("fault %q: %w", text, err),
			Hint: "partition 1,2 / 3; one-way 1 to 2; delay 1 and 2 50ms; drop 1 to 2 10% (a shell wants -> and <-> in quotes)"}
	}
	return f, nil
}

// faultParser reads faults; find gives the numbers of nodes that are named.
type faultParser struct {
	find func(names ...string) ([]int, error)
}

func (p faultParser) parse(text string) (f Fault, err error) {
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
		groups, err := p.groups(words)
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
	a, err := p.nodes(words[:at])
	if err != nil {
		return f, err
	}
	b, err := p.nodes(words[at+1:])
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

// faultOf makes the fault of a kind between two sides; how is its measure, as it was written.
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
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent <= 100) { // NaN is neither
			return f, fmt.Errorf("%q is no percentage above 0 and up to 100", how)
		}
		if !sign && percent < 1 {
			return f, fmt.Errorf("%q may be a share or a percentage: write %.6g%% or %.6g%%", how, percent, 100*percent)
		}
		return Drop(a, b, both, percent/100), nil
	}
	return f, fmt.Errorf("there is no fault %q: have partition, one-way, delay, drop", kind)
}

// groups reads "1,2 / 3 / 4".
func (p faultParser) groups(words []string) ([][]int, error) {
	var out [][]int
	seen := map[int]bool{}
	for part := range strings.SplitSeq(strings.Join(words, " "), "/") {
		nodes, err := p.nodes(strings.Fields(part))
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

// nodes reads "1,2" or "1, 2" or names.
func (p faultParser) nodes(words []string) ([]int, error) {
	names := strings.FieldsFunc(strings.Join(words, " "), func(r rune) bool { return r == ',' || r == ' ' })
	if len(names) == 0 {
		return nil, errors.New("a side of it is empty")
	}
	nodes, err := p.find(names...)
	slices.Sort(nodes)
	return slices.Compact(nodes), err
}
