package control

import (
	"errors"
	"fmt"

	"onemore/launcher/internal/plan"
)

// Error is why an operation failed, with the evidence. It crosses the socket as it is.
type Error struct {
	Cluster     string    `json:"cluster,omitempty"` // in its stack
	Node        int       `json:"node,omitempty"`
	Name        string    `json:"name,omitempty"`    // of the node
	Service     bool      `json:"service,omitempty"` // Name is a service's
	Phase       string    `json:"phase,omitempty"`   // what was being done
	Why         string    `json:"why"`
	Log         []string  `json:"log,omitempty"`  // excerpt of its log: the lines that the template looks for, else the last
	Logs        string    `json:"logs,omitempty"` // where the logs were kept
	Hint        string    `json:"hint,omitempty"`
	Clash       bool      `json:"clash,omitempty"`   // a port was leased or taken since the plan was made
	Taken       plan.Port `json:"taken,omitzero"`    // that port
	Stale       bool      `json:"stale,omitempty"`   // the cluster has changed since the plan was made
	Busy        bool      `json:"busy,omitempty"`    // another keeper has the cluster
	Refused     string    `json:"refused,omitempty"` // what the server's own command wrote when it refused
	Input       bool      `json:"input,omitempty"`   // what was asked for is wrong: a refusal that nothing but another call helps
	Interrupted bool      `json:"interrupted,omitempty"`
	Undone      bool      `json:"undone,omitempty"` // what was begun is as if it had never been
}

func (e *Error) Error() string {
	if e.Cluster != "" {
		return "cluster " + e.Cluster + ": " + e.inCluster()
	}
	return e.inCluster()
}

func (e *Error) inCluster() string {
	switch {
	case e.Service && e.Phase != "":
		return fmt.Sprintf("service %s, %s: %s", e.Name, e.Phase, e.Why)
	case e.Name != "" && e.Phase != "":
		return fmt.Sprintf("node %s, %s: %s", e.Name, e.Phase, e.Why)
	case e.Phase != "":
		return e.Phase + ": " + e.Why
	}
	return e.Why
}

// ErrBusy says that another keeper runs the cluster: Client.Do returns it when the keeper that was asked may not answer.
var ErrBusy = errors.New("another keeper runs this cluster")

// ErrLost says that the keeper died, or was killed, while it was asked; ErrUnheard, which wraps it, that it had not said
// anything yet, as one that ends at this moment does: the next one can be asked the same.
var (
	ErrLost    = errors.New("the keeper went away")
	ErrUnheard = fmt.Errorf("%w before it answered", ErrLost)
)

// ErrInterrupted is the cause of an operation that was cancelled because its client went away.
var ErrInterrupted = errors.New("interrupted")

// AsError gives any error the form that crosses the socket.
func AsError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Why: err.Error()}
	}
	e.Busy = e.Busy || errors.Is(err, ErrBusy)
	e.Interrupted = e.Interrupted || errors.Is(err, ErrInterrupted)
	return e
}

// TimeoutError is the cause of an operation whose time is over.
type TimeoutError string

func (e TimeoutError) Error() string { return string(e) }

// MoreTimeHint is the way out of a TimeoutError.
const MoreTimeHint = "give it more time with --timeout, or with ready.timeout in the template"
