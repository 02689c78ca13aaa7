package template

import "fmt"

// samples are made-up nodes that every text must expand for: the first of a new cluster, and one that is added.
func (t *Template) samples() []*Data {
	nodes := make([]*Node, 3)
	for i := range nodes {
		nodes[i] = t.sampleNode(i + 1)
	}
	founding := t.sampleCluster()
	founding.Node, founding.Nodes, founding.Others, founding.Seeds = nodes[0], nodes, nodes[1:], nodes
	founding.First, founding.Peer = nodes[0], nodes[1]
	adding := t.sampleCluster()
	adding.Others, adding.Seeds = nodes[:2], nodes[:2]
	added := *nodes[2]
	added.Salt = "89ab"
	adding.Node, adding.Nodes = &added, []*Node{nodes[0], nodes[1], &added}
	adding.First, adding.Peer, adding.Adding = nodes[0], nodes[0], true
	all := []*Data{founding, adding}
	for _, r := range t.Roles {
		of, node := *founding, *nodes[0]
		node.Role = r.Name
		of.Node = &node
		all = append(all, &of)
	}
	return all
}

func (t *Template) sampleCluster() *Data {
	d := &Data{
		Cluster: "sample", ID: "0123456789abcdef", Secret: "secret", ClusterDir: "/sample", Onemore: "/usr/bin/onemore",
		Join: t.Join.Default, N: 3, Param: make(map[string]string), Tools: make(map[string]string), Needed: sampleStacked(),
	}
	for name, p := range t.Params {
		d.Param[name], _ = t.Expand(p.Default, DefaultData{}) // what is wrong with it is reported elsewhere
	}
	for _, name := range t.Program.Needs {
		d.Tools[name] = "/usr/bin/" + name
	}
	for i, l := range t.Shared {
		d.SharedPort = append(d.SharedPort, Port{Listener: l.Name, Host: "127.0.0.1", Port: 4000 + i})
	}
	return d
}

func (t *Template) sampleNode(index int) *Node {
	n := &Node{
		Index: index, NameIndex: index, Number: index, Name: fmt.Sprintf("sample%d@127.0.0.1", index), Host: "127.0.0.1",
		Dir: fmt.Sprintf("/sample/%d/server", index), Folder: fmt.Sprintf("/sample/%d", index), Bin: "/usr/bin/server",
	}
	if len(t.Roles) > 0 {
		n.Role = t.Roles[(index-1)%len(t.Roles)].Name
	}
	for i, l := range t.Listeners {
		n.Ports = append(n.Ports, Port{Listener: l.Name, Host: "127.0.0.1", Port: 1000*index + i, Scheme: l.Scheme, URL: fmt.Sprintf("127.0.0.1:%d", 1000*index+i)})
	}
	return n
}

// sampleFor gives the data that texts of a place get.
func sampleFor(where scope, d *Data) any {
	switch where {
	case inName:
		return NameData{Index: d.Index, NameIndex: d.NameIndex, Role: d.Role, Host: d.Host, Cluster: d.Cluster, Param: d.Param}
	case inWhen:
		return WhenData{SharedData: SharedData{Cluster: d.Cluster, Join: d.Join, Param: d.Param}, Index: d.Index, Role: d.Role}
	case inShared:
		return SharedData{Cluster: d.Cluster, Join: d.Join, Param: d.Param}
	case inRefuse:
		return RefuseData{N: d.N, Host: d.Host, Cluster: d.Cluster, Join: d.Join, Param: d.Param}
	case inURL:
		return URLData{Addr: "127.0.0.1:1000", Host: "127.0.0.1", Port: 1000, Scheme: "http"}
	case inDefault:
		return DefaultData{}
	case inSeed:
		with := *d
		with.Seed = "/sample/seed"
		return &with
	case inRelease:
		return sampleRelease
	case inFault:
		with := *d
		with.Fault = &Fault{Peers: d.Others, Block: true, Delay: "50ms", Drop: "10"}
		return &with
	default:
		return d
	}
}
