// Package operation is what can be asked of a cluster: up, down, stop, start, restart, kill, pause, resume, remove, upgrade, faults,
// snapshot, restore. Each has a file, in which its steps can be read from top to bottom. It is not about who asks and who
// has to wait (package keeper), nor about how the nodes of a cluster are observed and waited for (package cluster).
//
// Start at Operation.Do, which has the list of them, and at up.go for the longest one.
package operation

import (
	"context"
	"errors"
	"log/slog"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
)

// Folder is the cluster's folder as the keeper has it: locked, with its socket and its event log.
type Folder interface {
	// Create makes the folder, marked with the id from its first moment, and takes charge of it. It fails with
	// control.ErrBusy, or an error that is Stale, when somebody else has made it.
	Create(id string) error
	// Remove removes the folder and makes it a cluster without a record. It does nothing where the keeper has no folder.
	Remove() error
	// Held reports whether the keeper has the folder.
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

	Audited *cluster.Audit // with which the operation ended; nil if it made none. For the status that its client gets

	limit context.Context // ends when the operation has no time limit of its own, and nothing moves on any more; see patient
}

// ErrPreempted is the cause of an operation that was ended because somebody wants the cluster gone.
var ErrPreempted = errors.New("the cluster is being taken down by somebody else")
