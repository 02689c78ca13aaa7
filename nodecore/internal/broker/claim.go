package broker

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/peer"
)

const (
	claimTime = 3 * time.Second  // for the answers of all nodes that can be reached
	passTime  = 20 * time.Second // for which messages are passed on to a session that has moved, more than peers are waited for
	graceTime = time.Second      // likewise, once all nodes that can be reached know where it is
)

// Answers to a claim.
const (
	claimUnknown byte = iota
	claimMoved        // the session's state follows
	claimNewer        // the client has connected there since
)

// claims are the questions about clients that are not answered yet.
type claims struct {
	sync.Mutex
	last uint64
	open map[uint64]*claim
}

type claim struct {
	*acceptance // of the claim by all nodes, and of what became known by the answers
	s           *session

	mu      sync.Mutex
	waiting map[string]struct{} // nodes that are still to answer
	from    []string            // nodes that had the session
	newer   bool
}

// answers says whether a node's answer, or that there will be none, is the one that is waited for. A lost link may bring both.
func (c *claim) answers(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[name]
	delete(c.waiting, name)
	return ok
}

// claim tells all nodes that the client is connected here now, and takes over the session that one of them may have. With
// clean, sessions are ended instead. The session's turn is held.
func (b *Broker) claim(s *session, at stamp, clean bool) {
	c := &claim{acceptance: newAcceptance(), s: s, waiting: map[string]struct{}{}}
	c.more()
	b.claims.Lock()
	b.claims.last++
	id := b.claims.last
	b.claims.open[id] = c
	b.claims.Unlock()
	body := binary.BigEndian.AppendUint64(nil, id)
	body = appendBool(at.append(appendString(body, s.id)), clean)
	missing := false
	for _, name := range b.mesh.Peers() {
		missing = missing || !b.mesh.Reachable(name)
		c.more()
		c.mu.Lock()
		c.waiting[name] = struct{}{}
		c.mu.Unlock()
		b.mesh.Send(name, peer.Frame{Kind: frameClaim, Body: body, Waiter: peer.DoneFunc(func(ok bool) {
			if !ok && c.answers(name) { // else the answer counts
				c.Done(false)
			}
		})})
	}
	c.Done(true)
	ctx, cancel := context.WithTimeout(b.ctx, claimTime)
	defer cancel()
	select {
	case <-c.all:
	case <-ctx.Done():
		missing = true
	}
	b.claims.Lock()
	delete(b.claims.open, id)
	b.claims.Unlock()
	b.conclude(c, missing)
}

// conclude makes of the answers what they say. missing says that somebody couldn't be asked, and may have the session too.
func (b *Broker) conclude(c *claim, missing bool) {
	c.mu.Lock()
	from, newer := c.from, c.newer
	c.mu.Unlock()
	s := c.s
	s.mu.Lock()
	switch {
	case newer:
		s.endLocked()
	case missing:
		s.rememberLocked()
	case len(from) == 0 && s.seen != nil && time.Now().After(s.seen.until):
		s.seen = nil
	}
	s.mu.Unlock()
	for _, name := range from {
		b.tell(name, frameSettled, appendString(nil, s.id), nil)
	}
}

// claimed handles another node's claim.
func (b *Broker) claimed(from string, r *reader) error {
	id, client, at, clean := r.uint64(), r.string(), r.stamp(), r.bool()
	if r.bad {
		return errMalformed
	}
	b.clock.saw(at)
	answer := binary.BigEndian.AppendUint64(nil, id)
	kind := b.yield(from, client, at, clean, func(state []byte) {
		b.tell(from, frameClaimed, append(append(answer, claimMoved), state...), nil)
	})
	if kind != claimMoved {
		b.tell(from, frameClaimed, append(answer, kind), nil)
	}
	return nil
}

// yield gives up a client's session, if there is one here, to a node where the client connected later. If it moves, its state
// is sent, before any message that comes here for it later.
func (b *Broker) yield(to, client string, at stamp, clean bool, send func(state []byte)) (kind byte) {
	b.mu.RLock()
	s := b.sessions[client]
	b.mu.RUnlock()
	if s == nil {
		return claimUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return claimUnknown
	case s.stamp.compare(at) > 0:
		return claimNewer
	}
	if s.conn != nil {
		s.conn.end(packets.ErrSessionTakenOver)
	}
	if clean || !s.durable() {
		s.endLocked()
		return claimUnknown
	}
	if s.will = nil; s.conn != nil { // the client is back before the delay is over
		s.conn.spareWill()
	}
	parts := s.exportLocked()
	send(parts[0])
	for _, rest := range parts[1:] {
		b.tell(to, frameHandOver, rest, nil)
	}
	s.moveLocked(to)
	return claimMoved
}

// claimAnswer handles the answer to a claim. One that comes too late is a handover.
func (b *Broker) claimAnswer(from string, r *reader) error {
	id, kind := r.uint64(), r.byte()
	if r.bad {
		return errMalformed
	}
	b.claims.Lock()
	c := b.claims.open[id]
	b.claims.Unlock()
	if c == nil || !c.answers(from) {
		if kind == claimMoved {
			return b.handedOver(r)
		}
		return nil
	}
	defer c.Done(true)
	if kind == claimMoved {
		st := r.sessionState()
		if r.bad {
			return errMalformed
		}
		c.s.mu.Lock()
		c.s.importLocked(st, c)
		c.s.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case claimMoved:
		c.from = append(c.from, from)
	case claimNewer:
		c.newer = true
	}
	return nil
}

// listSessions tells a peer which sessions are here, so that of those that are on both, the older one yields.
func (b *Broker) listSessions(name string) {
	b.mu.RLock()
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.RUnlock()
	var body []byte
	for i, s := range all {
		s.mu.Lock()
		if !s.gone && s.stamp.t != 0 {
			body = s.stamp.append(appendString(body, s.id))
		}
		s.mu.Unlock()
		if len(body) > chunkMax || len(body) > 0 && i == len(all)-1 {
			b.mesh.Send(name, peer.Frame{Kind: frameSessions, Body: body, Must: true})
			body = nil
		}
	}
}

// sessionsOf handles another node's list.
func (b *Broker) sessionsOf(from string, r *reader) error {
	for len(r.b) > 0 && !r.bad {
		client, at := r.string(), r.stamp()
		if r.bad {
			break
		}
		b.clock.saw(at)
		send := func(state []byte) { b.tell(from, frameHandOver, state, nil) }
		if b.yield(from, client, at, false, send) == claimNewer {
			b.mu.RLock()
			s := b.sessions[client]
			b.mu.RUnlock()
			if s != nil {
				s.mu.Lock()
				at := s.stamp
				s.mu.Unlock()
				b.tell(from, frameSessions, at.append(appendString(nil, client)), nil)
			}
		}
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// handOver sends messages of a session that has moved to the node where it is now.
func (b *Broker) handOver(to, client string, hops byte, all []delivery) {
	st := sessionState{id: client, hops: hops, messages: all}
	b.mesh.Send(to, peer.Frame{Kind: frameHandOver, Body: st.append(nil), Keep: true})
}

// handedOver adds messages that came for a session elsewhere to the session here.
func (b *Broker) handedOver(r *reader) error {
	st := r.sessionState()
	if r.bad {
		return errMalformed
	}
	b.mu.RLock()
	s, stub := b.sessions[st.id], b.stubs[st.id]
	b.mu.RUnlock()
	switch {
	case s != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.fresh && st.expiry > 0: // its node has come back while the client is connecting
			s.importLocked(st, nil)
		case !s.clean:
			s.addLocked(st.messages)
		}
	case stub != nil && st.hops < maxHops:
		stub.mu.Lock()
		to := stub.moved
		stub.mu.Unlock()
		b.handOver(to, st.id, st.hops+1, st.messages)
	}
	return nil
}

// settled handles the news that a session that moved away gets all its messages where it is now.
func (b *Broker) settled(r *reader) error {
	client := r.string()
	if r.bad {
		return errMalformed
	}
	b.mu.RLock()
	s := b.stubs[client]
	b.mu.RUnlock()
	for _, name := range b.mesh.Peers() {
		if !b.mesh.Up(name) {
			return nil // it may have messages for the session that were sent here before
		}
	}
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.passLocked(graceTime) // for what is on its way
	}
	return nil
}
