// Package member is a node's membership of a cluster: who the members are,
// which of them run, and how a node gets in and out.
//
// It knows nothing of the application: it carries no application data beyond
// an address for links between nodes, and it doesn't serve clients.
//
// A node is always in exactly one cluster, at first in one of its own, and is
// known there by a random id; entering another cluster means a new id. Who is
// alive is found out by gossip (memberlist, which only this package uses); who
// is a member, alive or not, is a roster that all members merge and keep on
// disk. Joining, returning and being removed go over authenticated control
// streams on the same port.
//
// Start at Open and View. membership.go holds the state; transition (enter.go,
// leave.go) and bootstrap (seeds.go) are the ways in and out, server (serve.go) is
// what a node answers, spreader, watcher and healer keep the members agreed.
package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"onemore/nodecore/internal/faults"
)

// Config is what a Group needs. Everything without a default is required.
type Config struct {
	Name      string         // node name, Name@Host
	Dir       string         // data directory; exists and is this process's alone
	TCP       net.Listener   // cluster port, owned by the Group from Open on, even if Open fails; its Accept fails only when it is closed
	UDP       net.PacketConn // the same port; owned likewise
	Advertise netip.AddrPort // where other members reach the cluster port
	Forward   string         // ip:port for links between nodes, told to all members
	Secret    []byte         // who has it may join; empty closes the node to everyone
	Seeds     []Target       // on the very first start: the first one founds the cluster, others ask

	// Reset is called when the node is about to enter another cluster: its own
	// data must be gone, and nothing may go on in the name of the old one,
	// when it returns. Nil: there is no data.
	Reset func(ctx context.Context, cluster string) error
	// Holders names the members that hold data of the cluster which a joining node should fetch, as far as this node
	// knows; it may include this node. Joining and returning nodes are told. Nil: nobody holds any.
	Holders func() []string
	Faults  *faults.Table // nil: none
	Logger  *slog.Logger  // nil: discard

	version int // that this node speaks; 0: protocolVersion. Tests make older nodes by it
}

// View is what a node knows about its cluster at one moment.
type View struct {
	Cluster string   // empty while the node waits for its first cluster
	Self    Member   // this node
	Running []Member // members that are reached, this one included, in the order of names
	Stopped []Member // members that are not
}

// Arrival says how this node came into its present cluster.
type Arrival struct {
	Cluster string
	Joined  bool     // another member let it in; else it founded the cluster, or came back to it
	Holders []string // members to fetch data from, by Config.Holders of the member it met first; one that comes back: all, if any holds data
}

// Code says why a node was refused, for callers that branch on it.
type Code string

// The reasons for a refusal.
const (
	CodeBooting  Code = "booting"       // the node asked is in no cluster yet: ask again later
	CodeBusy     Code = "busy"          // the node asked is changing clusters itself
	CodeAlready  Code = "already"       // already in that cluster
	CodeSelf     Code = "self"          // a node can't join or remove itself
	CodeTaken    Code = "taken"         // a running member has the name
	CodeOther    Code = "other-cluster" // the node asked is in another cluster
	CodeRemoved  Code = "removed"       // the asking node is no member any more
	CodeDeparted Code = "departed"      // the node asked has left that cluster
	CodeUnknown  Code = "unknown"       // no such member, or no such request
	CodeName     Code = "name"          // the node at that address has another name
	CodeOpen     Code = "no-secret"     // this node has no secret, so it can't join anyone
)

// Refusal is an error with a reason that was decided, not suffered.
type Refusal struct {
	Code Code
	Text string
}

func (r *Refusal) Error() string { return r.Text }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// refused reports whether err is a Refusal with this code.
func refused(err error, code Code) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Code == code
}
