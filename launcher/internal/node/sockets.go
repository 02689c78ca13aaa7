package node

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/proc"
)

// missing returns a listener of a node that is not open and its own: one that a stranger holds, else the first. nil when
// all are as planned.
func missing(n *Node) (*control.Finding, error) {
	if n.current() == nil {
		return nil, ErrExited
	}
	table, err := n.host.Sockets()
	if err != nil {
		return nil, err
	}
	fs, err := inspect(n, table)
	fs = slices.DeleteFunc(fs, func(f control.Finding) bool { return optional(n.Plan, f.Listener) })
	if i := slices.IndexFunc(fs, func(f control.Finding) bool { return f.Kind == control.Stranger }); i >= 0 {
		return &fs[i], nil
	}
	if len(fs) > 0 {
		return &fs[0], nil
	}
	return nil, err
}

// optional reports whether a node is ready without that listener.
func optional(p plan.Node, listener string) bool {
	return slices.ContainsFunc(p.Listeners, func(l plan.Listener) bool { return l.Name == listener && l.Optional })
}

// inspect compares the planned listeners of a node with the host's sockets; what is as planned is left out. The whole
// family is looked up only when a listener is held, and not by the node's own process.
func inspect(n *Node, table []ports.Socket) ([]control.Finding, error) {
	var own []proc.ID
	if r := n.current(); r != nil {
		own = []proc.ID{r.proc.ID()}
	}
	for deep := false; ; deep = true {
		owned, err := ports.Owned(table, pids(own))
		if err != nil {
			return nil, err
		}
		var out []control.Finding
		for _, l := range n.Plan.Listeners {
			for _, proto := range l.Protocols {
				if f := inspectOne(n, l, proto, table, owned); f != nil {
					out = append(out, *f)
				}
			}
		}
		if deep || !slices.ContainsFunc(out, func(f control.Finding) bool { return f.Kind == control.Stranger }) {
			return n.host.NameHolders(out), nil // what nobody holds, no other process of the node holds either
		}
		own = n.family()
	}
}

// inspectOne looks for one protocol of a listener among the sockets of the host and those of the node.
func inspectOne(n *Node, l plan.Listener, proto string, table []ports.Socket, owned map[uint64]int) *control.Finding {
	f := &control.Finding{Node: n.Plan.Index, Kind: control.Closed, Listener: l.Name, Proto: proto, Address: net.JoinHostPort(l.Host, strconv.Itoa(l.Port))}
	for _, s := range table {
		if string(s.Proto) != proto || s.Port != l.Port || !serves(s, l) {
			continue
		}
		if _, ok := owned[s.Inode]; ok {
			return nil
		}
		f.Kind = control.Stranger
	}
	return f
}

// NameHolders finds out which programs the strangers are. One that carries the cluster's mark is none: it was forked since the
// observation.
func (h *Host) NameHolders(fs []control.Finding) []control.Finding {
	for i := range fs {
		f := &fs[i]
		if f.Kind != control.Stranger {
			continue
		}
		host, port, err := net.SplitHostPort(f.Address)
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(port)
		p, ok := ports.Holder(ports.Addr{Proto: ports.Proto(f.Proto), Host: host, Port: n})
		if !ok || h.Processes.owns(p.PID) {
			f.Kind = control.Closed
			continue
		}
		f.PID, f.Program = p.PID, p.Name
	}
	return fs
}

// serves reports whether a socket answers on the listener's address.
func serves(s ports.Socket, l plan.Listener) bool {
	if s.Proto == ports.TCP && !s.Listening {
		return false
	}
	return s.Host.IsUnspecified() || s.Host.String() == l.Host || s.Host.String() == l.Bind || l.Bind == "0.0.0.0"
}

// Sockets observes the machine's sockets, once for all who ask at the same time.
func (h *Host) Sockets() ([]ports.Socket, error) {
	return h.sockets.observe(time.Duration(h.pause.Load()), ports.Sockets)
}

// SocketsNow is Sockets for one who asks alone.
func (h *Host) SocketsNow() ([]ports.Socket, error) { return h.sockets.observe(0, ports.Sockets) }

// NoteSockets remembers the machine's sockets as older than the cluster. It is called while no process of the cluster runs.
func (h *Host) NoteSockets() {
	table, err := h.Sockets()
	if err != nil {
		return
	}
	known := make(map[uint64]bool, len(table))
	for _, s := range table {
		known[s.Inode] = true
	}
	h.known.Store(&known)
}

// Holders returns which process of which node holds each socket of the table: node → inode → pid. Every process of the
// cluster is looked up only when a socket is neither one of a node's own process nor older than the cluster.
func (h *Host) Holders(nodes []*Node, table []ports.Socket) (map[int]map[uint64]int, error) {
	families := map[int][]proc.ID{}
	for _, n := range nodes {
		if r := n.current(); r != nil {
			families[n.Plan.Index] = []proc.ID{r.proc.ID()}
		}
	}
	for deep := false; ; deep = true {
		known := map[uint64]bool{}
		if before := h.known.Load(); before != nil {
			known = maps.Clone(*before)
		}
		out := make(map[int]map[uint64]int, len(families))
		for index, ids := range families {
			owned, err := ports.Owned(table, pids(ids))
			if err != nil {
				return nil, err
			}
			out[index] = owned
			for inode := range owned {
				known[inode] = true
			}
		}
		if deep || !slices.ContainsFunc(table, func(s ports.Socket) bool { return !known[s.Inode] }) {
			return out, nil
		}
		var err error
		if families, err = h.Processes.families(); err != nil {
			return nil, err
		}
	}
}

// strangerAt returns the listener of a node that another program holds, if any: the usual reason of a failed start.
func strangerAt(n *Node) *control.Finding {
	table, err := n.host.Sockets()
	if err != nil {
		return nil
	}
	fs, _ := inspect(n, table)
	for i := range fs {
		if fs[i].Kind == control.Stranger {
			return &fs[i]
		}
	}
	return nil
}

// HeldPort returns an error that names a planned port of the node which a process of the cluster still holds, nil without one.
func (h *Host) HeldPort(n *Node, table []ports.Socket) error {
	for _, l := range n.Plan.Listeners {
		for _, s := range table {
			if s.Port != l.Port || !slices.Contains(l.Protocols, string(s.Proto)) || !serves(s, l) {
				continue
			}
			if p, ok := ports.Holder(ports.Addr{Proto: s.Proto, Host: s.Host.String(), Port: s.Port}); ok && h.Processes.owns(p.PID) {
				return fmt.Errorf("port %d (%s) of node %s is held by pid %d (%s)", l.Port, l.Name, n.Plan.Name, p.PID, p.Name)
			}
		}
	}
	return nil
}

// Audit compares a running node's listeners with the plan: strangers on its ports, ports that are not open, and ports
// that nobody planned. owned are the inodes of the sockets that its processes hold, as Host.Holders returns them.
func (n *Node) Audit(table []ports.Socket, owned map[uint64]int) []control.Finding {
	if !n.Is(control.Running) {
		return nil
	}
	var found []control.Finding
	for _, l := range n.Plan.Listeners {
		for _, proto := range l.Protocols {
			if f := inspectOne(n, l, proto, table, owned); f != nil && !(l.Optional && f.Kind == control.Closed) {
				found = append(found, *f)
			}
		}
	}
	for _, s := range table {
		pid, mine := owned[s.Inode]
		if !mine || planned(n.Plan.Listeners, s) || (s.Proto == ports.UDP && ephemeral(s)) {
			continue
		}
		found = append(found, control.Finding{Node: n.Plan.Index, Kind: control.Undeclared, Proto: string(s.Proto),
			Address: net.JoinHostPort(s.Host.String(), strconv.Itoa(s.Port)), PID: pid, Program: proc.Name(pid)})
	}
	return found
}

// inUse is how servers say that they could not have an address.
var inUse = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)eaddrinuse|address (is )?(already )?in use`)
})

// SaysInUse reports whether the node has said since its start that an address was in use.
func SaysInUse(n *Node) bool {
	n.mu.Lock()
	start := n.start
	n.mu.Unlock()
	for _, lines := range logTexts(n.Plan, start) {
		if slices.ContainsFunc(lines, inUse().MatchString) {
			return true
		}
	}
	return false
}

// ephemeral reports whether a UDP socket is a client's rather than a listener: the kernel chose its port.
func ephemeral(s ports.Socket) bool { return s.Port >= 32768 }

func planned(ls []plan.Listener, s ports.Socket) bool {
	for _, l := range ls {
		for _, proto := range l.Protocols {
			if l.Port == s.Port && proto == string(s.Proto) {
				return true
			}
		}
	}
	return false
}
