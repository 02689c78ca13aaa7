package node

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// suspension is a change of whether a node's processes stand still.
type suspension struct {
	verb, done string
	sig        syscall.Signal
	from, to   control.State
}

var (
	pausing  = suspension{"pause", "paused", syscall.SIGSTOP, control.Running, control.Paused}
	resuming = suspension{"resume", "resumed", syscall.SIGCONT, control.Paused, control.Running}
)

// Pause stops every process of the node where it is. A node that is not Running is left as it is.
func (n *Node) Pause(emit func(control.Event)) error { return pausing.apply(n, emit) }

// Resume lets the processes of a paused node go on. A node that is not Paused is left as it is.
func (n *Node) Resume(emit func(control.Event)) error { return resuming.apply(n, emit) }

func (s suspension) apply(n *Node, emit func(control.Event)) error {
	if !n.HasProcess() || !n.Is(s.from) {
		return nil
	}
	for _, id := range n.family() {
		if err := proc.Signal(id, s.sig); err != nil && !errors.Is(err, proc.ErrGone) {
			return n.Failed(s.verb, err)
		}
	}
	n.set(s.from, s.to) // unless it has ended meanwhile
	emit(control.Event{Node: n.Plan.Index, Phase: s.done})
	return nil
}

// AwaitPaused returns when no thread of a paused node runs on: a signal takes effect some time after it was sent.
func (n *Node) AwaitPaused(ctx context.Context) error {
	families, err := n.host.Processes.families()
	if err != nil {
		return err
	}
	for _, id := range families[n.Plan.Index] {
		err := probe.Until(ctx, nil, func(context.Context) error {
			still, err := proc.Stopped(id)
			if err == nil && !still {
				err = fmt.Errorf("%v still runs", id)
			}
			return err
		})
		if err != nil {
			return n.Failed("pause", err)
		}
	}
	return nil
}
