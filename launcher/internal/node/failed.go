package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// Failed makes the error that a person can work with: node, phase, why, and, where it is about a start or an end that nobody
// asked for, an excerpt of its log. An error that has all of that already is returned as it is.
func (n *Node) Failed(phase string, err error) error {
	var e *control.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) && !errors.Is(err, control.ErrInterrupted) {
		return err // a sibling failed first; its error is the one to show
	}
	e = &control.Error{Node: max(n.Plan.Index, 0), Name: n.Plan.Name, Service: isService(n), Phase: phase, Why: err.Error(), Interrupted: errors.Is(err, control.ErrInterrupted)}
	if refusal, ok := errors.AsType[*probe.Refusal](err); ok {
		e.Refused = strings.TrimSpace(refusal.Text)
	}
	n.mu.Lock()
	last, start, ended := n.last, n.start, n.run == nil
	quotes := !n.member || n.state == control.Exited
	n.mu.Unlock()
	if last != nil {
		select {
		case <-last.proc.Done():
			last.awaitLog()
			ended = true // though the node may not know it yet
		default:
		}
	}
	e.Why += leftBehind(n, err)
	if _, ok := errors.AsType[control.TimeoutError](err); ok {
		if steps := n.timeline(); steps != "" && quotes {
			e.Why += " (" + steps + ")"
		}
		e.Hint = control.MoreTimeHint
	}
	if quotes {
		e.Log = excerpt(n.Plan, start, ended)
	}
	if _, err := os.Stat(n.Plan.Log); err == nil {
		e.Logs = n.Plan.Log
	}
	if f := strangerAt(n); f != nil {
		if known, ok := errors.AsType[*control.Finding](err); !ok || known.Kind != control.Stranger {
			e.Why += "; " + f.Error()
		}
		e.Hint = "free the port, shift the whole cluster with --base auto, or choose --set " + f.Listener + "=PORT"
	}
	return e
}

// awaitLog waits a moment for the last lines of a process that has ended; a child of it may keep the pipe open.
func (r *run) awaitLog() {
	t := time.NewTimer(300 * time.Millisecond)
	defer t.Stop()
	select {
	case <-r.over:
	case <-t.C:
	}
}

// leftBehind says of a node whose process ended in good order, though it should run, what runs on in its place.
func leftBehind(n *Node, err error) string {
	n.mu.Lock()
	gone := n.run == nil && n.clean
	n.mu.Unlock()
	if !gone || !errors.Is(err, ErrExited) {
		return ""
	}
	family := n.family()
	if len(family) == 0 {
		return ""
	}
	pid := family[0].PID
	return fmt.Sprintf("; it left pid %d (%s) in the background, and start.command must stay in the foreground", pid, proc.Name(pid))
}
