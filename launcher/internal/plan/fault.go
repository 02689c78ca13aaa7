package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"onemore/launcher/internal/template"
)

// Link is what happens to all that one node sends to another.
type Link struct {
	From  int               `json:"from"`
	To    int               `json:"to"`
	Block bool              `json:"block,omitempty"`
	Delay template.Duration `json:"delay,omitzero"` // added to every message
	Drop  float64           `json:"drop,omitempty"` // share of packets that are lost, 0 to 1
}

// harmless tells whether nothing happens at all.
func (l Link) harmless() bool { return !l.Block && l.Delay.Duration == 0 && l.Drop == 0 }

// Faults are the calls by which each node of the formed cluster o.Formed is made to treat what it sends as links say, and all
// else as usual. A link that is not given, or is harmless, is as usual. The template must have a [fault].
func Faults(t *template.Template, o Options, links []Link) (map[int][]Call, error) {
	t, o, err := o.resolve(t)
	if err != nil {
		return nil, err
	}
	p := &Plan{Cluster: o.Cluster, ID: o.ID, Template: t.Name, Dir: o.Dir}
	p.adopt(o.Formed)
	x := newExpander(t, &o, p, nil)
	for i := range p.Nodes {
		x.formed = append(x.formed, x.textNode(&p.Nodes[i]))
	}
	x.running = x.formed
	for _, l := range p.Shared {
		x.base.SharedPort = append(x.base.SharedPort, template.Port{Listener: l.Name, Host: l.Host, Port: l.Port})
	}
	out := make(map[int][]Call, len(p.Nodes))
	for i, n := range x.formed {
		calls, err := x.faultsOf(i, links)
		if err != nil {
			return nil, fmt.Errorf("plan faults of node %d: %w", n.Index, err)
		}
		out[n.Index] = calls
	}
	return out, nil
}

// faultsOf makes one call for all peers to whom the same happens, and one for those to whom nothing does.
func (x *expander) faultsOf(i int, links []Link) ([]Call, error) {
	groups := map[Link][]*template.Node{} // by links without ends
	var order []Link
	for j, peer := range x.formed {
		if j == i {
			continue
		}
		var to Link
		for _, l := range links {
			if l.From == x.formed[i].Index && l.To == peer.Index {
				to = Link{Block: l.Block, Delay: l.Delay, Drop: l.Drop}
			}
		}
		if groups[to] == nil {
			order = append(order, to)
		}
		groups[to] = append(groups[to], peer)
	}
	slices.SortStableFunc(order, func(a, b Link) int { return cmp.Compare(blocked(a), blocked(b)) })
	var out []Call
	for _, l := range order {
		from := &x.t.Fault.Set
		if l.harmless() {
			from = &x.t.Fault.Clear
		}
		d := x.presentData(i, x.p.Nodes[i].Added)
		d.Fault = faultText(l, groups[l])
		c, err := x.call(d, from)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, *c)
		}
	}
	return out, nil
}

// blocked is 0 for a link that is cut: those are cut before others are let pass.
func blocked(l Link) int {
	if l.Block {
		return 0
	}
	return 1
}

func faultText(l Link, peers []*template.Node) *template.Fault {
	f := &template.Fault{Peers: peers, Block: l.Block}
	if l.Delay.Duration > 0 {
		f.Delay = l.Delay.String()
	}
	if l.Drop > 0 {
		f.Drop = strconv.FormatFloat(100*l.Drop, 'f', -1, 64)
	}
	return f
}

// MergeLinks gives one link for every pair of nodes that any of the links is about: delays add up, and a packet arrives only if
// it passes them all.
func MergeLinks(links []Link) []Link {
	var out []Link
	at := map[[2]int]int{}
	for _, l := range links {
		pair := [2]int{l.From, l.To}
		i, ok := at[pair]
		if !ok {
			at[pair] = len(out)
			out = append(out, l)
			continue
		}
		o := &out[i]
		o.Block, o.Drop = o.Block || l.Block, 1-(1-o.Drop)*(1-l.Drop)
		o.Delay.Duration += l.Delay.Duration
	}
	return out
}
