package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// launch starts a stopped node and waits until it serves: it says so (where it can), every planned listener is open and
// held by this node's own processes, and the template's calls answer.
func (k *Keeper) launch(ctx context.Context, n *node, emit func(Event)) error {
	if t := n.plan.Ready.Timeout.Duration; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, fmt.Errorf("not ready within %v", t))
		defer cancel()
	}
	emit(Event{Node: n.plan.Index, Phase: "starting"})
	if err := k.startProcess(ctx, n); err != nil {
		return k.failed(n, "start", err)
	}
	if err := k.ready(ctx, n); err != nil {
		return k.failed(n, "wait until it is ready", err)
	}
	n.update(func() {
		if n.state == Starting {
			n.state = Running
		}
	})
	emit(Event{Node: n.plan.Index, Phase: "ready"})
	return nil
}

func (k *Keeper) ready(ctx context.Context, n *node) error {
	life, cancel := n.withLife(ctx)
	defer cancel()
	if n.plan.Ready.Notify {
		if err := n.await(life, func() bool { return n.run != nil && n.run.ready }); err != nil {
			return fmt.Errorf("no READY=1 from it: %w", err)
		}
	}
	err := probe.Until(life, nil, func(context.Context) error {
		f, err := k.missing(n)
		switch {
		case err != nil:
			return err
		case f == nil:
			return nil
		case f.Kind == Stranger:
			return probe.Permanent(f) // it won't go away by itself
		}
		return f
	})
	if err != nil {
		return err
	}
	for _, c := range n.plan.Ready.Calls {
		err := probe.Until(life, nil, func(ctx context.Context) error {
			_, err := k.call(ctx, n, c)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// missing returns the first listener of a node that is not open and its own; nil when all are.
func (k *Keeper) missing(n *node) (*Finding, error) {
	if n.current() == nil {
		return nil, errExited
	}
	table, err := k.audit.sockets()
	if err != nil {
		return nil, err
	}
	fs, err := k.inspect(n, table)
	for i := range fs {
		if l := fs[i].Listener; !n.optional(l) {
			return &fs[i], nil
		}
	}
	return nil, err
}

func (n *node) optional(listener string) bool {
	return slices.ContainsFunc(n.plan.Listeners, func(l plan.Listener) bool { return l.Name == listener && l.Optional })
}

// inspect compares the planned listeners of a node with the host's sockets; what is as planned is left out. The whole
// family is looked up only when the node's own process does not hold every listener.
func (k *Keeper) inspect(n *node, table []ports.Socket) ([]Finding, error) {
	var own []proc.ID
	if r := n.current(); r != nil {
		own = []proc.ID{r.proc.ID()}
	}
	for deep := false; ; deep = true {
		owned, err := ports.Owned(table, pids(own))
		if err != nil {
			return nil, err
		}
		var out []Finding
		for _, l := range n.plan.Listeners {
			for _, proto := range l.Protocols {
				if f := inspectOne(n, l, proto, table, owned); f != nil {
					out = append(out, *f)
				}
			}
		}
		if len(out) == 0 || deep {
			return k.nameHolders(out), nil
		}
		own = k.family(n)
	}
}

// inspectOne looks for one protocol of a listener among the sockets of the host and those of the node.
func inspectOne(n *node, l plan.Listener, proto string, table []ports.Socket, owned map[uint64]int) *Finding {
	f := &Finding{Node: n.plan.Index, Kind: Closed, Listener: l.Name, Proto: proto, Address: net.JoinHostPort(l.Host, strconv.Itoa(l.Port))}
	for _, s := range table {
		if string(s.Proto) != proto || s.Port != l.Port || !serves(s, l) {
			continue
		}
		if _, ok := owned[s.Inode]; ok {
			return nil
		}
		f.Kind = Stranger
	}
	return f
}

// nameHolders finds out who the strangers are. One that carries our mark is none: it was forked since the look.
func (k *Keeper) nameHolders(fs []Finding) []Finding {
	for i := range fs {
		f := &fs[i]
		if f.Kind != Stranger {
			continue
		}
		host, port, err := net.SplitHostPort(f.Address)
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(port)
		h, ok := ports.Holder(ports.Addr{Proto: ports.Proto(f.Proto), Host: host, Port: n})
		if !ok || k.ours(h.PID) {
			f.Kind = Closed
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
	return err == nil && env[MarkCluster] == k.rec.Plan.ID
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

// families looks at the process table once and returns the processes of every node (0: the service) by its number. What
// went to the background came to us as the subreaper and is told by its mark.
func (k *Keeper) families() (map[int][]proc.ID, error) {
	table, err := proc.Snapshot()
	if err != nil {
		return nil, err
	}
	roots := map[int][]proc.ID{}
	known := map[int]bool{}
	for _, n := range append(k.all(), k.helpers()...) {
		if r := n.current(); r != nil {
			roots[n.plan.Index] = append(roots[n.plan.Index], r.proc.ID())
			known[r.proc.ID().PID] = true
		}
	}
	for _, p := range table {
		if p.PPID != k.self.PID || known[p.ID.PID] {
			continue
		}
		if index, ok := k.markedAs(p.ID); ok {
			roots[index] = append(roots[index], p.ID)
		}
	}
	out := make(map[int][]proc.ID, len(roots))
	for index, ids := range roots {
		out[index] = proc.IDs(table.Family(ids...))
	}
	return out, nil
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
	if err != nil || env[MarkCluster] != k.rec.Plan.ID {
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

// auditor looks at the host's sockets once for all who ask at the same time.
type auditor struct {
	mu   sync.Mutex
	next *look
}

type look struct {
	once  sync.Once
	table []ports.Socket
	err   error
}

// sockets returns a table that was read after the call began.
func (a *auditor) sockets() ([]ports.Socket, error) {
	a.mu.Lock()
	if a.next == nil {
		a.next = &look{}
	}
	l := a.next
	a.mu.Unlock()
	l.once.Do(func() {
		a.mu.Lock()
		if a.next == l {
			a.next = nil // who comes from here on wants a later look
		}
		a.mu.Unlock()
		l.table, l.err = ports.Sockets()
	})
	return l.table, l.err
}

// call asks one call of the plan, in the directory and environment of the node it names.
func (k *Keeper) call(ctx context.Context, n *node, c plan.Call) (probe.Answer, error) {
	at := n.plan
	if c.Node != 0 && c.Node != at.Index {
		k.mu.Lock()
		if m := k.nodes[c.Node]; m != nil {
			at = m.plan
		}
		k.mu.Unlock()
	}
	user, password, _ := strings.Cut(c.User, ":")
	q := probe.Call{HTTP: c.HTTP, Method: c.Method, Body: c.Body, Header: c.Header, User: user, Password: password, TCP: c.TCP, Send: c.Send,
		Exec: c.Exec, Expect: c.Expect, Refuse: c.Refuse, Number: c.Number, Count: c.Count, JSON: c.JSON, Timeout: c.Timeout.Duration}
	if len(q.Exec) > 0 {
		q.Dir, q.Env = at.Dir, k.environment(at.Index, at.Env)
	}
	a, err := k.prober.Do(ctx, q)
	return a, err
}

// calls gives the orders of one phase, one after another; an order is tried again while its Retry lasts.
func (k *Keeper) calls(ctx context.Context, n *node, phase string, cs []plan.Call, emit func(Event)) error {
	for _, c := range cs {
		err := func() error {
			life := ctx
			if n.current() != nil {
				var cancel context.CancelFunc
				life, cancel = n.withLife(ctx)
				defer cancel()
			}
			if c.Retry.Duration <= 0 {
				_, err := k.call(life, n, c)
				return err
			}
			life, cancel := context.WithTimeout(life, c.Retry.Duration)
			defer cancel()
			return probe.Until(life, nil, func(ctx context.Context) error {
				_, err := k.call(ctx, n, c)
				return err
			})
		}()
		if err != nil {
			return k.failed(n, phase, err)
		}
	}
	if len(cs) > 0 {
		emit(Event{Node: n.plan.Index, Phase: "called", Text: phase})
	}
	return nil
}

// failed makes the error that a person can work with: node, phase, why, and the lines of its log that tell.
func (k *Keeper) failed(n *node, phase string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) && !errors.Is(err, errGone) {
		return err // a sibling failed first; its error is the one to show
	}
	e = &Error{Node: n.plan.Index, Name: n.plan.Name, Phase: phase, Why: err.Error(), Interrupted: errors.Is(err, errGone)}
	if r := n.current(); r != nil {
		select {
		case <-r.proc.Done():
			n.settleLog(r)
		default:
		}
	}
	e.Log = tell(n.plan.Log, n.plan.Ready.Log)
	if f := k.strangerAt(n); f != nil {
		if !errors.As(err, new(*Finding)) {
			e.Why += "; " + f.Error()
		}
		e.Hint = "free the port, shift the whole cluster with --base auto, or choose --set " + f.Listener + "=PORT"
	}
	return e
}

// settleLog waits a moment for the last lines of a process that has ended; a child of it may keep the pipe open.
func (n *node) settleLog(r *run) {
	t := time.NewTimer(300 * time.Millisecond)
	defer t.Stop()
	select {
	case <-r.over:
	case <-t.C:
	}
}

// strangerAt returns the listener of a node that another program holds, if any: the usual reason of a failed start.
func (k *Keeper) strangerAt(n *node) *Finding {
	table, err := k.audit.sockets()
	if err != nil {
		return nil
	}
	fs, _ := k.inspect(n, table)
	for i := range fs {
		if fs[i].Kind == Stranger {
			return &fs[i]
		}
	}
	return nil
}
