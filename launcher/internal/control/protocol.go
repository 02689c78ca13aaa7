// Package control is what a client and the keeper of a cluster say to each other: requests and replies, events, errors, the
// status of a cluster, and the client's side of the connection. It does nothing with a cluster itself, and knows only package
// plan, whose plan a request carries.
//
// Start at Request and Reply (the protocol) and Client (who asks). Package keeper is the other side.
package control

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"onemore/launcher/internal/plan"
)

// Op names one request. Requests and replies are JSON, one a line; closing the connection cancels the request.
type Op string

// The operations of a keeper. Those that change something wait for each other; OpStatus and OpHold don't.
const (
	OpUp       Op = "up"       // bring Nodes of Plan to running, making those that don't exist
	OpDown     Op = "down"     // stop all; remove all unless KeepData; the keeper ends
	OpRemove   Op = "remove"   // Nodes leave, stop and are removed; Plan is the cluster without them
	OpStop     Op = "stop"     //
	OpStart    Op = "start"    //
	OpRestart  Op = "restart"  // Rolling: one after the other
	OpKill     Op = "kill"     // SIGKILL, nothing else
	OpPause    Op = "pause"    // SIGSTOP to the whole family
	OpResume   Op = "resume"   //
	OpStatus   Op = "status"   // looks, changes nothing
	OpHold     Op = "hold"     // nothing but Own
	OpDisown   Op = "disown"   // the cluster hangs on this connection no more
	OpRefresh  Op = "refresh"  // nodes whose texts differ in Next, as another cluster of the stack has changed, take that in
	OpSettle   Op = "settle"   // waits until every running node sees all running ones
	OpUpgrade  Op = "upgrade"  // one node at a time gets its directory and command from Plan; Rollback: what it had before
	OpFault    Op = "fault"    // makes the faults of the network those of Faults
	OpSnapshot Op = "snapshot" // copies all nodes' directories, which stand still meanwhile, to the folder Snapshot
	OpRestore  Op = "restore"  // makes the cluster of the folder Snapshot, and starts its nodes
)

// Request is what a client asks of a keeper.
type Request struct {
	Op       Op              `json:"op"`
	From     string          `json:"from,omitempty"`    // who asks, for others that wait: "up (pid 123)"
	Options  json.RawMessage `json:"options,omitempty"` // the launcher's own record of what was asked for; kept, never read
	Plan     *plan.Plan      `json:"plan,omitempty"`
	Revision int             `json:"revision,omitempty"` // of the record that Plan was made from; 0: there was none
	// Next is the cluster as it is when the operation is over: the texts of its nodes are those for its members then. Nil leaves
	// all texts as they are. Of an upgrade, and of its rollback, Present is the same for its nodes as they are before.
	Next    *plan.Plan `json:"next,omitempty"`
	Present *plan.Plan `json:"present,omitempty"`
	Nodes   []int      `json:"nodes,omitempty"` // empty: all
	// Own hangs the cluster on this connection, from the end of the request on: when the last such connection closes,
	// the keeper takes the cluster down.
	Own      bool          `json:"own,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`   // 0: as long as something moves on; below 0: for ever
	Spent    time.Duration `json:"spent,omitempty"`     // of Timeout, before the request was sent
	KeepData bool          `json:"keep_data,omitempty"` // OpDown: leave directories
	Keep     bool          `json:"keep,omitempty"`      // OpUp: leave everything for debugging when it fails
	Rolling  bool          `json:"rolling,omitempty"`
	Rollback bool          `json:"rollback,omitempty"`
	Faults   *FaultChange  `json:"faults,omitempty"`
	Groups   bool          `json:"groups,omitempty"`   // OpUp: the server can't break its network itself; the kernel is to be able to
	Snapshot string        `json:"snapshot,omitempty"` // absolute
}

// Reply is one line from a keeper: an event, or the end.
type Reply struct {
	Event  *Event  `json:"event,omitempty"`
	Done   bool    `json:"done,omitempty"`
	Status *Status `json:"status,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// Event is one step of one node, of a service, or of the cluster (Node 0).
type Event struct {
	Time    time.Time `json:"time"`
	Node    int       `json:"node,omitempty"`
	Service string    `json:"service,omitempty"`
	Phase   string    `json:"phase"` // "copying", "starting", "ready", "joined", "members", "stopping", "stopped", "removed", "waiting", …
	Text    string    `json:"text,omitempty"`
	Members int       `json:"members,omitempty"`
	Of      int       `json:"of,omitempty"`
}

// SocketFile is the keeper's socket in a cluster's folder.
const SocketFile = "keeper.sock"

// CheckDir says whether a cluster's folder can have a keeper: a unix socket's path is short.
func CheckDir(dir string) error {
	const longest = 103 // of the smallest sun_path, macOS's, with its end
	if sock := filepath.Join(dir, SocketFile); len(sock) > longest {
		return fmt.Errorf("the keeper's socket %s would have a path of %d bytes; the system allows %d", sock, len(sock), longest)
	}
	return nil
}
