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
	Cluster  string       `json:"cluster"`
	Template string       `json:"template"`
	State    State        `json:"state"`
	ID       string       `json:"id"`
	Dir      string       `json:"dir"`
	Keeper   int          `json:"keeper_pid,omitempty"`
	Busy     string       `json:"busy,omitempty"` // the operation under way
	Nodes    []NodeStatus `json:"nodes"`
	Audit    []Finding    `json:"audit,omitempty"`
	Faults   []string     `json:"faults,omitempty"`
	// FaultTable is Faults in full: which node's messages to which other suffer, and how.
	FaultTable FaultTable `json:"fault_table"`
	Notes      []string   `json:"notes,omitempty"`
}

// NodeStatus is the truth about one node.
type NodeStatus struct {
	Index      int               `json:"index"`
	Name       string            `json:"name"`
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

// MembersUnknown is the count of members where the template has no way to ask a node.
const MembersUnknown = -1

// Kinds of findings. A stranger is an error, an undeclared port is a warning.
const (
	Stranger   = "stranger"   // another program holds a port of ours
	Undeclared = "undeclared" // a node's process listens where nobody planned it
	Closed     = "closed"     // a planned port is not open
)

// Finding is a listener that is not as the plan says. It is an error where a node can't be ready with it.
type Finding struct {
	Node     int    `json:"node"`
	Kind     string `json:"kind"`
	Listener string `json:"listener,omitempty"`
	Proto    string `json:"protocol"`
	Address  string `json:"address"`
	PID      int    `json:"pid,omitempty"`
	Program  string `json:"program,omitempty"`
}

func (f *Finding) Error() string {
	switch f.Kind {
	case Stranger:
		return fmt.Sprintf("listener %q: %s %s is held by another program (pid %d, %s)", f.Listener, f.Proto, f.Address, f.PID, f.Program)
	case Undeclared:
		return fmt.Sprintf("pid %d (%s) listens on %s %s, which the template does not declare", f.PID, f.Program, f.Proto, f.Address)
	}
	return fmt.Sprintf("listener %q: nothing listens on %s %s", f.Listener, f.Proto, f.Address)
}
