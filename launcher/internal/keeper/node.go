package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// The marks of a process that runs for a cluster, in its environment.
const (
	MarkCluster = "ONEMORE_CLUSTER_ID"
	MarkNode    = "ONEMORE_NODE_INDEX" // 0: the cluster's service
)

// faultsVariable tells a node at its start that faults will be set on it once it is ready.
const faultsVariable = "ONEMORE_FAULTS"

// node is one node as the plan in force has it. A change of the plan makes a new node with the same life, so that whoever
// looks meanwhile sees the one or the other.
type node struct {
	plan plan.Node // never changed
	*life
}

// life is a node's state machine. mu guards what is below it; changed is closed and replaced with every change, so that
// waiting is by event.
type life struct {
	mu      sync.Mutex
	state   control.State
	run     *run      // the process, while one is there
	tried   time.Time // of the last start
	exit    string    // how the last one ended by itself
	well    bool      // it ended with exit code 0
	changed chan struct{}
}

// run is one life of a node's process.
type run struct {
	proc    *proc.Process
	log     *logFile
	notify  *probe.Notify // nil unless the template uses it
	ready   bool          // READY=1 came
	members int           // last X_ONEMORE_MEMBERS
	began   time.Time
	group   int           // group id of its own, 0 for ours
	over    chan struct{} // closed when the process has ended and its output is on disk
	wg      sync.WaitGroup
}

// errExited is the cause of a wait that ended because the node's process did.
var errExited = errors.New("the process ended")

func newNode(p plan.Node) *node {
	st := control.Absent
	if _, err := os.Stat(filepath.Join(p.Folder, startFile)); err == nil {
		st = control.Stopped
	}
	return &node{plan: p, life: &life{state: st, changed: make(chan struct{})}}
}

// update changes the node under its lock and wakes all who wait.
func (n *node) update(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// await returns when cond, called under the lock, is true; otherwise ctx's cause.
func (n *node) await(ctx context.Context, cond func() bool) error {
	for {
		n.mu.Lock()
		ok, changed := cond(), n.changed
		n.mu.Unlock()
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

func (n *node) is(states ...control.State) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range states {
		if n.state == s {
			return true
		}
	}
	return false
}

// stateNow is the node's state.
func (n *node) stateNow() control.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

// current returns the running life, or nil.
func (n *node) current() *run {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// deleted is the error about a node whose folder somebody has deleted: it may run on, but can't be started again. nil if the
// folder is there, or was never made.
func (n *node) deleted(phase string) *control.Error {
	if n.is(control.Absent) {
		return nil
	}
	for _, dir := range []string{n.plan.Folder, n.plan.Dir, n.plan.Workdir} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		what := "its folder "
		if dir == n.plan.Workdir {
			what = "its working directory "
		}
		hint := fmt.Sprintf("`onemore remove %d` and `onemore add` put a new node in its place, `onemore down` removes the cluster", n.plan.Index)
		if n.current() != nil {
			hint = fmt.Sprintf("`onemore kill %d`, ", n.plan.Index) + hint
		}
		return &control.Error{Node: n.plan.Index, Name: n.plan.Name, Phase: phase, Why: what + dir + " has been deleted", Hint: hint}
	}
	return nil
}

// start starts the process of a stopped node and records it. The node is Starting afterwards; whoever finds it ready
// makes it Running.
func (k *Keeper) startProcess(ctx context.Context, n *node) error {
	if gone := n.deleted("start"); gone != nil {
		return gone
	}
	p := n.plan
	n.update(func() { n.tried = time.Now().UTC().Truncate(time.Microsecond) }) // as its log's times are
	r := &run{over: make(chan struct{}), group: k.groupOf(n)}
	log, err := openLog(p.Log)
	if err != nil {
		return err
	}
	env := k.environment(p.Index, slices.Concat(p.StartEnv, p.Env))
	if len(k.faultsAtStart(n)) > 0 {
		env = append(env, faultsVariable+"=1")
	}
	if p.Ready.Notify || p.Members.Notify {
		if r.notify, err = probe.ListenNotify(fmt.Sprintf("%s-%d", k.id(), p.Index)); err != nil {
			log.Close()
			return err
		}
		env = append(env, "NOTIFY_SOCKET="+r.notify.Addr)
	}
	r.log = log
	out, err := log.pipe(&r.wg)
	if err == nil {
		r.proc, err = k.spawner.Start(ctx, proc.Spec{Args: p.Command, Dir: p.Workdir, Env: env, Stdout: out, Stderr: out, Group: r.group})
		out.Close()
	}
	if err != nil {
		r.close()
		return err
	}
	if err := remember(filepath.Join(p.Folder, pidFile), r.proc.ID()); err != nil {
		_ = r.proc.SignalGroup(syscall.SIGKILL)
		<-r.proc.Done()
		r.close()
		return err
	}
	r.began = time.Now().UTC()
	n.update(func() { n.run, n.state, n.exit = r, control.Starting, "" })
	k.background.Go(func() { k.watch(n, r) })
	return nil
}

// remember writes which process was started. It need not last through a power failure: the process doesn't.
func remember(path string, id proc.ID) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return nodedir.WriteFile(filepath.Dir(path), filepath.Base(path), b, 0o600)
}

// watch lives as long as one process does: it takes its notifications and its end.
func (k *Keeper) watch(n *node, r *run) {
	var msgs <-chan map[string]string
	if r.notify != nil {
		msgs = r.notify.C
	}
	for alive := true; alive; {
		select {
		case m, ok := <-msgs:
			if !ok {
				msgs = nil
			}
			n.update(func() { r.note(m) })
		case <-r.proc.Done():
			alive = false
		}
	}
	// What the next life of the node has under the same name goes before anybody hears of the end of this one.
	_ = os.Remove(filepath.Join(n.plan.Folder, pidFile))
	if r.notify != nil {
		_ = r.notify.Close()
	}
	end, asked := r.proc.Exit(), false
	n.update(func() {
		asked = n.state == control.Stopping
		n.run, n.well = nil, end.Code == 0
		if asked {
			n.state = control.Stopped
		} else {
			n.state, n.exit = control.Exited, end.String()
		}
	})
	if !asked {
		k.record(control.Event{Node: n.plan.Index, Phase: string(control.Exited), Text: end.String()})
	}
	close(r.over)
	r.close()
}

// note takes one sd_notify message. A second message of the same kind replaces the first.
func (r *run) note(m map[string]string) {
	if m["READY"] == "1" {
		r.ready = true
	}
	if v, err := strconv.Atoi(m["X_ONEMORE_MEMBERS"]); err == nil {
		r.members = v
	}
}

func (r *run) close() {
	if r.notify != nil {
		_ = r.notify.Close()
	}
	r.wg.Wait()
	_ = r.log.Close()
}

// withLife returns a context that also ends when the node's process does; the cause then says how.
func (n *node) withLife(ctx context.Context) (context.Context, context.CancelFunc) {
	r := n.current()
	ctx, cancel := context.WithCancelCause(ctx)
	if r == nil {
		n.mu.Lock()
		exit := n.exit
		n.mu.Unlock()
		cancel(fmt.Errorf("%w: %s", errExited, exit))
		return ctx, func() {}
	}
	stop := make(chan struct{})
	var once sync.Once
	go func() {
		select {
		case <-r.proc.Done():
			cancel(fmt.Errorf("%w: %s", errExited, r.proc.Exit()))
		case <-stop:
		}
	}()
	return ctx, func() { once.Do(func() { close(stop) }); cancel(nil) }
}
