// Package node is one node of a cluster: its state machine, its directory, its processes and how they start, become ready, are
// asked, and end; its log, and why it failed. It does what a plan says and decides nothing. It knows nothing of other nodes
// but which process belongs to which, and nothing of records, leases or requests: that is package cluster and those above it.
//
// Start at Node (the states), Node.Launch (start until ready) and Node.Stop. Host is what the nodes of a cluster share.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// Node is one node as the plan in force has it. A change of the plan makes a new Node with the same life: a reader
// of either sees one whole plan. Its methods that change the node are for the operation that holds the
// cluster's operation lock; the others may be called by anybody at any time.
type Node struct {
	Plan plan.Node // never changed
	*life
	host *Host
}

// life is a node's state machine. mu guards what is below it and is held for reads and writes of memory only; changed is
// closed and replaced with every change, so that waiting is by event.
type life struct {
	mu      sync.Mutex
	state   control.State
	run     *run     // the process, nil while there is none
	last    *run     // the process last started, nil if there was none
	start   logStart // of the last start
	steps   []step   // since then, the start first
	prepare bool     // its calls before its first start are being made
	member  bool     // it has served as a member since: what it printed then explains no later failure
	exit    string   // how the last process ended by itself
	clean   bool     // it ended with exit code 0
	changed chan struct{}
}

// ErrExited is the cause of a wait that ended because the node's process did.
var ErrExited = errors.New("the process ended")

// New returns the node of a plan in the state that the disk shows: absent or stopped.
func New(h *Host, p plan.Node) *Node {
	return &Node{Plan: p, host: h, life: &life{state: DiskState(p), changed: make(chan struct{})}}
}

// With returns the same node under a changed plan.
func (n *Node) With(p plan.Node) *Node { return &Node{Plan: p, host: n.host, life: n.life} }

// DiskState is a node's state as far as the disk shows it: Stopped when its directory is complete, else Absent.
func DiskState(p plan.Node) control.State {
	if _, err := os.Stat(filepath.Join(p.Folder, startFile)); err == nil {
		return control.Stopped
	}
	return control.Absent
}

// update changes the node under its lock and wakes all who wait.
func (l *life) update(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// await returns when cond, called under the lock, is true; otherwise ctx's cause. cond must not block.
func (l *life) await(ctx context.Context, cond func() bool) error {
	for {
		l.mu.Lock()
		ok, changed := cond(), l.changed
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Is reports whether the node is in one of the states.
func (l *life) Is(states ...control.State) bool { return slices.Contains(states, l.State()) }

// State is the node's state.
func (l *life) State() control.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Exit is how its last process ended by itself, "" if it did not.
func (l *life) Exit() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exit
}

// HasProcess reports whether its process is there, in whatever state.
func (l *life) HasProcess() bool { return l.current() != nil }

// HasGroup reports whether its process was started in a group id of its own.
func (l *life) HasGroup() bool {
	r := l.current()
	return r != nil && r.group != 0
}

// leader is the process that the node was last started as, which leads a process group; it may have ended.
func (l *life) leader() (proc.ID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		return proc.ID{}, false
	}
	return l.last.proc.ID(), true
}

// current returns the run of its process, or nil.
func (l *life) current() *run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.run
}

// set moves the node to a state if it is in the other: it may have left that by itself.
func (l *life) set(from, to control.State) {
	l.update(func() {
		if l.state == from {
			l.state = to
		}
	})
}

// withLife returns a context that also ends when the node's process does; the cause then says how.
func (l *life) withLife(ctx context.Context) (context.Context, context.CancelFunc) {
	r := l.current()
	ctx, cancel := context.WithCancelCause(ctx)
	if r == nil {
		cancel(fmt.Errorf("%w: %s", ErrExited, l.Exit()))
		return ctx, func() {}
	}
	stop := make(chan struct{})
	var once sync.Once
	go func() {
		select {
		case <-r.proc.Done():
			cancel(fmt.Errorf("%w: %s", ErrExited, r.proc.Exit()))
		case <-stop:
		}
	}()
	return ctx, func() { once.Do(func() { close(stop) }); cancel(nil) }
}

// AwaitExit returns when the node's process has ended by itself, and whether with exit code 0.
func AwaitExit(ctx context.Context, n *Node) (well bool, err error) {
	err = n.await(ctx, func() bool { well = n.clean; return n.state == control.Exited })
	return well, err
}

// isService tells whether it is no node, but a helper process.
func isService(n *Node) bool { return n.Plan.Index <= 0 }

// event is one of the node, or of the service that it is.
func eventOf(n *Node, phase, text string) control.Event {
	if isService(n) {
		return control.Event{Service: n.Plan.Name, Phase: phase, Text: text}
	}
	return control.Event{Node: n.Plan.Index, Phase: phase, Text: text}
}

// Deleted is the error about a node whose folder somebody has deleted: it may run on, but can't be started again. nil if the
// folder is there, or was never made.
func (n *Node) Deleted(phase string) *control.Error {
	if n.Is(control.Absent) {
		return nil
	}
	for _, dir := range []string{n.Plan.Folder, n.Plan.Dir, n.Plan.Workdir} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		what := "its folder "
		if dir == n.Plan.Workdir {
			what = "its working directory "
		}
		hint := fmt.Sprintf("`onemore remove %d` and `onemore add` put a new node in its place, `onemore down` removes the cluster", n.Plan.Index)
		if n.HasProcess() {
			hint = fmt.Sprintf("`onemore kill %d`, ", n.Plan.Index) + hint
		}
		return &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: phase, Why: what + dir + " has been deleted", Hint: hint}
	}
	return nil
}
