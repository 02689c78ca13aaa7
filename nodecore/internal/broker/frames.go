package broker

import (
	"encoding/binary"

	"onemore/nodecore/internal/peer"
)

// What nodes say to each other.
const (
	framePublish        byte = iota + 1 // a message, and what is to be done with it
	frameRoutes                         // filters that are wanted, or no longer, on the sending node
	frameOffer                          // digest of the sender's retained messages
	framePull                           // request for those that differ from a digest
	frameRetained                       // retained messages, and marks of removed ones
	framePulled                         // the end of the answer to a pull
	frameTakeover                       // a client has connected to the sending node
	frameTakeoverAnswer                 // answer: nothing known, the session's state, or a newer connection
	frameSessions                       // clients that have a session on the sending node
	frameHandOver                       // messages for a session that has moved to the receiving node
	frameSettled                        // a session that moved here gets its messages here: no need to pass them on
	frameStore                          // whether the sending node can store what it accepts
	frameWills                          // wills of the sending node's clients, or that one was published
)

// maxHops is how often a message of a group is passed on because its member has gone.
const maxHops = 3

// publishing is the head of a framePublish.
type publishing struct {
	plain    bool
	hops     byte
	retained *stamp
	shares   []string
}

// publishFrame is a frame with a message. Most frames of one message are the same; plain keeps their head for the next peer.
func publishFrame(m *message, f forward, retained *stamp, hops byte, plain *[]byte) peer.Frame {
	frame := peer.Frame{Kind: framePublish, Head: *plain, Body: m.payload}
	simple := f.plain && retained == nil && hops == 0 && len(f.shares) == 0
	if !simple || frame.Head == nil {
		head := make([]byte, 0, m.headSize())
		frame.Head = m.appendHead(appendPublishHead(head, f, retained, hops))
		if simple {
			*plain = frame.Head
		}
	}
	return frame
}

func appendPublishHead(b []byte, f forward, retained *stamp, hops byte) []byte {
	flags := byte(0)
	if f.plain {
		flags |= 1
	}
	if retained != nil {
		flags |= 2
	}
	b = append(b, flags, hops)
	if retained != nil {
		b = retained.append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(f.shares)))
	for _, s := range f.shares {
		b = appendString(b, s)
	}
	return b
}

func parsePublishHead(r *reader) (p publishing) {
	flags := r.byte()
	p.plain, p.hops = flags&1 != 0, r.byte()
	if flags&2 != 0 {
		at := r.stamp()
		p.retained = &at
	}
	for range r.count(1) {
		p.shares = append(p.shares, r.string())
	}
	return p
}

// tell sends a frame to a peer; w, if any, doesn't wait for one that can't be reached.
func (b *Broker) tell(to string, kind byte, body []byte, w waits) {
	// A pull answers an offer, which comes but once: the way back may still be given up when it arrives.
	f := peer.Frame{Kind: kind, Body: body, Keep: kind == frameTakeoverAnswer || kind == frameHandOver || kind == framePull}
	if w != nil {
		w.more()
		f.Waiter = w
	}
	b.mesh.Send(to, f)
}

// Receive handles a frame of another node; see peer.Handler.
func (b *Broker) Receive(from string, kind byte, body []byte, p peer.Delivery) {
	r := &reader{b: body}
	var err error
	switch kind {
	case framePublish:
		err = b.storing(from, p, func() error { return b.received(body, p) })
	case frameRoutes:
		err = b.routes.updateRoutes(from, r)
	case frameOffer:
		err = b.retained.offered(from, r)
	case framePull:
		err = b.retained.pulled(from, r)
	case frameRetained:
		err = b.storing(from, p, func() error { return b.retained.mergeRetained(r) })
	case framePulled:
		b.retained.answered(r.uint64())
	case frameTakeover:
		err = b.takeovers.takeoverAsked(from, r)
	case frameTakeoverAnswer:
		err = b.takeovers.takeoverAnswered(from, r)
	case frameSessions:
		err = b.takeovers.sessionsOf(from, r)
	case frameHandOver:
		err = b.storing(from, p, func() error { return b.takeovers.handedOver(from, r) })
	case frameStore:
		b.failing.set(from, r.bool())
	case frameWills:
		err = b.wills.told(from, r)
	case frameSettled:
		err = b.takeovers.settled(r)
	}
	if err != nil {
		b.log.Warn("frame of another node is not understood", "from", from, "kind", kind, "error", err)
	}
}

// Joined, Met and Left are peer.Handler's.

// Joined opens the link to a new member if there is anything that it should know.
func (b *Broker) Joined(name string) {
	b.synced.expect(name)
	if b.anything() {
		b.mesh.Connect(name)
	}
}

// Met tells a process that knows nothing of this node all that it should know.
func (b *Broker) Met(name string) {
	b.failing.set(name, false)
	b.failing.toldFailing(name, false) // it is told by the next Settle
	b.routes.announceAll(name)
	b.retained.offer(name)
	b.takeovers.listSessions(name)
	b.wills.tellAll(name)
}

// Left forgets what is known of a node.
func (b *Broker) Left(name string) {
	b.synced.done(name)
	b.wills.left(name)
	b.failing.set(name, false)
	b.failing.toldFailing(name, false)
	b.routes.dropRoutes(name)
}
