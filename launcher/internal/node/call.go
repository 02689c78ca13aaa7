package node

import (
	"context"
	"fmt"
	"os"
	"strings"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// Call makes one call of the plan, in the directory and environment of the node it names.
func (n *Node) Call(ctx context.Context, c plan.Call) (probe.Answer, error) {
	return callLogged(ctx, n, c, nil)
}

// callLogged is Call; log, if not nil, gets what a command writes.
func callLogged(ctx context.Context, n *Node, c plan.Call, log *os.File) (probe.Answer, error) {
	at := n.Plan
	if c.Node != 0 && c.Node != at.Index {
		if m := n.host.node(c.Node); m != nil {
			at = m.Plan
		}
	}
	user, password, _ := strings.Cut(c.User, ":")
	q := probe.Call{HTTP: c.HTTP, Method: c.Method, Body: c.Body, Header: c.Header, User: user, Password: password, TLS: c.TLS, Cert: c.Cert, Key: c.Key,
		TCP: c.TCP, Send: c.Send, Log: log,
		Exec: c.Exec, Expect: c.Expect, Refuse: c.Refuse, Number: c.Number, Count: c.Count, JSON: c.JSON, Timeout: c.Timeout.Duration}
	if len(q.Exec) > 0 {
		var err error
		if q.As, err = userOf(at); err != nil {
			return probe.Answer{}, err
		}
		q.Dir, q.Env = at.Dir, append(n.host.environment(at.Index, q.As, at.Env), c.Env...)
	}
	return n.host.prober.Do(ctx, q)
}

// awaitCall makes a call until it is answered as the plan wants it.
func awaitCall(ctx context.Context, n *Node, c plan.Call) error {
	return probe.Until(ctx, nil, func(ctx context.Context) error {
		_, err := n.Call(ctx, c)
		return err
	})
}

// Calls makes the calls of one phase, one after another; a call is tried again while its Retry lasts. They end with the
// node's process, if it has one.
func (n *Node) Calls(ctx context.Context, phase string, cs []plan.Call, emit func(control.Event)) error {
	for _, c := range cs {
		if err := callDuringLife(ctx, n, c); err != nil {
			return n.Failed(phase, err)
		}
	}
	if len(cs) > 0 {
		n.note("made the calls to " + phase)
		emit(control.Event{Node: n.Plan.Index, Phase: "called", Text: phase})
	}
	return nil
}

// Leave makes the calls by which the node leaves its cluster. What they say counts: a server may well end with the order to leave.
// Calls to a node that does not run are left out; others are made to another member. stopped tells that the node has been stopped: then
// come the calls that are for that moment.
func (n *Node) Leave(ctx context.Context, stopped bool, emit func(control.Event)) error {
	made := false
	for _, c := range n.Plan.Leave {
		if c.Stopped != stopped {
			continue
		}
		if c.Node == n.Plan.Index && !n.Is(control.Starting, control.Running) {
			continue
		}
		if err := leaveBy(ctx, n, c); err != nil {
			return n.Failed("leave", err)
		}
		made = true
	}
	if made {
		n.note("made the calls to leave")
		emit(control.Event{Node: n.Plan.Index, Phase: "called", Text: "leave"})
	}
	return nil
}

// leaveBy makes one call of Leave. A node that ended during a call to it that failed is not asked again.
func leaveBy(ctx context.Context, n *Node, c plan.Call) error {
	ran := n.HasProcess()
	return retry(ctx, c, func(ctx context.Context) error {
		_, err := n.Call(ctx, c)
		if err == nil || c.Node != n.Plan.Index || !ran || n.HasProcess() {
			return err
		}
		return probe.Permanent(fmt.Errorf("%w; %w: %s", err, ErrExited, n.Exit()))
	})
}

// retry makes a call until it succeeds, if the plan lets it be tried again, and for no longer than that.
func retry(ctx context.Context, c plan.Call, call func(context.Context) error) error {
	if c.Retry.Duration <= 0 {
		return call(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Retry.Duration)
	defer cancel()
	return probe.Until(ctx, nil, call)
}

// callDuringLife makes one call of Calls.
func callDuringLife(ctx context.Context, n *Node, c plan.Call) error {
	if n.HasProcess() {
		var cancel context.CancelFunc
		ctx, cancel = n.withLife(ctx)
		defer cancel()
	}
	return retry(ctx, c, func(ctx context.Context) error {
		_, err := n.Call(ctx, c)
		return err
	})
}
