package node

import (
	"context"
	"errors"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/proc"
)

// Refresh makes a running node take in who is a member now, by calls and signals: its files say so already.
func Refresh(ctx context.Context, n *Node, emit func(control.Event)) error {
	for _, r := range n.Plan.Refresh {
		var err error
		if r.Call != nil {
			err = callDuringLife(ctx, n, *r.Call)
		} else if r.Signal != "" {
			err = Signal(n, r.Signal)
		}
		if err != nil {
			return n.Failed("tell it who is a member", err)
		}
	}
	emit(control.Event{Node: n.Plan.Index, Phase: "refreshed"})
	return nil
}

// Signal sends a signal to the node's own process, not to those that it has started.
func Signal(n *Node, name string) error {
	r := n.current()
	if r == nil {
		return ErrExited
	}
	if err := proc.Signal(r.proc.ID(), signals[name]); err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	return nil
}
