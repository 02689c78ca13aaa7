package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// lookTimeout bounds how long a node may take to say how many members it sees; twice that, and a client would give up on us.
const lookTimeout = 4 * time.Second

// status looks: at processes, sockets, and what each node says. Nodes that announce what they see are asked all the same
// with ask.
func (k *Keeper) status(ctx context.Context, ask bool) *control.Status {
	rec, nodes, busy := k.view()
	if rec == nil {
		return nil
	}
	st := describe(rec)
	st.Keeper, st.Busy = k.self.PID, busy
	if st.FaultTable = k.faultTable(); st.FaultTable.Faults == nil {
		st.FaultTable.Faults = []control.Fault{}
	}
	for _, f := range st.FaultTable.Faults {
		st.Faults = append(st.Faults, f.Text)
	}
	table, err := k.audit.sockets()
	if err != nil {
		st.Notes = append(st.Notes, err.Error())
	}
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { k.lookAt(ctx, n, &st.Nodes[i], ask) })
	}
	wg.Wait()
	held, err := k.holders(nodes, table)
	if err != nil {
		st.Notes = append(st.Notes, err.Error())
	}
	for _, n := range nodes {
		if owned, ok := held[n.plan.Index]; ok {
			st.Audit = append(st.Audit, auditNode(n, table, owned)...)
		}
		if gone := n.deleted("look"); gone != nil && (busy == "" || n.current() != nil) { // else somebody may be at it
			st.Notes = append(st.Notes, fmt.Sprintf("node %d: %s: %s", n.plan.Index, gone.Why, gone.Hint))
		}
	}
	st.Audit = k.nameHolders(st.Audit)
	st.State = clusterState(st.Nodes)
	return st
}

// view is the record with its nodes, in order, and what is being done to them, all of one moment.
func (k *Keeper) view() (*Record, []*node, string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rec == nil {
		return nil, nil, ""
	}
	var nodes []*node
	for _, p := range k.rec.Plan.Nodes {
		nodes = append(nodes, k.nodes[p.Index])
	}
	return k.rec, nodes, k.busy
}

// describe is a status of what the record alone tells: every node absent or stopped.
func describe(rec *Record) *control.Status {
	p := rec.Plan
	st := &control.Status{Cluster: p.Cluster, Template: p.Template, ID: p.ID, Dir: p.Dir, Notes: slices.Clone(p.Notes), State: control.Stopped, Nodes: []control.NodeStatus{},
		FaultTable: control.FaultTable{Faults: []control.Fault{}}}
	for _, n := range p.Nodes {
		ns := control.NodeStatus{Index: n.Index, Name: n.Name, Dir: n.Dir, Log: n.Log, Client: n.Client, State: newNode(n).state,
			Listeners: map[string]string{}, URLs: map[string]string{}}
		for _, l := range n.Listeners {
			ns.Listeners[l.Name] = address(l)
			ns.URLs[l.Name] = cmp.Or(l.URL, address(l))
		}
		st.Nodes = append(st.Nodes, ns)
	}
	return st
}

func address(l plan.Listener) string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

func (k *Keeper) lookAt(ctx context.Context, n *node, ns *control.NodeStatus, ask bool) {
	n.mu.Lock()
	if ns.State = n.state; n.state == control.Exited {
		ns.Exit = n.exit
	}
	r := n.run
	if r != nil {
		ns.Members = r.members
	}
	n.mu.Unlock()
	if r == nil {
		return
	}
	if !n.plan.Members.Notify && n.plan.Members.Call == nil {
		ns.Members = control.MembersUnknown
	}
	id := r.proc.ID()
	ns.PID, ns.Since = id.PID, &r.began
	ns.RSSBytes, ns.CPUPercent, _ = proc.Usage(id) // zero: it has just ended
	if c := n.plan.Members.Call; c != nil && ns.State == control.Running && (ask || !n.plan.Members.Notify) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		a, err := k.call(ctx, n, *c)
		ns.Members = a.Number
		if err != nil {
			ns.Trouble = err.Error() // and no members say that it does not answer
			return
		}
	}
	ns.Trouble = k.trouble(ctx, n, ns.State)
}

// trouble is why a running node does not serve though it is up; "" if it does.
func (k *Keeper) trouble(ctx context.Context, n *node, state control.State) string {
	if state != control.Running {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, c := range n.plan.Members.Require {
		if err := k.lastingly(ctx, n, c); err != nil {
			return err.Error()
		}
	}
	return ""
}

// lastingly is the error of a call that fails for troubleLasts: servers answer "not now" for moments, such as NATS when it is not
// scheduled for a millisecond.
func (k *Keeper) lastingly(ctx context.Context, n *node, c plan.Call) error {
	for until := time.Now().Add(troubleLasts); ; {
		_, err := k.call(ctx, n, c)
		if err == nil || time.Now().After(until) || !waited(ctx, troubleLasts/20) {
			return err
		}
	}
}

const troubleLasts = time.Second

// clusterState sums up: all running and each seeing all, none, or something in between.
func clusterState(nodes []control.NodeStatus) control.State {
	full, alive := 0, 0
	for _, n := range nodes {
		if n.State == control.Starting {
			return control.Starting
		}
		if n.PID != 0 {
			alive++
		}
		if n.State == control.Running && n.Trouble == "" && (n.Members >= len(nodes) || n.Members == control.MembersUnknown) {
			full++
		}
	}
	switch {
	case full == len(nodes):
		return control.Running
	case alive == 0:
		return control.Stopped
	}
	return control.Degraded
}

// LookAlone is the status of a cluster that has no keeper, or one that does not answer: what the disk and the process table
// tell. It changes nothing. The error wraps fs.ErrNotExist when there is no such cluster, or its folder has no record yet.
func LookAlone(dir string) (*control.Status, error) {
	rec, err := ReadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return lookAtDamaged(dir, err)
	}
	st := describe(rec)
	left, err := proc.Marked(MarkCluster, rec.Plan.ID, MarkNode)
	if err != nil {
		return nil, err
	}
	pid, kept := state.LockHolder(dir)
	runs := control.Lost
	if kept {
		runs = control.Running
	}
	for i := range st.Nodes {
		for _, p := range left {
			if p.Env[MarkNode] == strconv.Itoa(st.Nodes[i].Index) {
				st.Nodes[i].State, st.Nodes[i].PID = runs, p.ID.PID
				break
			}
		}
	}
	clean := rec.Formed && len(left) == 0 && !keeperLeft(dir)
	if !clean {
		st.State = control.Lost
	}
	switch {
	case kept:
		st.Notes = append(st.Notes, fmt.Sprintf("its keeper (pid %[1]d) does not answer, though it lives: if it stands still, `kill -CONT %[1]d` lets it go on; "+
			"`kill -KILL %[1]d` and `onemore down` end it with its nodes", pid))
	case !clean:
		st.Notes = append(st.Notes, "its keeper has gone without taking it down: `onemore up` starts it again, `onemore down` removes it")
	}
	return st, nil
}

// lookAtDamaged is LookAlone for a cluster whose record can't be read: its mark tells which processes are its.
func lookAtDamaged(dir string, why error) (*control.Status, error) {
	id, ok, err := nodedir.Marked(dir)
	if err != nil || !ok {
		return nil, errors.Join(why, err)
	}
	st := &control.Status{Cluster: filepath.Base(dir), ID: id, Dir: dir, State: control.Stopped, Nodes: []control.NodeStatus{}, FaultTable: control.FaultTable{Faults: []control.Fault{}},
		Notes: []string{why.Error(), "`onemore down` removes it, with its data: nothing else can be done with it"}}
	left, err := proc.Marked(MarkCluster, id, MarkNode)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 || keeperLeft(dir) {
		st.State = control.Lost
	}
	for _, p := range left {
		index, err := strconv.Atoi(p.Env[MarkNode])
		known := slices.ContainsFunc(st.Nodes, func(n control.NodeStatus) bool { return n.Index == index })
		if err == nil && index > 0 && !known {
			st.Nodes = append(st.Nodes, control.NodeStatus{Index: index, State: control.Lost, PID: p.ID.PID, Listeners: map[string]string{}})
		}
	}
	slices.SortFunc(st.Nodes, func(a, b control.NodeStatus) int { return cmp.Compare(a.Index, b.Index) })
	return st, nil
}

// IsLost tells whether the keeper of the cluster in dir ended without saying so, and none has taken its place.
func IsLost(dir string) bool {
	_, held := state.LockHolder(dir)
	return !held && keeperLeft(dir)
}

// keeperLeft tells whether a keeper ended without saying so: one that ends in order removes its file.
func keeperLeft(dir string) bool {
	var id proc.ID
	return state.ReadJSON(filepath.Join(dir, KeeperFile), &id) == nil && !proc.Alive(id)
}

// recorded returns the processes that node folders name as theirs and that still run, beyond those already known. The
// whole identity must fit: a pid that was given to somebody else is not ours.
func (k *Keeper) recorded(known []proc.ID) []proc.ID {
	var out []proc.ID
	files, _ := filepath.Glob(filepath.Join(globLiteral(k.dir), "*", pidFile)) // fails for bad patterns only
	for _, file := range files {
		var id proc.ID
		if state.ReadJSON(file, &id) != nil || id.PID == k.self.PID || !proc.Alive(id) {
			continue
		}
		fresh := true
		for _, o := range known {
			fresh = fresh && !o.Same(id)
		}
		if fresh {
			out = append(out, id)
		}
	}
	return out
}
