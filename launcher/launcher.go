// Package launcher turns a server's node directory into a real cluster on this host, and takes it away again.
//
// It composes what is below internal/: a template (what kind of server), a plan (every name, port and command, worked out
// before anything is touched), and a keeper (the process that is the parent of the nodes). It runs no server itself, and
// knows none by name. It prints nothing: package cli has the words for people, package launchertest is the way in for Go
// tests.
//
// Start at Up, then Cluster. There is a file for each thing that a caller does. What an option means is in options.go; how
// options, the record of a cluster that exists and the state of the host become the request to the keeper is in resolve.go.
package launcher

import (
	"errors"
	"fmt"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// What a keeper reports about a cluster, and what was planned for it; `--json` prints them as they are.
type (
	Status        = control.Status
	NodeStatus    = control.NodeStatus
	ServiceStatus = control.ServiceStatus
	Finding       = control.Finding
	Event         = control.Event
	State         = control.State
	Plan          = plan.Plan
	NodePlan      = plan.Node
	ListenerPlan  = plan.Listener
	ServicePlan   = plan.Service
)

// Failure is why an operation failed: node, phase, reason, the log lines that show it, and where the logs were kept.
type Failure = control.Error

// InputError says that the call or its input is wrong; nothing was touched.
type InputError struct {
	Err  error
	Hint string
}

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// ErrNoCluster is wrapped by errors about a cluster that does not exist.
var ErrNoCluster = errors.New("there is no such cluster")

func noCluster(name string) error { return fmt.Errorf("cluster %q: %w", name, ErrNoCluster) }

// Hints that several errors share.
const (
	homeHint      = "set ONEMORE_HOME to a directory that you may write"
	listTemplates = "`onemore templates` lists what can be launched"
	sourceHint    = "give the node directory to copy with -s"
)
