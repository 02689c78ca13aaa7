// Package keeper is the one small process per cluster that is the parent of its nodes: it holds the leases of the
// cluster's ports, makes and starts nodes as a plan says, knows how they end, and answers on a unix socket. It decides
// nothing: package plan did.
//
// The cluster hangs on its keeper: nodes are started so that the kernel kills them when the keeper dies, and what slips
// through (a daemon) is found by the mark in its environment. So a crash at any point leaves only directories, which the
// record on disk names, and the next keeper of the same folder clears.
//
// Start at Run (the process) and Client (who talks to it). up.go has the order of `up`, node.go a node's states.
package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// Keeper is a running keeper. turn is held by the operation that changes the cluster; mu guards the fields below it.
type Keeper struct {
	dir        string
	log        *slog.Logger
	spawner    *proc.Spawner
	self       proc.ID
	audit      auditor
	prober     *probe.Prober
	background sync.WaitGroup
	turn       chan struct{}
	life       context.Context    // ends when the keeper does
	over       context.CancelFunc // ends it

	mu      sync.Mutex
	rec     *Record // nil until the cluster is recorded
	nodes   map[int]*node
	service *node // nil without one
	lease   *ports.Lease
	leased  []ports.Addr
	events  *state.Log
	broken  error                   // what stands in the way of everything but taking the cluster down
	busy    string                  // the operation that has the turn
	hurry   context.Context         // ends when it should, as the cluster is to be taken down
	cancel  context.CancelCauseFunc // ends that
	downs   int                     // requests to take the cluster down
	conns   int
	owners  int // those that the cluster hangs on
	faults  faults
	cutting atomic.Bool // rules of ours are in the kernel
	unlock  func() error
	folder  fs.FileInfo // the cluster's, that is locked
	ln      net.Listener
}

// folderEvery is how often a keeper looks whether its folder is still there.
const folderEvery = 500 * time.Millisecond

// Run serves the cluster in dir (absolute) until it is down or ctx ends. first is the connection of the client that
// started the keeper; its request makes the folder when there is none.
func Run(ctx context.Context, dir string, first net.Conn) (err error) {
	if err := proc.BecomeSubreaper(); err != nil {
		return fmt.Errorf("become the parent of daemons: %w", err)
	}
	self, err := proc.Self()
	if err != nil {
		return err
	}
	ctx, over := context.WithCancel(ctx)
	defer over()
	k := &Keeper{
		dir: dir, log: slog.New(slog.DiscardHandler), self: self, spawner: proc.NewSpawner(proc.SpawnerOptions{Reap: true}), turn: make(chan struct{}, 1), life: ctx, over: over,
		nodes: map[int]*node{},
	}
	k.prober = probe.New(k.spawner.Run)
	defer k.close()
	err = k.claim()
	if errors.Is(err, errTaken) {
		return json.NewEncoder(first).Encode(Reply{Error: asError(err)})
	}
	if err != nil {
		_ = json.NewEncoder(first).Encode(Reply{Error: &Error{Phase: "take charge of " + dir, Why: err.Error()}})
		return err
	}
	k.background.Go(func() { k.serve(first) })
	<-ctx.Done()
	return nil
}

// claim takes charge of an existing folder: its lock, its record, and whatever a keeper before left running. A folder
// that does not exist yet is made by the first request.
func (k *Keeper) claim() error {
	if _, err := os.Stat(k.dir); err != nil {
		return nil
	}
	id, ok, err := nodedir.Marked(k.dir)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%s was not made by onemore; choose another cluster name", k.dir))
	}
	if err := k.lock(); err != nil {
		return err
	}
	broken := k.takeOver(id)
	k.mu.Lock()
	k.broken = broken
	k.mu.Unlock()
	err = k.open()
	if broken != nil {
		k.log.Error("take charge", "err", broken)
	}
	return err
}

// takeOver reads the record and puts in order what the keeper before left. What it fails with must not stand in the way of
// taking the cluster down.
func (k *Keeper) takeOver(id string) error {
	rec, err := readRecordIfAny(k.dir)
	if rec != nil {
		k.adopt(rec)
	}
	err = errors.Join(err, k.clearStrays(id), k.healKernel(context.Background(), id)) // of the keeper before
	if err != nil {
		return err
	}
	return k.mendSwaps()
}

// errTaken says that another keeper has the cluster's folder.
var errTaken = errors.New("another keeper is in charge")

// lock takes the lock on the cluster's folder; the kernel frees it with the process.
func (k *Keeper) lock() error {
	unlock, ok, err := state.TryLockDir(k.dir)
	if err == nil && !ok {
		err = errTaken
	}
	if err != nil {
		return err
	}
	k.unlock = unlock
	k.folder, err = os.Stat(k.dir)
	return err
}

// inPlace tells whether the cluster's folder is where it was: nobody has removed or moved it, or put another there.
func (k *Keeper) inPlace(folder fs.FileInfo) bool {
	now, err := os.Stat(k.dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(now, folder)
}

// watchFolder ends the cluster when its folder has gone: no command would find it any more.
func (k *Keeper) watchFolder(folder fs.FileInfo) {
	tick := time.NewTicker(folderEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-k.life.Done():
			return
		}
		if k.inPlace(folder) {
			continue
		}
		select {
		case k.turn <- struct{}{}:
		case <-k.life.Done():
			return
		}
		if k.unlock != nil && k.folder == folder { // else whoever had the turn has removed it, and may have made it anew
			k.log.Error("the cluster's folder has gone: all of it is ended", "dir", k.dir)
			k.over()
		}
		<-k.turn
		return
	}
}

// open starts to answer on the socket and to log. It is called with the folder locked.
func (k *Keeper) open() (err error) {
	// A full disk costs the logs, and what tells a crash from an end in order. It must not stand in the way of `down`.
	if err := redirectStderr(filepath.Join(k.dir, LogFile)); err == nil {
		k.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if k.events, err = state.OpenLog(filepath.Join(k.dir, EventsFile), eventsLimit); err != nil {
		k.log.Error("log events", "err", err)
	}
	if err := remember(filepath.Join(k.dir, KeeperFile), k.self); err != nil {
		k.log.Error("say who keeps the cluster", "err", err)
	}
	sock := filepath.Join(k.dir, SocketFile)
	if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false) // by then it may be the next keeper's
	k.ln = ln
	k.background.Go(func() { k.accept(ln) })
	folder := k.folder
	k.background.Go(func() { k.watchFolder(folder) })
	return nil
}

// close ends everything the keeper started; with nodes still running (ctx ended from outside) they are killed.
func (k *Keeper) close() {
	if k.ln != nil {
		k.ln.Close()
	}
	if err := k.killAll(); err != nil {
		k.log.Error("end what still runs", "err", err)
	}
	if id := k.id(); id != "" {
		if err := k.healKernel(context.Background(), id); err != nil {
			k.log.Error("heal the network", "err", err)
		}
	}
	k.prober.Close()
	k.spawner.Close()
	k.background.Wait()
	if k.owned() && k.inPlace(k.folder) {
		if err := k.removeAll(); err != nil {
			k.log.Error("remove what was its owner's", "err", err)
		}
	}
	if k.events != nil {
		k.events.Close()
	}
	if k.lease != nil {
		k.lease.Close()
	}
	if k.unlock != nil {
		if k.inPlace(k.folder) {
			_ = os.Remove(filepath.Join(k.dir, SocketFile))
			_ = os.Remove(filepath.Join(k.dir, KeeperFile)) // that it is gone says that we ended in order
		}
		_ = k.unlock()
	}
}

// adopt takes over a record: its nodes go on with their lives; new ones are in the state that the disk shows. Only who
// has the turn calls it.
func (k *Keeper) adopt(rec *Record) {
	nodes := make(map[int]*node, len(rec.Plan.Nodes))
	for _, p := range rec.Plan.Nodes {
		if n := k.nodes[p.Index]; n != nil {
			nodes[p.Index] = &node{plan: p, life: n.life}
		} else {
			nodes[p.Index] = newNode(p)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rec, k.nodes = rec, nodes
	k.audit.expect(len(nodes))
}

// now is the node as the plan in force has it.
func (k *Keeper) now(n *node) *node {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.nodes[n.plan.Index]; m != nil {
		return m
	}
	return n
}

// id is the cluster's, "" where there is none.
func (k *Keeper) id() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rec == nil {
		return ""
	}
	return k.rec.Plan.ID
}

// do carries out one request.
func (k *Keeper) do(ctx context.Context, req Request, emit func(Event)) (*Status, error) {
	switch req.Op {
	case OpStatus:
		return k.status(ctx, true), nil
	case OpHold:
		return nil, nil
	}
	if req.Op == OpDown {
		defer k.hasten()()
	} else if err := k.standsInTheWay(); err != nil {
		return nil, err
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, req.Timeout, fmt.Errorf("not done within %v", req.Timeout))
		defer cancel()
	}
	ctx, release, err := k.take(ctx, req, emit)
	if err != nil {
		return nil, err
	}
	defer release()
	if req.Op == OpDown {
		var cancel context.CancelFunc
		ctx, cancel = k.unhurried(ctx) // who asked may go; half a cluster helps nobody
		defer cancel()
	} else if err := k.mendSwaps(); err != nil {
		return nil, err
	}
	if err := k.change(ctx, req, k.tee(emit)); err != nil {
		k.log.Error(string(req.Op), "err", err)
		if errors.Is(context.Cause(ctx), errTakenDown) {
			err = &Error{Why: errTakenDown.Error()}
		}
		return nil, err
	}
	if req.Op == OpDown {
		k.free()
		k.over() // before anybody else has the turn
		return nil, nil
	}
	st := k.status(ctx, false)
	if st != nil {
		st.Busy = ""
	}
	return st, nil
}

func (k *Keeper) change(ctx context.Context, req Request, emit func(Event)) error {
	if req.Op == OpUp {
		return k.up(ctx, req, emit)
	}
	if req.Op == OpDown {
		return k.down(ctx, req, emit)
	}
	if req.Op == OpRestore {
		return k.restore(ctx, req, emit)
	}
	nodes, err := k.pick(req.Nodes)
	if err != nil {
		return err
	}
	switch req.Op {
	case OpRemove:
		return k.remove(ctx, req, nodes, emit)
	case OpStop:
		return k.stop(ctx, nodes, emit)
	case OpStart:
		return k.start(ctx, nodes, emit)
	case OpRestart:
		return k.restart(ctx, req, nodes, emit)
	case OpKill:
		return k.kill(ctx, nodes, emit)
	case OpPause:
		return k.pause(nodes, emit)
	case OpResume:
		return k.resume(ctx, nodes, emit)
	case OpSettle:
		return k.settle(ctx, emit)
	case OpUpgrade:
		return k.upgrade(ctx, req, nodes, emit)
	case OpFault:
		return k.fault(ctx, req, emit)
	case OpSnapshot:
		return k.snapshot(ctx, req, emit)
	}
	return fmt.Errorf("this keeper does not know %q: it is of another onemore version; `onemore down` and `up` again", req.Op)
}

// tee stamps events and writes them to the event log besides handing them to the client.
func (k *Keeper) tee(emit func(Event)) func(Event) {
	return func(e Event) {
		e.Time = time.Now()
		k.record(e)
		emit(e)
	}
}

func (k *Keeper) record(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if k.events != nil {
		_ = k.events.Append(e) // a full disk must not stop a node
	}
}

// pick returns the nodes of the given numbers in order; none given: all.
func (k *Keeper) pick(indices []int) ([]*node, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rec == nil {
		return nil, errors.New("there is no such cluster")
	}
	var out []*node
	for _, p := range k.rec.Plan.Nodes {
		if len(indices) == 0 || slices.Contains(indices, p.Index) {
			out = append(out, k.nodes[p.Index])
		}
	}
	for _, i := range indices {
		if k.nodes[i] == nil {
			return nil, fmt.Errorf("there is no node %d in cluster %q", i, k.rec.Plan.Cluster)
		}
	}
	return out, nil
}

func (k *Keeper) all() []*node {
	nodes, _ := k.pick(nil)
	return nodes
}

func (k *Keeper) count(conns int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns += conns
}

// endIfEmpty is the end of a connection. The last one of a keeper that has nothing to keep ends the keeper.
func (k *Keeper) endIfEmpty() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns--
	if (k.rec == nil || k.broken != nil) && k.conns == 0 {
		k.over()
	}
}

// environment is what a process of the cluster gets: what the plan inherits of the keeper's own, the plan's, the marks.
func (k *Keeper) environment(index int, planned []string) []string {
	k.mu.Lock()
	p := k.rec.Plan
	k.mu.Unlock()
	env := append(p.Inherited(os.Environ()), planned...)
	return append(env, MarkCluster+"="+p.ID, fmt.Sprintf("%s=%d", MarkNode, index))
}
