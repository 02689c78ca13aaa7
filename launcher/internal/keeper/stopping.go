package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/proc"
)

// stopNodes stops nodes in parallel, with their data to be kept or not, and fails with the first that would not end.
func (k *Keeper) stopNodes(ctx context.Context, nodes []*node, discard bool, emit func(control.Event)) error {
	var g errgroup.Group
	for _, n := range nodes {
		g.Go(func() error {
			if n.current() == nil {
				return k.stopGone(ctx, n)
			}
			emit(control.Event{Node: n.plan.Index, Phase: "stopping"})
			note, err := k.stopNode(ctx, n, discard)
			if err != nil {
				return k.failed(n, "stop", err)
			}
			emit(control.Event{Node: n.plan.Index, Phase: "stopped", Text: note})
			return nil
		})
	}
	return g.Wait()
}

// stopAll is stopNodes where nobody can do anything about an error but read of it in the keeper's log.
func (k *Keeper) stopAll(ctx context.Context, nodes []*node, discard bool) {
	if err := k.stopNodes(ctx, nodes, discard, func(control.Event) {}); err != nil {
		k.log.Error("stop", "err", err)
	}
}

// stopNode ends one node's family: its template's command or signal, then TERM → KILL for what is left after the grace.
// note says what people should know of how it ended.
func (k *Keeper) stopNode(ctx context.Context, n *node, discard bool) (note string, err error) {
	r := n.current()
	if r == nil {
		return "", nil
	}
	paused := n.is(control.Paused)
	n.update(func() {
		if n.run != nil { // else it has just ended, by itself
			n.state = control.Stopping
		}
	})
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
		return "", err
	}
	k.awaitEnd(ctx, r, grace)
	find := func() ([]proc.ID, error) { return k.family(n), nil }
	killed, err := proc.Stop(ctx, find, min(grace, time.Second))
	if err != nil {
		return "", err
	}
	if len(killed) > 0 && sig != syscall.SIGKILL {
		k.log.Warn("killed after the grace period", "node", n.plan.Name, "processes", fmt.Sprint(killed))
		note = fmt.Sprintf("(killed: it had not ended %v after it was told to)", grace)
	}
	if err := n.await(ctx, func() bool { return n.run == nil }); err != nil {
		return note, err
	}
	return note, k.stopGone(ctx, n)
}

// stopGone makes a node that ended by itself one that is stopped.
func (k *Keeper) stopGone(ctx context.Context, n *node) error {
	if err := k.clearLeft(ctx, n); err != nil {
		return k.failed(n, "stop", err)
	}
	n.update(func() {
		if n.state == control.Exited {
			n.state = control.Stopped
		}
	})
	return nil
}

// clearLeft ends what a node that ended by itself has left running: a daemon that it forked, helpers in sessions of their own.
func (k *Keeper) clearLeft(ctx context.Context, n *node) error {
	if !n.is(control.Exited) {
		return nil
	}
	find := func() ([]proc.ID, error) { return k.family(n), nil }
	_, err := proc.Stop(ctx, find, min(n.plan.Stop.Grace.Duration, time.Second))
	return err
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

// clearStrays ends what a keeper before this one left of the cluster: found by mark, and by the processes it recorded.
func (k *Keeper) clearStrays(cluster string) error {
	find := func() ([]proc.ID, error) {
		infos, err := proc.Marked(MarkCluster, cluster)
		ids := proc.IDs(infos)
		ids = slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(k.self) })
		return append(ids, k.recorded(ids)...), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}
