package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// launch starts a stopped node and waits until it serves: it says so (where it can), every planned listener is open and
// held by this node's own processes, and the template's calls answer.
func (k *Keeper) launch(ctx context.Context, n *node, emit func(control.Event)) error {
	if t := n.plan.Ready.Timeout.Duration; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, fmt.Errorf("not ready within %v", t))
		defer cancel()
	}
	emit(control.Event{Node: n.plan.Index, Phase: "starting"})
	if err := k.clearLeft(ctx, n); err != nil {
		return k.failed(n, "start", err)
	}
	if err := k.startProcess(ctx, n); err != nil {
		return k.failed(n, "start", err)
	}
	if err := k.ready(ctx, n); err != nil {
		return k.failed(n, "wait until it is ready", err)
	}
	if err := k.refault(ctx, n, emit); err != nil {
		return err
	}
	n.update(func() {
		if n.state == control.Starting {
			n.state = control.Running
		}
	})
	emit(control.Event{Node: n.plan.Index, Phase: "ready"})
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
		case f.Kind == control.Stranger:
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
func (k *Keeper) calls(ctx context.Context, n *node, phase string, cs []plan.Call, emit func(control.Event)) error {
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
		emit(control.Event{Node: n.plan.Index, Phase: "called", Text: phase})
	}
	return nil
}

// failed makes the error that a person can work with: node, phase, why, and the lines of its log that tell.
func (k *Keeper) failed(n *node, phase string, err error) error {
	var e *control.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) && !errors.Is(err, control.ErrInterrupted) {
		return err // a sibling failed first; its error is the one to show
	}
	e = &control.Error{Node: n.plan.Index, Name: n.plan.Name, Phase: phase, Why: err.Error(), Interrupted: errors.Is(err, control.ErrInterrupted)}
	if r := n.current(); r != nil {
		select {
		case <-r.proc.Done():
			n.settleLog(r)
		default:
		}
	}
	e.Why += k.leftBehind(n, err)
	n.mu.Lock()
	tried := n.tried
	n.mu.Unlock()
	e.Log = tell(n.plan, tried)
	if _, err := os.Stat(n.plan.Log); err == nil {
		e.Logs = n.plan.Log
	}
	if f := k.strangerAt(n); f != nil {
		if told, ok := errors.AsType[*control.Finding](err); !ok || told.Kind != control.Stranger {
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

// leftBehind says of a node whose process ended in good order, though it should run, what runs on in its place.
func (k *Keeper) leftBehind(n *node, err error) string {
	n.mu.Lock()
	gone := n.run == nil && n.well
	n.mu.Unlock()
	if !gone || !errors.Is(err, errExited) {
		return ""
	}
	family := k.family(n)
	if len(family) == 0 {
		return ""
	}
	pid := family[0].PID
	return fmt.Sprintf("; it left pid %d (%s) in the background, and start.command must stay in the foreground", pid, proc.Name(pid))
}
