package keeper

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/proc"
)

// missing returns a listener of a node that is not open and its own: one that a stranger holds, else the first. nil when
// all are as planned.
func (k *Keeper) missing(n *node) (*control.Finding, error) {
	if n.current() == nil {
		return nil, errExited
	}
	table, err := k.audit.sockets()
	if err != nil {
		return nil, err
	}
	fs, err := k.inspect(n, table)
	fs = slices.DeleteFunc(fs, func(f control.Finding) bool { return n.optional(f.Listener) })
	if i := slices.IndexFunc(fs, func(f control.Finding) bool { return f.Kind == control.Stranger }); i >= 0 {
		return &fs[i], nil
	}
	if len(fs) > 0 {
		return &fs[0], nil
	}
	return nil, err
}

func (n *node) optional(listener string) bool {
	return slices.ContainsFunc(n.plan.Listeners, func(l plan.Listener) bool { return l.Name == listener && l.Optional })
}

// inspect compares the planned listeners of a node with the host's sockets; what is as planned is left out. The whole
// family is looked up only when a listener is held, and not by the node's own process.
func (k *Keeper) inspect(n *node, table []ports.Socket) ([]control.Finding, error) {
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
		for _, l := range n.plan.Listeners {
			for _, proto := range l.Protocols {
				if f := inspectOne(n, l, proto, table, owned); f != nil {
					out = append(out, *f)
				}
			}
		}
		if deep || !slices.ContainsFunc(out, func(f control.Finding) bool { return f.Kind == control.Stranger }) {
			return k.nameHolders(out), nil // what nobody holds, no other process of the node holds either
		}
		own = k.family(n)
	}
}

// inspectOne looks for one protocol of a listener among the sockets of the host and those of the node.
func inspectOne(n *node, l plan.Listener, proto string, table []ports.Socket, owned map[uint64]int) *control.Finding {
	f := &control.Finding{Node: n.plan.Index, Kind: control.Closed, Listener: l.Name, Proto: proto, Address: net.JoinHostPort(l.Host, strconv.Itoa(l.Port))}
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

// nameHolders finds out who the strangers are. One that carries our mark is none: it was forked since the look.
func (k *Keeper) nameHolders(fs []control.Finding) []control.Finding {
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
		h, ok := ports.Holder(ports.Addr{Proto: ports.Proto(f.Proto), Host: host, Port: n})
		if !ok || k.ours(h.PID) {
			f.Kind = control.Closed
			continue
		}
		f.PID, f.Program = h.PID, h.Name
	}
	return fs
}

// ours tells whether a pid runs for this cluster.
func (k *Keeper) ours(pid int) bool {
	id, err := proc.Identify(pid)
	if err != nil {
		return true // it has just ended: it holds nothing any more
	}
	env, err := proc.Environ(id, MarkCluster)
	return err == nil && env[MarkCluster] == k.id()
}

// serves tells whether a socket answers on the listener's address.
func serves(s ports.Socket, l plan.Listener) bool {
	if s.Proto == ports.TCP && !s.Listening {
		return false
	}
	return s.Host.IsUnspecified() || s.Host.String() == l.Host || s.Host.String() == l.Bind || l.Bind == "0.0.0.0"
}

// family is every process of a node: its command's descendants, and those that carry its mark.
func (k *Keeper) family(n *node) []proc.ID {
	all, err := k.families()
	if err != nil {
		k.log.Error("look at processes", "err", err)
		if r := n.current(); r != nil {
			return []proc.ID{r.proc.ID()}
		}
	}
	return all[n.plan.Index]
}

// families looks at the process table once, for all who ask at the same time, and returns the processes of every node (0:
// the service) by its number. What went to the background came to us as the subreaper and is told by its mark.
func (k *Keeper) families() (map[int][]proc.ID, error) {
	return k.audit.processes.take(time.Duration(k.audit.pause.Load()), k.lookAtProcesses)
}

func (k *Keeper) lookAtProcesses() (map[int][]proc.ID, error) {
	table, err := proc.Snapshot()
	if err != nil {
		return nil, err
	}
	main := map[proc.ID]int{} // every node's own process
	for _, n := range append(k.all(), k.helpers()...) {
		if r := n.current(); r != nil {
			main[r.proc.ID()] = n.plan.Index
		}
	}
	node := map[int]int{} // by the pid of one of its processes; -1: none of ours
	parent := make(map[int]int, len(table))
	for _, p := range table {
		parent[p.ID.PID] = p.PPID
		if index, ok := main[p.ID]; ok {
			node[p.ID.PID] = index
		} else if p.PPID != k.self.PID {
			continue
		} else if index, ok := k.markedAs(p.ID); ok {
			node[p.ID.PID] = index
		}
	}
	out := map[int][]proc.ID{}
	for _, p := range table {
		if index := ancestor(p.ID.PID, parent, node); index >= 0 {
			out[index] = append(out[index], p.ID)
		}
	}
	return out, nil
}

// ancestor is the node that a process, or the nearest of its ancestors, belongs to; -1 if there is none. It remembers what
// it found.
func ancestor(pid int, parent, node map[int]int) int {
	if index, known := node[pid]; known {
		return index
	}
	node[pid] = -1 // ends a circle: pids may have been given away during the look
	if up, ok := parent[pid]; ok {
		node[pid] = ancestor(up, parent, node)
	}
	return node[pid]
}

// helpers is the service, if there is one.
func (k *Keeper) helpers() []*node {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.service == nil {
		return nil
	}
	return []*node{k.service}
}

// markedAs tells whose mark a process carries.
func (k *Keeper) markedAs(id proc.ID) (index int, ok bool) {
	env, err := proc.Environ(id, MarkCluster, MarkNode)
	if cluster := k.id(); err != nil || cluster == "" || env[MarkCluster] != cluster {
		return 0, false
	}
	index, err = strconv.Atoi(env[MarkNode])
	return index, err == nil
}

func pids(ids []proc.ID) []int {
	out := make([]int, len(ids))
	for i, id := range ids {
		out[i] = id.PID
	}
	return out
}

// looks has one look at something of the host done for all who ask at the same time.
type looks[T any] struct {
	mu   sync.Mutex
	next *look[T]
}

type look[T any] struct {
	once sync.Once
	seen T
	err  error
}

// take returns what a look found that began after the call did, and a pause later, so that more who ask can share it.
// Nobody may change what it returns.
func (ls *looks[T]) take(pause time.Duration, do func() (T, error)) (T, error) {
	ls.mu.Lock()
	if ls.next == nil {
		ls.next = &look[T]{}
	}
	l := ls.next
	ls.mu.Unlock()
	l.once.Do(func() {
		<-time.After(pause)
		ls.mu.Lock()
		if ls.next == l {
			ls.next = nil // who comes from here on wants a later look
		}
		ls.mu.Unlock()
		l.seen, l.err = do()
	})
	return l.seen, l.err
}

// auditor looks at the host's sockets and at the cluster's processes.
type auditor struct {
	ports     looks[[]ports.Socket]
	processes looks[map[int][]proc.ID]
	before    atomic.Pointer[map[uint64]bool] // sockets that are older than the cluster's first process; nil: not known
	pause     atomic.Int64                    // before a look
}

// lookPause is how long a look waits for others who want one, for every node of the cluster: the nodes of a large one start
// and end one shortly after another.
const lookPause = 50 * time.Microsecond

func (a *auditor) expect(nodes int) { a.pause.Store(int64(nodes) * int64(lookPause)) }

func (a *auditor) sockets() ([]ports.Socket, error) {
	return a.ports.take(time.Duration(a.pause.Load()), ports.Sockets)
}

// noteOthers remembers the sockets of the host. It is called while no process of the cluster runs.
func (a *auditor) noteOthers() {
	table, err := a.sockets()
	if err != nil {
		return
	}
	before := make(map[uint64]bool, len(table))
	for _, s := range table {
		before[s.Inode] = true
	}
	a.before.Store(&before)
}

// holders tells which process of which node holds each socket of the table: node → inode → pid. Every process of the
// cluster is looked up only when a socket is neither one of a node's own process nor older than the cluster.
func (k *Keeper) holders(nodes []*node, table []ports.Socket) (map[int]map[uint64]int, error) {
	families := map[int][]proc.ID{}
	for _, n := range nodes {
		if r := n.current(); r != nil {
			families[n.plan.Index] = []proc.ID{r.proc.ID()}
		}
	}
	for deep := false; ; deep = true {
		known := map[uint64]bool{}
		if before := k.audit.before.Load(); before != nil {
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
		if families, err = k.families(); err != nil {
			return nil, err
		}
	}
}

// strangerAt returns the listener of a node that another program holds, if any: the usual reason of a failed start.
func (k *Keeper) strangerAt(n *node) *control.Finding {
	table, err := k.audit.sockets()
	if err != nil {
		return nil
	}
	fs, _ := k.inspect(n, table)
	for i := range fs {
		if fs[i].Kind == control.Stranger {
			return &fs[i]
		}
	}
	return nil
}

// auditNode compares a running node's listeners with the plan: strangers on its ports, ports that are not open, and ports
// that nobody planned.
func auditNode(n *node, table []ports.Socket, owned map[uint64]int) []control.Finding {
	if !n.is(control.Running) {
		return nil
	}
	var found []control.Finding
	for _, l := range n.plan.Listeners {
		for _, proto := range l.Protocols {
			if f := inspectOne(n, l, proto, table, owned); f != nil && !(l.Optional && f.Kind == control.Closed) {
				found = append(found, *f)
			}
		}
	}
	for _, s := range table {
		pid, mine := owned[s.Inode]
		if !mine || planned(n.plan.Listeners, s) || (s.Proto == ports.UDP && ephemeral(s)) {
			continue
		}
		found = append(found, control.Finding{Node: n.plan.Index, Kind: control.Undeclared, Proto: string(s.Proto),
			Address: net.JoinHostPort(s.Host.String(), strconv.Itoa(s.Port)), PID: pid, Program: proc.Name(pid)})
	}
	return found
}

// ephemeral tells whether a UDP socket is a client's rather than a listener: the kernel chose its port.
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
