package control

import (
	"fmt"
	"time"
)

// State is where a node, or a cluster, is in its life.
type State string

// States of a node. A cluster is Running when all of its nodes run and see each other, Stopped when none runs, Degraded
// in between, Starting while an operation makes it, and Lost when its keeper has gone and something is left of it.
const (
	Absent   State = "absent" // planned, not made
	Stopped  State = "stopped"
	Starting State = "starting"
	Running  State = "running"
	Paused   State = "paused"
	Stopping State = "stopping"
	Exited   State = "exited" // ended without being asked to

	Degraded State = "degraded"
	Lost     State = "lost"
)

// Status is the truth about a cluster at one moment. It is the documented form of `status --json`.
type Status struct {
	Cluster  string          `json:"cluster"`
	Template string          `json:"template"`
	State    State           `json:"state"`
	ID       string          `json:"id"`
	Dir      string          `json:"dir"`
	Keeper   int             `json:"keeper_pid,omitempty"`
	Busy     string          `json:"busy,omitempty"` // the operation under way
	Nodes    []NodeStatus    `json:"nodes"`
	Services []ServiceStatus `json:"services,omitempty"`
	Audit    []Finding       `json:"audit,omitempty"`
	Faults   []string        `json:"faults,omitempty"`
	// FaultTable is Faults in full: which node's messages to which other suffer, and how.
	FaultTable FaultTable `json:"fault_table"`
	Notes      []string   `json:"notes,omitempty"`
}

// NodeStatus is the truth about one node.
type NodeStatus struct {
	Index      int               `json:"index"`
	Name       string            `json:"name"`
	Role       string            `json:"role,omitempty"` // where the template has roles
	State      State             `json:"state"`
	PID        int               `json:"pid,omitempty"`
	Exit       string            `json:"exit,omitempty"` // how it ended, when it did by itself
	Dir        string            `json:"dir"`
	Log        string            `json:"log"`
	Members    int               `json:"members"`           // as the node itself says; 0: it does not answer; -1: its template has no way to ask
	Trouble    string            `json:"trouble,omitempty"` // why it does not serve though it runs: its group has no leader, …
	Listeners  map[string]string `json:"listeners"`
	URLs       map[string]string `json:"urls,omitempty"`
	Client     []string          `json:"client,omitempty"`
	Since      *time.Time        `json:"since,omitempty"` // of the process
	RSSBytes   uint64            `json:"rss_bytes"`
	CPUPercent float64           `json:"cpu_percent"`
}

// ServiceStatus is the truth about one helper process of the cluster.
type ServiceStatus struct {
	Name       string            `json:"name"`
	State      State             `json:"state"`
	PID        int               `json:"pid,omitempty"`
	Exit       string            `json:"exit,omitempty"` // how it ended, when it did by itself
	Dir        string            `json:"dir"`
	Log        string            `json:"log"`
	Listeners  map[string]string `json:"listeners"`
	URLs       map[string]string `json:"urls,omitempty"`
	Since      *time.Time        `json:"since,omitempty"` // of the process
	RSSBytes   uint64            `json:"rss_bytes"`
	CPUPercent float64           `json:"cpu_percent"`
}

// MembersUnknown is the count of members where the template has no way to ask a node.
const MembersUnknown = -1

// Kinds of findings.
const (
	Stranger   = "stranger"   // another program holds a port of ours
	Undeclared = "undeclared" // a node's process listens where nobody planned it
	Closed     = "closed"     // a planned port is not open
	Shared     = "shared"     // a node has something that is not its alone: a file, a socket, or a port that nobody planned
	Outside    = "outside"    // a node writes outside of its folder, where nobody else does
)

// Finding is a listener that is not as the plan says, or a file or unix socket outside of the node's folder.
type Finding struct {
	Node     int    `json:"node"`
	Service  string `json:"service,omitempty"` // whose it is, where it is no node's
	Kind     string `json:"kind"`
	Listener string `json:"listener,omitempty"`
	Proto    string `json:"protocol"` // tcp, udp; unix: a socket, by its path or, after an @, its abstract name; file: one that is open, or mapped, for writing
	Address  string `json:"address"`
	PID      int    `json:"pid,omitempty"`
	Program  string `json:"program,omitempty"`
	Other    int    `json:"other,omitempty"` // the other node of what is shared; 0: it is another program, PID
	Key      string `json:"key,omitempty"`   // the file in the node's directory, and its key, that has the path
}

// Protocols of findings that are no ports.
const (
	ProtoFile = "file"
	ProtoUnix = "unix"
)

// Grave reports whether the node can't be left so: it is an error, the others are warnings.
func (f *Finding) Grave() bool { return f.Kind == Stranger || f.Kind == Shared }

func (f *Finding) Error() string {
	switch f.Kind {
	case Stranger:
		return fmt.Sprintf("listener %q: %s %s is held by another program (pid %d, %s)", f.Listener, f.Proto, f.Address, f.PID, f.Program)
	case Undeclared:
		return fmt.Sprintf("pid %d (%s) listens on %s %s, which the template does not declare", f.PID, f.Program, f.Proto, f.Address)
	case Shared, Outside:
		return f.place()
	}
	return fmt.Sprintf("listener %q: nothing listens on %s %s", f.Listener, f.Proto, f.Address)
}

// place is Error of what is outside of the node's folder, or not its alone.
func (f *Finding) place() string {
	what := map[string]string{ProtoFile: "the file " + f.Address + " is open for writing", ProtoUnix: "the socket " + f.Address + " is bound"}[f.Proto]
	if what == "" {
		what = fmt.Sprintf("the port %s %s, which the template does not declare, is open", f.Proto, f.Address)
	}
	if f.Key != "" {
		what += " (" + f.Key + ")"
	}
	switch {
	case f.Kind == Outside:
		return what + " outside of the node's folder"
	case f.Other != 0:
		return fmt.Sprintf("%s, and node %d wants the same", what, f.Other)
	}
	return fmt.Sprintf("%s, and another program has the same (pid %d, %s)", what, f.PID, f.Program)
}
