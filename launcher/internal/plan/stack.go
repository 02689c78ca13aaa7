package plan

import "onemore/launcher/internal/template"

// Needed is a cluster of the same stack, as it was when texts were last expanded.
type Needed struct {
	Cluster string       `json:"cluster"` // its name on this host
	Nodes   []NeededNode `json:"nodes"`
}

// NeededNode is one node of it.
type NeededNode struct {
	Index     int        `json:"index"`
	Name      string     `json:"name"`
	Host      string     `json:"host"`
	Dir       string     `json:"dir"`
	Listeners []Listener `json:"listeners"`
}

// AsNeeded is what other clusters of the stack see of the planned one.
func (p *Plan) AsNeeded() Needed {
	out := Needed{Cluster: p.Cluster, Nodes: make([]NeededNode, len(p.Nodes))}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		out.Nodes[i] = NeededNode{Index: n.Index, Name: n.Name, Host: n.Host, Dir: n.Dir, Listeners: n.Listeners}
	}
	return out
}

// Stacked is what texts see of it.
func (n Needed) Stacked() *template.Stacked {
	out := &template.Stacked{}
	for _, node := range n.Nodes {
		seen := &template.Node{Index: node.Index, Number: NumberIn(node.Name), Name: node.Name, Host: node.Host, Dir: node.Dir}
		for _, l := range node.Listeners {
			seen.Ports = append(seen.Ports, template.Port{Listener: l.Name, Host: l.Host, Port: l.Port, Scheme: l.Scheme, URL: l.URL})
		}
		out.Nodes = append(out.Nodes, seen)
	}
	return out
}

// stacked is what texts see of all that a cluster needs.
func stacked(needs map[string]Needed) map[string]*template.Stacked {
	if len(needs) == 0 {
		return nil
	}
	out := make(map[string]*template.Stacked, len(needs))
	for name, n := range needs {
		out[name] = n.Stacked()
	}
	return out
}

// Ports are all ports of the plan, as Host.Used takes them.
func (p *Plan) Ports() []Port {
	var out []Port
	add := func(list []Listener) {
		for _, l := range list {
			for _, proto := range l.Protocols {
				out = append(out, Port{Proto: proto, Host: l.Bind, Port: l.Port})
			}
		}
	}
	add(p.Shared)
	for i := range p.Nodes {
		add(p.Nodes[i].Listeners)
	}
	return out
}
