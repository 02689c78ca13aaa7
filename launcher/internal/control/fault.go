package control

import (
	"slices"

	"onemore/launcher/internal/plan"
)

// Fault is one thing that is wrong with the network between the nodes.
type Fault struct {
	Text  string      `json:"text"` // as people say it: "partition 1,2 / 3"
	Links []plan.Link `json:"links"`
}

// FaultTable is all that is wrong at present. Revision grows with every change.
type FaultTable struct {
	Revision int     `json:"revision"`
	Faults   []Fault `json:"faults"`
}

// FaultChange makes the table of a cluster Faults. Calls are what brings that about where the server can do it itself, by
// node, and Undo what brings back the table that it was made from; without Calls the kernel does it.
type FaultChange struct {
	Base   int                 `json:"base"` // revision of the table that this was made from
	Faults []Fault             `json:"faults"`
	Own    bool                `json:"own"` // the server does it itself
	Calls  map[int][]plan.Call `json:"calls,omitempty"`
	Undo   map[int][]plan.Call `json:"undo,omitempty"`
}

// Cut tells whether some node can't reach another, so that nobody may be waited for.
func (f *FaultTable) Cut() bool {
	return slices.ContainsFunc(f.Faults, func(one Fault) bool {
		return slices.ContainsFunc(one.Links, func(l plan.Link) bool { return l.Block || l.Drop == 1 })
	})
}

// Touches tells whether some fault is about one of the nodes.
func (f *FaultTable) Touches(nodes []int) bool {
	return slices.ContainsFunc(f.AllLinks(), func(l plan.Link) bool { return slices.Contains(nodes, l.From) || slices.Contains(nodes, l.To) })
}

// AllLinks are the links of all faults, each once.
func (f *FaultTable) AllLinks() []plan.Link {
	var all []plan.Link
	for _, one := range f.Faults {
		all = append(all, one.Links...)
	}
	return plan.MergeLinks(all)
}
