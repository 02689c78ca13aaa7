package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"onemore/launcher/internal/template"
)

// DefaultOffset is the step between the ports of neighbouring nodes, where it works.
const DefaultOffset = 1000

// DefaultHost is the address of nodes that were not given another.
const DefaultHost = "127.0.0.1"

// Options are what a user, or the launcher for them, chose. All fields with a JSON name are recorded in the plan and
// hold for nodes that are added later.
type Options struct {
	Cluster string `json:"cluster"`
	ID      string `json:"id"`     // random
	Secret  string `json:"secret"` // random; what nodes of the cluster know of each other
	Dir     string `json:"dir"`    // absolute; the cluster's folder

	// Nodes are the indices that are wanted, from 1. With Formed: those to add; members among them stay as they are.
	Nodes []int `json:"-"`
	// Salt is random, and another one for each plan: what nodes that are added with it have of their own.
	Salt string `json:"-"`
	// Formed is the cluster as it is, nil for a new one. Its nodes keep their names, ports, directories and files, and
	// are not asked for again in Host.Used; the recorded Options count but for Nodes, Acting, Env, Node, Source, Bin, Tools,
	// Files, Needs and Onemore, which may be given anew.
	Formed *Plan `json:"-"`
	// Acting are the formed nodes that run, and so may be a Peer; nil: all of them.
	Acting []int `json:"-"`
	// Renew are formed nodes whose directory is made from Source again, by an upgrade: command, environment and what is copied
	// are planned anew. Their names, ports, edits and the files written at their making stay.
	Renew []int `json:"-"`
	// Roles are how many nodes of each role there are to be, of those that the template has; Role, if not "", is that of all
	// nodes that are added.
	Roles map[string]int `json:"-"`
	Role  string         `json:"-"`
	// Places say where in the project's file an option stands, by its key there; errors about it begin so.
	Places map[string]string `json:"-"`

	Host   string `json:"host,omitempty"`   // address of the nodes; "" is DefaultHost
	Spread bool   `json:"spread,omitempty"` // every node gets an address of its own, and the same ports
	Offset int    `json:"offset,omitempty"` // 0: DefaultOffset, or the nearest that works; else kept, or refused
	Base   Base   `json:"base,omitzero"`

	Set    map[string]int    `json:"set,omitempty"` // listener → port of node 1, or of a shared listener
	Params map[string]string `json:"params,omitempty"`
	Join   string            `json:"join,omitempty"` // "" is the template's default
	// Config is what the source's config files say (template.ReadConfig); nil without a source: the template's own files count.
	Config *template.Config `json:"config,omitempty"`
	// Configs are those of nodes that have a source of their own, by index. Which listeners there are, and parameters, all nodes have from Config.
	Configs map[int]*template.Config `json:"configs,omitempty"`

	// Seed is a file for the new cluster, absolute: a program that is run, or what a [[seed]] of the template takes.
	Seed        string `json:"seed,omitempty"`
	SeedProgram bool   `json:"seed_program,omitempty"`

	Env map[string]string `json:"env,omitempty"`
	// CleanEnv keeps all but a few variables of who makes the cluster from its processes: Inherit.Clean.
	CleanEnv bool                `json:"clean_env,omitempty"`
	User     string              `json:"user,omitempty"`   // who nodes run as, as root; "": the template's
	Source   string              `json:"source,omitempty"` // absolute
	Bin      string              `json:"bin,omitempty"`    // absolute
	Tools    map[string]string   `json:"tools,omitempty"`  // program.needs → absolute
	Onemore  string              `json:"onemore"`          // the onemore executable, absolute
	Node     map[int]NodeOptions `json:"node,omitempty"`   // by index
	Needs    map[string]Needed   `json:"needs,omitempty"`  // clusters of the stack that this one needs, by their names there
	Files    []File              `json:"files,omitempty"`  // laid over the copy and the template's own, verbatim
}

// NodeOptions are what one node has apart from the others.
type NodeOptions struct {
	Set    map[string]int    `json:"set,omitempty"` // listener → port
	Env    map[string]string `json:"env,omitempty"`
	Source string            `json:"source,omitempty"` // absolute
	Bin    string            `json:"bin,omitempty"`    // absolute
	// Release is a version to fetch. It is Source or Bin by the time of the plan.
	Release string `json:"-"`
	Files   []File `json:"files,omitempty"` // over those of all nodes
}

// Base says how the base ports are moved: not at all (the zero Base), by Shift, or to the nearest free place.
type Base struct {
	Auto  bool
	Shift int
}

// ParseBase reads what --base takes: "", "auto", or a number that is added to every base port.
func ParseBase(s string) (Base, error) {
	switch s {
	case "", "0":
		return Base{}, nil
	case "auto":
		return Base{Auto: true}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < -65535 || n > 65535 {
		return Base{}, &Refusal{
			Text: fmt.Sprintf("read base %q: it is neither \"auto\" nor a number from -65535 to 65535 that is added to every port", s),
			Hint: "--base auto finds free ports; --base 10000 makes 1883 to 11883",
		}
	}
	return Base{Shift: n}, nil
}

// String is what ParseBase reads.
func (b Base) String() string {
	switch {
	case b.Auto:
		return "auto"
	case b.Shift != 0:
		return strconv.Itoa(b.Shift)
	}
	return ""
}

// MarshalText writes what UnmarshalText reads.
func (b Base) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is ParseBase.
func (b *Base) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBase(string(text))
	return err
}

// Host is what the plan must know of the machine.
type Host struct {
	// Used are the ports that can't be had: bound by anyone, or leased to another cluster.
	Used []Port
	// EphemeralLow to EphemeralHigh is the range from which the kernel takes ports for outgoing connections; 0: unknown.
	EphemeralLow, EphemeralHigh int
	// Variables are the names of the environment that the cluster's processes would inherit.
	Variables []string
}

// Port is one port of one address. The Host "0.0.0.0", "::" or "" stands for all addresses.
type Port struct {
	Proto string // "tcp", "udp"
	Host  string
	Port  int
}

// Refusal is the error of options, or of a template, that can't work: the call is wrong, not the machine.
type Refusal struct {
	Text string
	Hint string // the way out; "" if Text says it
}

func (r *Refusal) Error() string { return r.Text }

// PortError is the error of a port that somebody else holds.
type PortError struct {
	Node     int    // index; 0: the cluster's own (a shared listener)
	NodeName string // "" for Node 0
	Listener string
	Proto    string
	Host     string // the address that was to be bound
	Port     int
	Hint     string
	// Holder is filled by who can look: `redis-server (pid 42)`, `cluster "b"`.
	Holder string
}

func (e *PortError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "somebody else"
	}
	whose := "the cluster"
	if e.Node > 0 {
		whose = fmt.Sprintf("node %d (%s)", e.Node, e.NodeName)
	}
	return fmt.Sprintf("%s port %d on %s, for listener %q of %s, is in use by %s", e.Proto, e.Port, e.Host, e.Listener, whose, holder)
}

// GoBack makes a node's source and program in the options what they were before its upgrade. What all nodes have is the
// cluster's own, so that it counts for those that are added.
func (p *Plan) GoBack(index int, was Options) {
	own := was.Node[index]
	o := &p.Options
	if o.Node = maps.Clone(o.Node); o.Node == nil {
		o.Node = map[int]NodeOptions{}
	}
	p.setOne(index, cmp.Or(own.Source, was.Source), &o.Source, func(n *NodeOptions) *string { return &n.Source })
	p.setOne(index, cmp.Or(own.Bin, was.Bin), &o.Bin, func(n *NodeOptions) *string { return &n.Bin })
}

// setOne gives one node a value, and leaves all others theirs: all is the cluster's, of a node's own.
func (p *Plan) setOne(index int, value string, all *string, of func(*NodeOptions) *string) {
	has := map[int]string{}
	for _, n := range p.Nodes {
		own := p.Options.Node[n.Index]
		has[n.Index] = cmp.Or(*of(&own), *all)
	}
	has[index] = value
	others := slices.Collect(maps.Values(has))
	switch {
	case !slices.ContainsFunc(others, func(v string) bool { return v != value }):
		*all = value
	case slices.Contains(others, ""):
		*all = "" // no node can say of its own that it has none
	}
	for i, v := range has {
		if v == *all {
			v = ""
		}
		if own := p.Options.Node[i]; *of(&own) != v {
			*of(&own) = v
			p.Options.Node[i] = own
		}
	}
}
