// Package peer keeps the links between the nodes of a cluster: one TCP connection per direction and
// pair of nodes, opened when there is something to say, proved with the cluster's secret on both
// sides before a byte of content is read.
//
// What is sent to a peer arrives there in the order of the Send calls, each frame exactly once for
// the life of both processes, across any number of broken connections: frames are numbered, kept
// until the other side has handled them, and sent again from the first unacknowledged one after a
// reconnect. What a frame means is not known here; the handler (nodecore/internal/broker) knows.
//
// Start at Open and Mesh.Send; link.go, send.go and pump.go are the sending half of a link, inbound.go and acker.go the receiving one.
package peer

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"
)

// Peer is another member of the cluster, as membership knows it.
type Peer struct {
	Name  string // node name, Name@Host: the key of everything here
	ID    string // random id of the node; a member that comes back with another one is another node
	Addr  string // host:port of its forward listener
	Alive bool   // whether membership reaches it at the moment; only a hint, that a link is worth trying
}

// Handler receives the frames and the changes of the list of peers. The links hold no lock while they call it.
type Handler interface {
	// Receive handles one frame of a peer. Frames of one peer come one at a time, in order: the next one is read when Receive has
	// returned, so it must not block. To slow down whoever sent the frame, on whatever node, it calls p.Pause. body and p are only
	// valid during the call.
	Receive(from string, kind byte, body []byte, p Delivery)
	// Settle returns when all that Receive has handled of a peer so far may be acknowledged (it is on disk, say). Settled reports
	// whether Settle would return at once.
	Settle(from string)
	Settled() bool
	// Position returns the Delivery.Position of the last frame of a peer that was handled before this process started, 0 if there was
	// none. Frames up to it aren't handled again.
	Position(from string) (stream, seq uint64)
	// Joined is called when a peer is new in the list. It may call Mesh.Connect, if there is something to send.
	Joined(name string)
	// Met is called when the peer has no state of this link: its process is new or was restarted, or frames for it had to be
	// dropped. The handler sends it its state anew; of the peer's state, only what is on its disk still holds. Frames sent from
	// inside Met are the first on the link.
	Met(name string)
	// Left is called when a peer is no longer a member.
	Left(name string)
}

// Frame is one message to a peer.
type Frame struct {
	Kind byte   // meaning of the frame, below KindOwn
	Head []byte // goes before Body, so that frames to several peers can share that
	Body []byte // like Head, it must not change from Send on
	// Hold lets the Waiter wait up to answerTime for a peer that is unreachable or handles nothing. Without Hold, the Waiter is
	// done as soon as the peer is seen to be unreachable, or after suspectTime. The frame itself is kept for Config.Hold in both
	// cases. A peer for which a wait timed out isn't waited for again until it handles a frame.
	Hold bool
	// Keep keeps the frame for the peer beyond Config.Hold, within the queue's bounds.
	Keep bool
	// Lossy allows the frame to be dropped when the queue is half full. When any other frame is dropped, Handler.Met is called
	// for the peer again.
	Lossy bool
	// Must queues the frame however long the queue is, and doesn't count it: for the state that is sent in Met, which would be sent
	// again as a whole if a part were lost, and isn't larger than what this node has in memory anyway.
	Must bool
	// Waiter, if set, is called once, when the frame was handled or is given up.
	Waiter Waiter
	// Sender, if set, has to wait in Send when the queue is long: with Hold until there is room or Config.Hold is over, else only
	// while the queue gets shorter. The peer's Handler can pause it too (Delivery.Pause).
	Sender Sender
}

// Pauser is a source of messages that can be paused.
type Pauser interface {
	// Pause stops the source until resume is called, once. Neither call blocks.
	Pause() (resume func())
}

// Delivery is a frame that is being handled. As a Pauser, it stands for the frame's sender.
type Delivery interface {
	Pauser
	// Position distinguishes the frame from all others of the same peer.
	Position() (stream, seq uint64)
}

// Sender is a source of frames, which calls Send for one at a time (a client's connection, say).
type Sender interface {
	Pauser
	// Ended is closed when the source has ended, so that Send need not wait for it any more.
	Ended() <-chan struct{}
}

// Waiter is called back about a frame that was sent.
type Waiter interface {
	// Done is called with true when the peer has handled the frame, and with false when it is no longer waited for. It must
	// not block, and it may be called before Send returns.
	Done(accepted bool)
}

// DoneFunc makes a Waiter of a function.
type DoneFunc func(accepted bool)

// Done calls f.
func (f DoneFunc) Done(accepted bool) { f(accepted) }

// Fault is a network fault of one direction between two nodes, for tests of the cluster on bad networks.
type Fault struct {
	Blocked bool          // nothing gets through
	Delay   time.Duration // added to every batch of frames
	Drop    float64       // probability, 0..1, that a frame is lost on its way and has to be sent again
}

// Faults returns the faults that are set between this node and a peer at the moment: out for what this node sends, in for what it
// receives. It is called for every write and read, so it must be fast.
type Faults func(peer string) (out, in Fault)

// Defaults of Config, and what is fixed.
const (
	DefaultHold     = 15 * time.Second
	DefaultQueueMax = 32 << 20
	MaxFrame        = 16 << 20 // largest body of a frame
	KindOwn         = 0xf0     // kinds from here on are the links' own
)

// Config is what a Mesh needs. Everything without a default is required.
type Config struct {
	Name      string       // our node name
	NodeID    string       // our node id
	ClusterID string       // cluster that both ends of a link must belong to
	Secret    []byte       // proves membership; never sent
	Listener  net.Listener // forward port, open; owned by the mesh from Open on. Its Accept fails only when it is closed
	Handler   Handler
	TLS       *tls.Config   // of all links, for both sides; nil: links prove who they are, but are not encrypted
	Faults    Faults        // nil: none
	Hold      time.Duration // how long frames for an unreachable peer are kept; default 15 s
	QueueMax  int           // bytes kept per peer; default 32 MiB
	Logger    *slog.Logger  // nil: discard
}

// ErrClosed is what is returned after Close.
var ErrClosed = errors.New("links are closed")
