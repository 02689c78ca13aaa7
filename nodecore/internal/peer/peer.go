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
	Alive bool   // whether membership reaches it at the moment; a hint that only speeds things up
}

// Handler takes what links bring. Its methods are called without locks held.
type Handler interface {
	// Receive handles one frame of a peer. Frames of one peer come one at a time, in order; returning
	// is the acceptance that the sender waits for, and all other frames wait for it. So it must not wait for anybody: the frame's
	// sender, wherever it is, can be made to wait by p. body and p are only valid during the call.
	Receive(from string, kind byte, body []byte, p Delivery)
	// Settle returns when what Receive has handled of a peer so far may be acknowledged; Settled says that it would return at once.
	Settle(from string)
	Settled() bool
	// Position is what Delivery.Position was for the last frame of a peer that was handled before this process started; 0 is none.
	// Frames up to it aren't handled again.
	Position(from string) (stream, seq uint64)
	// Joined says that a peer is new in the list; call Mesh.Connect if there is something to tell it.
	Joined(name string)
	// Met says that a process was met for the first time under this name (it is new, it was restarted,
	// or frames for it had to be given up): what it knew of us is gone, and so is, apart from what
	// is on its disk, what we knew of it. Frames sent from inside Met are the first that follow.
	Met(name string)
	// Left says that a peer is no longer a member.
	Left(name string)
}

// Frame is one message to a peer.
type Frame struct {
	Kind byte   // meaning of the frame, below KindOwn
	Head []byte // goes before Body, so that frames to several peers can share that
	Body []byte // like Head, it must not change from Send on
	// Hold keeps the Waiter waiting for a peer that is unreachable, or handles nothing, for up to answerTime. Without it, it is
	// done as soon as the peer is seen to be unreachable, or after suspectTime. The frame itself is kept for Config.Hold either
	// way. A peer that was waited for in vain isn't waited for again until it handles a frame.
	Hold bool
	// Keep keeps the frame for the peer beyond Config.Hold, within the queue's bounds.
	Keep bool
	// Lossy says that nobody minds if the frame is dropped because the queue is half full. Dropping any other frame makes
	// the peer be met again.
	Lossy bool
	// Must takes the frame however long the queue is, and doesn't count it: for the whole of what a peer should know, which would be
	// sent again if a part were lost, and is not more than this node has anyway.
	Must bool
	// Waiter, if set, hears once what became of the frame.
	Waiter Waiter
	// Sender, if set, is made to wait in Send when the queue is long: with Hold until there is room or Config.Hold is over, else
	// only while the queue moves. It also is what the peer's Handler can make wait.
	Sender Sender
}

// Pauser is somebody from whom too much comes.
type Pauser interface {
	// Pause asks for no more until resume is called, once. Neither blocks.
	Pause() (resume func())
}

// Delivery is a frame that is being handled. As a Pauser, it stands for the frame's sender.
type Delivery interface {
	Pauser
	// Position tells the frame from all others of the same peer.
	Position() (stream, seq uint64)
}

// Sender is somebody who sends frames, one at a time.
type Sender interface {
	Pauser
	// Ended is closed when there is no point in making it wait any more.
	Ended() <-chan struct{}
}

// Waiter waits for a frame to be handled.
type Waiter interface {
	// Done is called with true when the peer has handled the frame, and with false when it is no longer waited for. It must
	// not block, and it may be called before Send returns.
	Done(accepted bool)
}

// DoneFunc makes a Waiter of a function.
type DoneFunc func(accepted bool)

// Done calls f.
func (f DoneFunc) Done(accepted bool) { f(accepted) }

// Fault is what one direction between two nodes is to suffer, for tests of the cluster under bad networks.
type Fault struct {
	Blocked bool          // nothing gets through
	Delay   time.Duration // added to every batch of frames
	Drop    float64       // probability, 0..1, that a frame is lost on its way and has to be sent again
}

// Faults tells the faults of the moment between this node and a peer: out for what this node sends, in
// for what it receives. It is asked for every write and read, so it must be fast.
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
