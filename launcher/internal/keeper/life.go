package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// stop stops running nodes as their template says, all at once, and waits until the rest has settled.
func (k *Keeper) stop(ctx context.Context, nodes []*node, emit func(Event)) error {
	if err := k.stopNodes(ctx, nodes, false, emit); err != nil {
		return err
	}
	return k.settle(ctx, emit)
}

// start starts nodes that are made and don't run, and waits until the cluster has settled.
func (k *Keeper) start(ctx context.Context, nodes []*node, emit func(Event)) error {
	if err := k.leaseFor(ctx, k.rec.Plan); err != nil {
		return err
	}
	if err := k.startService(ctx, emit); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	var started []*node
	for _, n := range nodes {
		switch {
		case n.is(Paused):
			return &Error{Node: n.plan.Index, Name: n.plan.Name, Phase: "start", Why: "it is paused", Hint: "use resume"}
		case n.is(Stopped, Exited):
			started = append(started, n)
			g.Go(func() error { return k.launch(gctx, n, emit) })
		}
	}
	err := g.Wait()
	if err == nil {
		err = k.settle(ctx, emit)
	}
	if err != nil {
		k.stopAll(context.WithoutCancel(ctx), started, false)
	}
	return err
}

// restart stops and starts nodes: all at once, or one after the other with the cluster settled in between.
func (k *Keeper) restart(ctx context.Context, req Request, nodes []*node, emit func(Event)) error {
	batches := [][]*node{nodes}
	if req.Rolling {
		batches = nil
		for _, n := range nodes {
			batches = append(batches, []*node{n})
		}
	}
	for _, b := range batches {
		if err := k.stopNodes(ctx, b, false, emit); err != nil {
			return err
		}
		if err := k.start(ctx, b, emit); err != nil {
			return err
		}
	}
	return nil
}

// kill sends SIGKILL to a node's whole family and returns when it is gone: a crash, so nothing else is done.
func (k *Keeper) kill(ctx context.Context, nodes []*node, emit func(Event)) error {
	for _, n := range nodes {
		r := n.current()
		if r == nil {
			continue
		}
		for _, id := range k.family(n) {
			if err := proc.Signal(id, syscall.SIGKILL); err != nil && !errors.Is(err, proc.ErrGone) {
				return k.failed(n, "kill", err)
			}
		}
		if err := n.await(ctx, func() bool { return n.run == nil }); err != nil {
			return k.failed(n, "kill", err)
		}
		emit(Event{Node: n.plan.Index, Phase: "killed"})
	}
	return nil
}

// pause stops (SIGSTOP) or continues every process of the nodes.
func (k *Keeper) pause(ctx context.Context, nodes []*node, pause bool, emit func(Event)) error {
	sig, from, to := syscall.SIGSTOP, Running, Paused
	if !pause {
		sig, from, to = syscall.SIGCONT, Paused, Running
	}
	for _, n := range nodes {
		r := n.current()
		if r == nil || !n.is(from) {
			continue
		}
		for _, id := range k.family(n) {
			if err := proc.Signal(id, sig); err != nil && !errors.Is(err, proc.ErrGone) {
				return k.failed(n, string(to), err)
			}
		}
		n.update(func() { n.state = to })
		emit(Event{Node: n.plan.Index, Phase: string(to)})
	}
	if pause {
		return nil
	}
	return k.settle(ctx, emit)
}

// remove makes nodes leave the cluster, stops them, and removes their folders. req.Plan is the cluster with them, its calls
// made for the members that stay.
func (k *Keeper) remove(ctx context.Context, req Request, nodes []*node, emit func(Event)) error {
	if req.Plan == nil || len(req.Plan.Nodes) != len(k.rec.Plan.Nodes) {
		return errors.New("the request to remove nodes has no plan of this cluster")
	}
	for _, p := range req.Plan.Nodes { // its calls go to members that stay
		if n := k.nodes[p.Index]; n != nil {
			n.update(func() { n.plan.Leave = p.Leave })
		}
	}
	for _, n := range nodes {
		if n.is(Running) || callsOther(n) {
			if err := k.calls(ctx, n, "leave", n.plan.Leave, emit); err != nil {
				return err
			}
		}
		if err := k.stopNodes(ctx, []*node{n}, true, emit); err != nil {
			return err
		}
		if err := k.removeFolder(n); err != nil {
			return k.failed(n, "remove its folder", err)
		}
		emit(Event{Node: n.plan.Index, Phase: "removed"})
	}
	gone := func(i int) bool {
		return slices.ContainsFunc(nodes, func(n *node) bool { return n.plan.Index == i })
	}
	rec := *k.rec
	rec.Options, rec.Plan = req.Options, req.Plan
	rec.Plan.Nodes = slices.DeleteFunc(rec.Plan.Nodes, func(p plan.Node) bool { return gone(p.Index) })
	rec.Joined = slices.DeleteFunc(slices.Clone(rec.Joined), gone)
	if err := rec.write(k.dir); err != nil {
		return err
	}
	k.adopt(&rec)
	if err := k.leaseFor(ctx, rec.Plan); err != nil {
		return err
	}
	return k.settle(ctx, emit)
}

// callsOther tells whether a node's leave is asked of another member, so that it works for a stopped node too.
func callsOther(n *node) bool {
	return len(n.plan.Leave) > 0 && !slices.ContainsFunc(n.plan.Leave, func(c plan.Call) bool { return c.Node == n.plan.Index })
}

// down stops everything; unless data is to be kept it removes everything too.
func (k *Keeper) down(ctx context.Context, req Request, emit func(Event)) error {
	if k.rec == nil {
		return k.removeAll(ctx)
	}
	if err := k.stopNodes(ctx, k.all(), !req.KeepData, emit); err != nil {
		return err
	}
	k.stopService(ctx)
	if err := k.killAll(); err != nil {
		return err
	}
	if err := k.portsFree(ctx); err != nil {
		return err
	}
	if req.KeepData {
		return nil
	}
	return k.removeAll(ctx)
}

// stopNodes stops nodes in parallel, with their data to be kept or not, and fails with the first that would not end.
func (k *Keeper) stopNodes(ctx context.Context, nodes []*node, discard bool, emit func(Event)) error {
	var g errgroup.Group
	for _, n := range nodes {
		if n.current() == nil {
			n.update(func() {
				if n.state == Exited {
					n.state = Stopped
				}
			})
			continue
		}
		g.Go(func() error {
			emit(Event{Node: n.plan.Index, Phase: "stopping"})
			if err := k.stopNode(ctx, n, discard); err != nil {
				return k.failed(n, "stop", err)
			}
			emit(Event{Node: n.plan.Index, Phase: "stopped"})
			return nil
		})
	}
	return g.Wait()
}

// stopAll is stopNodes where nobody can do anything about an error but read of it in the keeper's log.
func (k *Keeper) stopAll(ctx context.Context, nodes []*node, discard bool) {
	if err := k.stopNodes(ctx, nodes, discard, func(Event) {}); err != nil {
		k.log.Error("stop", "err", err)
	}
}

// stopNode ends one node's family: its template's command or signal, then TERM → KILL for what is left after the grace.
func (k *Keeper) stopNode(ctx context.Context, n *node, discard bool) error {
	r := n.current()
	if r == nil {
		return nil
	}
	paused := n.is(Paused)
	n.update(func() { n.state = Stopping })
	family := k.family(n)
	grace := n.plan.Stop.Grace.Duration
	sig := signals[n.plan.Stop.Signal]
	if discard {
		sig = signals[n.plan.Stop.Discard]
	}
	if paused && sig != syscall.SIGKILL {
		k.signal(family, syscall.SIGCONT)
	}
	if !discard && len(n.plan.Stop.Command) > 0 {
		if err := k.stopCommand(ctx, n, grace); err != nil {
			k.log.Warn("stop command", "node", n.plan.Name, "err", err)
		}
	} else if sig == syscall.SIGKILL {
		k.signal(family, sig)
	} else if err := r.proc.Signal(sig); err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	k.awaitEnd(ctx, r, grace)
	find := func() ([]proc.ID, error) { return k.family(n), nil }
	killed, err := proc.Stop(ctx, find, min(grace, time.Second))
	if err != nil {
		return err
	}
	if len(killed) > 0 && sig != syscall.SIGKILL {
		k.log.Warn("killed after the grace period", "node", n.plan.Name, "processes", fmt.Sprint(killed))
	}
	return n.await(ctx, func() bool { return n.run == nil })
}

func (k *Keeper) signal(ids []proc.ID, sig syscall.Signal) {
	for _, id := range ids {
		if err := proc.Signal(id, sig); err != nil && !errors.Is(err, proc.ErrGone) {
			k.log.Warn("signal", "process", id.String(), "err", err)
		}
	}
}

func (k *Keeper) stopCommand(ctx context.Context, n *node, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	out, err := k.spawner.Run(ctx, proc.Spec{Args: n.plan.Stop.Command, Dir: n.plan.Dir, Env: k.environment(n.plan.Index, n.plan.Env)})
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("exit code %d: %s", out.Code, out.Stderr)
	}
	return err
}

// awaitEnd waits for the node's own process, for no longer than the grace.
func (k *Keeper) awaitEnd(ctx context.Context, r *run, grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-r.proc.Done():
	case <-t.C:
	case <-ctx.Done():
	}
}

// signals are those that a template may name; template.Parse refuses others.
var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "HUP": syscall.SIGHUP,
	"KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func (k *Keeper) stopService(ctx context.Context) {
	if k.service != nil {
		k.stopAll(ctx, []*node{k.service}, true)
	}
}

// killAll ends whatever of the cluster still runs under this keeper: daemons that came to it as the subreaper.
func (k *Keeper) killAll() error {
	find := func() ([]proc.ID, error) {
		ids, err := proc.Family(k.self)
		return slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(k.self) }), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}

// clearStrays ends what a keeper before this one left: found by mark, and by the processes it recorded.
func (k *Keeper) clearStrays() error {
	find := func() ([]proc.ID, error) {
		infos, err := proc.Marked(MarkCluster, k.rec.Plan.ID)
		ids := proc.IDs(infos)
		ids = slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(k.self) })
		return append(ids, k.recorded(ids)...), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}

// portsFree waits until no socket is left on a port of the cluster that one of ours held.
func (k *Keeper) portsFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("still held"))
	defer cancel()
	return probe.Until(ctx, nil, func(context.Context) error {
		table, err := ports.Sockets()
		if err != nil {
			return err
		}
		for _, n := range k.all() {
			for _, l := range n.plan.Listeners {
				for _, s := range table {
					if s.Port != l.Port || !slices.Contains(l.Protocols, string(s.Proto)) || !serves(s, l) {
						continue
					}
					if h, ok := ports.Holder(ports.Addr{Proto: s.Proto, Host: s.Host.String(), Port: s.Port}); ok && k.ours(h.PID) {
						return fmt.Errorf("port %d (%s) of node %s is held by pid %d (%s)", l.Port, l.Name, n.plan.Name, h.PID, h.Name)
					}
				}
			}
		}
		return nil
	})
}

// removeAll removes the cluster's folder, and nothing that lacks its mark. The keeper has nothing to keep afterwards.
func (k *Keeper) removeAll(ctx context.Context) error {
	if k.unlock == nil {
		return nil
	}
	if k.events != nil {
		_ = k.events.Close()
	}
	id, ok, err := nodedir.Marked(k.dir)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("remove %s: it does not carry our mark", k.dir))
	}
	if err := nodedir.Remove(k.dir, id); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rec, k.nodes, k.service = nil, map[int]*node{}, nil
	return nil
}

// discardAll removes the nodes of an `up` that never came to its end.
func (k *Keeper) discardAll() error {
	for _, n := range k.all() {
		if err := k.removeFolder(n); err != nil {
			return err
		}
	}
	return nil
}

// keepLogs moves the logs of nodes that are about to be removed to a folder beside the clusters, and returns it. Only the
// last failure of a cluster is kept.
func (k *Keeper) keepLogs(nodes []*node) string {
	if k.rec == nil {
		return ""
	}
	dir := filepath.Join(filepath.Dir(k.dir), FailedFolder, k.rec.Plan.Cluster)
	if err := os.RemoveAll(dir); err != nil { // ours alone: no cluster can have this name
		return ""
	}
	kept := false
	var once sync.Once
	for _, n := range nodes {
		once.Do(func() { _ = os.MkdirAll(dir, 0o755) })
		if err := os.Rename(n.plan.Log, filepath.Join(dir, fmt.Sprintf("node%d.log", n.plan.Index))); err == nil {
			kept = true
		}
	}
	if !kept {
		_ = os.Remove(dir)
		return ""
	}
	return dir
}

// FailedFolder holds, beside the clusters, a folder of logs for every cluster whose last `up` failed.
const FailedFolder = "_failed"
