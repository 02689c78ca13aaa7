// Package operation is what can be asked of a cluster: up, down, stop, start, restart, kill, pause, resume, remove, upgrade, faults,
// snapshot, restore. Each has a file, in which its steps can be read from top to bottom. It is not about who asks and who
// has to wait (package keeper), nor about how the nodes of a cluster are observed and waited for (package cluster).
//
// Start at Operation.Do, and at up.go for the longest one.
package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// Folder is the cluster's folder as the keeper has it: locked, with its socket and its event log.
type Folder interface {
	// Create makes the folder, marked with the id from its first moment, and takes charge of it. It fails with
	// control.ErrBusy, or an error that is Stale, when somebody else has made it.
	Create(id string) error
	// Remove removes the folder and makes it a cluster without a record. It does nothing where the keeper has no folder.
	Remove() error
	// Held tells whether the keeper has the folder.
	Held() bool
}

// Operation is what carries out one request. Only the holder of the operation lock has one.
type Operation struct {
	Cluster *cluster.Cluster
	Folder  Folder
	Log     *slog.Logger
	Emit    func(control.Event) // to the client and the event log; may be called from any goroutine
	Record  func(control.Event) // to the event log only; likewise
	// Preempt ends when the cluster is to be taken down: nobody needs what this operation is at any more.
	Preempt context.Context
}

// ErrPreempted is the cause of an operation that was ended because somebody wants the cluster gone.
var ErrPreempted = errors.New("the cluster is being taken down by somebody else")

// Do carries out a request. ctx ends when its client goes, when its time is over, and when it is preempted.
func (o *Operation) Do(ctx context.Context, req control.Request) error {
	if req.Op == control.OpDown {
		return o.down(ctx, req)
	}
	if err := putBackInterrupted(o.Cluster); err != nil {
		return err
	}
	switch req.Op {
	case control.OpUp:
		return o.up(ctx, req)
	case control.OpRestore:
		return o.restore(ctx, req)
	}
	nodes, err := o.Cluster.Pick(req.Nodes)
	if err != nil {
		return err
	}
	return o.doWith(ctx, req, nodes)
}

// doWith carries out a request to a cluster that is there.
func (o *Operation) doWith(ctx context.Context, req control.Request, nodes []*node.Node) error {
	switch req.Op {
	case control.OpRemove:
		return o.remove(ctx, req, nodes)
	case control.OpStop:
		return o.stop(ctx, nodes)
	case control.OpStart:
		return o.start(ctx, nodes)
	case control.OpRestart:
		return o.restart(ctx, req, nodes)
	case control.OpKill:
		return o.kill(ctx, nodes)
	case control.OpPause:
		return o.pause(nodes)
	case control.OpResume:
		return o.resume(ctx, nodes)
	case control.OpSettle:
		return o.Cluster.Settle(ctx, o.Emit)
	case control.OpUpgrade:
		return o.upgrade(ctx, req, nodes)
	case control.OpFault:
		return o.fault(ctx, req)
	case control.OpSnapshot:
		return o.snapshot(ctx, req)
	}
	return fmt.Errorf("this keeper does not know %q: it is of another onemore version; `onemore down` and `up` again", req.Op)
}

// detached returns a context for steps that are finished also when the client goes: it ends with ctx's time, or when the
// operation is preempted.
func (o *Operation) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadlineCause(o.Preempt, at, errors.New("not done within the time given"))
	}
	return context.WithCancel(o.Preempt)
}

// detachedTimeout bounds steps that have to be finished, such as those after a node has left.
const detachedTimeout = 5 * time.Minute

// untimed is detached, with a time of its own in the place of the request's.
func (o *Operation) untimed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(o.Preempt, detachedTimeout)
}

// silent takes events that nobody is to hear of.
func silent(control.Event) {}
