package plan

import (
	"slices"

	"onemore/launcher/internal/template"
)

// membership is who is in the cluster, as the texts of its nodes see it.
type membership struct {
	base    template.Data    // what all nodes see alike
	formed  []*template.Node // present nodes, in order of index
	running []*template.Node // those of them that run
	added   []*template.Node // new nodes
	// sources is what the source of the node with an index says.
	sources func(index int) template.Sources
}

// addedData is what the texts of a new node see. A node that is added to a formed cluster sees the members, the nodes that
// are added before it, and itself: that is the cluster which it comes to.
func (m *membership) addedData(i int, toFormed bool) *template.Data {
	d := m.base
	d.Node = m.added[i]
	if !toFormed {
		d.Nodes, d.Seeds = m.added, m.added
		d.Others = slices.Concat(m.added[:i], m.added[i+1:])
	} else {
		d.Adding = true
		d.Nodes = slices.Concat(m.formed, m.added[:i+1])
		slices.SortFunc(d.Nodes, func(a, b *template.Node) int { return a.Index - b.Index })
		d.Others = slices.DeleteFunc(slices.Clone(d.Nodes), func(n *template.Node) bool { return n == d.Node })
		d.Seeds = m.running
	}
	m.setPeer(&d)
	return &d
}

// presentData is what the texts of a present node see; added says that it came to a formed cluster. Its seeds are all members, whether
// they run or not: they may be asked at a later start.
func (m *membership) presentData(i int, added bool) *template.Data {
	d := m.base
	d.Node, d.Nodes, d.Seeds, d.Adding = m.formed[i], m.formed, m.formed, added
	d.Others = slices.Concat(m.formed[:i], m.formed[i+1:])
	m.setPeer(&d)
	return &d
}

// setPeer fills what follows from the nodes of the data: how many there are, the first one, a running one to ask, and what the source of
// the node itself says.
func (m *membership) setPeer(d *template.Data) {
	d.N, d.First = len(d.Nodes), d.Nodes[0]
	d.Sources = m.sources(d.Index)
	for _, n := range m.running {
		if n != d.Node {
			d.Peer = n
			break
		}
	}
}
