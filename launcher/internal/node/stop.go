package node

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

// StopAll stops nodes, with their data to be kept or not, and fails with the first that would not end. They are stopped in the order that
// their template says, or, where nothing is kept, all at once.
func StopAll(ctx context.Context, nodes []*Node, discard bool, emit func(control.Event)) error {
	var g errgroup.Group
	if !discard && len(nodes) > 0 && nodes[0].Plan.Stop.Order != "" {
		nodes = slices.Clone(nodes)
		if nodes[0].Plan.Stop.Order == "reverse" {
			slices.Reverse(nodes)
		}
		g.SetLimit(1) // the next one begins when the one before it is through
	}
	for _, n := range nodes {
		g.Go(func() error {
			if !n.HasProcess() {
				return stopGone(ctx, n)
			}
			emit(control.Event{Node: n.Plan.Index, Phase: "stopping"})
			note, err := n.stop(ctx, discard)
			if err != nil {
				return n.Failed("stop", err)
			}
			emit(control.Event{Node: n.Plan.Index, Phase: "stopped", Text: note})
			return nil
		})
	}
	return g.Wait()
}

// stop ends a node's processes: its template's command or signal, then TERM → KILL for what is left after the grace.
// note is "" when it ended as it should, else what happened, for the "stopped" event.
func (n *Node) stop(ctx context.Context, discard bool) (note string, err error) {
	r := n.current()
	if r == nil {
		return "", nil
	}
	paused := n.Is(control.Paused)
	n.update(func() {
		if n.run != nil { // else it has just ended, by itself
			n.state = control.Stopping
		}
	})
	family := n.family()
	grace := n.Plan.Stop.Grace.Duration
	sig := signals[n.Plan.Stop.Signal]
	if discard {
		sig = signals[n.Plan.Stop.Discard]
	}
	if paused && sig != syscall.SIGKILL {
		n.host.signal(family, syscall.SIGCONT)
	}
	if !discard && len(n.Plan.Stop.Command) > 0 {
		if err := runStopCommand(ctx, n, grace); err != nil {
			n.host.log.Warn("stop command", "node", n.Plan.Name, "err", err)
		}
	} else if sig == syscall.SIGKILL {
		n.host.signal(family, sig)
	} else if err := r.proc.Signal(sig); err != nil && !errors.Is(err, proc.ErrGone) {
		return "", err
	}
	r.awaitEnd(ctx, grace)
	find := func() ([]proc.ID, error) { return n.family(), nil }
	killed, err := proc.Stop(ctx, find, min(grace, time.Second))
	if err != nil {
		return "", err
	}
	if len(killed) > 0 && sig != syscall.SIGKILL {
		n.host.log.Warn("killed after the grace period", "node", n.Plan.Name, "processes", fmt.Sprint(killed))
		note = fmt.Sprintf("(killed: it had not ended %v after it was told to)", grace)
	}
	if err := n.await(ctx, func() bool { return n.run == nil }); err != nil {
		return note, err
	}
	return note, stopGone(ctx, n)
}

// stopGone makes a node that ended by itself one that is stopped.
func stopGone(ctx context.Context, n *Node) error {
	if err := clearLeft(ctx, n); err != nil {
		return n.Failed("stop", err)
	}
	n.set(control.Exited, control.Stopped)
	return nil
}

// clearLeft ends what a node that ended by itself has left running: a daemon that it forked, helpers in sessions of their own.
func clearLeft(ctx context.Context, n *Node) error {
	if !n.Is(control.Exited) {
		return nil
	}
	find := func() ([]proc.ID, error) { return n.family(), nil }
	_, err := proc.Stop(ctx, find, min(n.Plan.Stop.Grace.Duration, time.Second))
	return err
}

// runStopCommand runs the template's command that stops a node, for no longer than the grace.
func runStopCommand(ctx context.Context, n *Node, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	as, err := userOf(n.Plan)
	if err != nil {
		return err
	}
	out, err := n.host.Run(ctx, proc.Spec{Args: n.Plan.Stop.Command, Dir: n.Plan.Dir, Env: n.host.environment(n.Plan.Index, as, n.Plan.Env), User: as})
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("exit code %d: %s", out.Code, out.Stderr)
	}
	return err
}

// awaitEnd waits for the node's own process, for no longer than the grace.
func (r *run) awaitEnd(ctx context.Context, grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-r.proc.Done():
	case <-t.C:
	case <-ctx.Done():
	}
}

// Kill sends SIGKILL to all processes of the node and returns when they are gone: a crash, so nothing else is done.
func (n *Node) Kill(ctx context.Context) error {
	find := func() ([]proc.ID, error) { return n.family(), nil }
	_, err := proc.Stop(ctx, find, 0)
	if err == nil {
		err = n.await(ctx, func() bool { return n.run == nil })
	}
	if err != nil {
		return n.Failed("kill", err)
	}
	return nil
}

// signals are those that a template may name; template.Parse refuses others.
var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "HUP": syscall.SIGHUP,
	"KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "ABRT": syscall.SIGABRT,
}
