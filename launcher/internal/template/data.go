package template

import (
	"fmt"
	"net"
	"strconv"
)

// Node is what texts see of one node: {{.Name}} of the node that a text is about, {{.Peer.Name}} of another.
type Node struct {
	Index     int    // 1…, counted in the cluster
	NameIndex int    // Index, moved where the numbers in node names must not meet another cluster's; for node.name
	Number    int    // digits before @ in Name, 0 if there are none
	Role      string // "" where the template has no roles
	Name      string // node name
	Salt      string // random, of a node that was added; "" for the first ones. For servers that never take back a name that has left
	Host      string // the address that clients and other nodes use
	Dir       string // the node directory, absolute
	Folder    string // the folder around it, absolute: holds Dir and the log
	Bin       string // the program, absolute; "" if the template needs none
	Ports     []Port // by listener
}

// Port is one listener's address.
type Port struct {
	Listener string
	Host     string
	Port     int
	Scheme   string
	URL      string
}

// Port is the port of one of the node's listeners: {{.Port "http"}}, {{.Peer.Port "http"}}.
func (n *Node) Port(listener string) (int, error) {
	p, err := find(n.Ports, listener)
	return p.Port, err
}

// Has reports whether the node has the listener: not one that is only there when a source declares it, and none does.
func (n *Node) Has(listener string) bool {
	_, err := n.find(listener)
	return err == nil
}

// Addr is HOST:PORT of one of the node's listeners.
func (n *Node) Addr(listener string) (string, error) {
	p, err := n.find(listener)
	return p.addr(), err
}

// URL is what clients use for one of the node's listeners: its url.
func (n *Node) URL(listener string) (string, error) {
	p, err := n.find(listener)
	return p.URL, err
}

// Scheme is that of the source's value of one of the node's listeners, or the listener's own.
func (n *Node) Scheme(listener string) (string, error) {
	p, err := n.find(listener)
	return p.Scheme, err
}

// find is the port of a listener; a node of a sample's stack has them all.
func (n *Node) find(listener string) (Port, error) {
	if len(n.Ports) == 1 && n.Ports[0].Listener == anyName {
		return n.Ports[0], nil
	}
	return find(n.Ports, listener)
}

func (p Port) addr() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

func find(ports []Port, listener string) (Port, error) {
	for _, p := range ports {
		if p.Listener == listener {
			return p, nil
		}
	}
	return Port{}, fmt.Errorf("no listener %q here", listener)
}

// Data is what a text sees: the node that it is about, and its cluster.
type Data struct {
	*Node
	Sources
	Cluster    string              // the cluster's name
	ID         string              // its random id
	Secret     string              // random, the same for all nodes of the cluster
	ClusterDir string              // the cluster's folder, absolute
	Onemore    string              // the onemore executable, absolute
	Join       string              // the method of joining: "config", "command" or "none"
	Adding     bool                // the node is added to a formed cluster
	N          int                 // how many Nodes there are
	Nodes      []*Node             // a new cluster: all nodes; an added node: the members, and the added up to itself
	Others     []*Node             // Nodes without the node itself
	Seeds      []*Node             // whom to ask for the cluster: all nodes of a new one (the first founds it), the members for an added node
	First      *Node               // the first of Nodes
	Peer       *Node               // a running member other than the node; none in a cluster of one
	Param      map[string]string   // the template's own settings
	Tools      map[string]string   // programs of program.needs, absolute
	SharedPort []Port              // by shared listener
	Needed     map[string]*Stacked // the clusters of the stack that this one needs, by their names there
	Seed       string              // of a call of [[seed]]: the file of `up --seed`, absolute; ""
	Fault      *Fault              // what a call of [fault] is about; nil elsewhere
}

// Tool is the absolute path of a program of program.needs.
func (d *Data) Tool(name string) (string, error) {
	if path := d.Tools[name]; path != "" {
		return path, nil
	}
	return "", fmt.Errorf("no program %q was found", name)
}

// Shared is the port of one of the cluster's shared listeners.
func (d *Data) Shared(listener string) (int, error) {
	p, err := find(d.SharedPort, listener)
	return p.Port, err
}

// Fault is what happens to all that a node sends to some of its peers.
type Fault struct {
	Peers []*Node
	Block bool   // nothing arrives
	Delay string // arrives so much later, such as "50ms"; "" for no delay
	Drop  string // percentage of packets that are lost, such as "10"; "" for none
}

// URLData is what the url of a listener sees.
type URLData struct {
	Sources
	Addr   string // HOST:PORT
	Host   string
	Port   int
	Scheme string
}

// NameData is what node.name sees.
type NameData struct {
	Index     int
	NameIndex int
	Role      string
	Host      string
	Cluster   string
	Param     map[string]string
}

// RefuseData is what a refusal, or a note, sees: N is the number of nodes that there would be.
type RefuseData struct {
	Sources
	N       int
	Host    string // of the nodes; with addresses of their own, of the first
	Cluster string
	Join    string
	Param   map[string]string

	Given map[string]string // what --env gives the nodes; texts read Env
}

// Env is the value that --env gives the nodes for a variable: {{.Env "LICENSE"}}; "" if it gives none.
func (d RefuseData) Env(name string) string { return d.Given[name] }

// SharedData is what the when of a shared listener sees.
type SharedData struct {
	Sources
	Cluster string
	Join    string
	Param   map[string]string
}

// WhenData is what the when of a listener or of a place sees: of the node what is known before its ports are.
type WhenData struct {
	SharedData
	Index int
	Role  string
}

// DefaultData is what the default of a parameter sees.
type DefaultData struct{ Sources }
