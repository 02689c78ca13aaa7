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
	takeoverTime = 3 * time.Second  // for the answers of all nodes that can be reached
	forwardTime  = 20 * time.Second // for which messages are passed on to a session that has moved, more than peers are waited for
	graceTime    = time.Second      // likewise, once all nodes that can be reached know where it is
)

// Answers to a takeover.
const (
	answerUnknown byte = iota
	answerMoved        // the session's state follows
	answerNewer        // the client has connected there since
)

// takeovers are the questions about clients that are not answered yet.
type takeovers struct {
	b *Broker

	sync.Mutex
	last uint64
	open map[uint64]*takeover
}

type takeover struct {
	*acceptance // of the takeover by all nodes, and of what became known by the answers
	s           *session

	mu      sync.Mutex
	waiting map[string]struct{} // nodes that are still to answer
	from    []string            // nodes that had the session
	newer   bool
}

// answers says whether a node's answer, or that there will be none, is the one that is waited for. A lost link may bring both.
func (c *takeover) answers(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[name]
	delete(c.waiting, name)
	return ok
}

// takeover tells all nodes that the client is connected here now, and takes over the session that one of them may have. With
// clean, sessions are ended instead. The session's connecting lock is held.
func (tk *takeovers) takeover(s *session, at stamp, clean bool) {
	c := &takeover{acceptance: newAcceptance(), s: s, waiting: map[string]struct{}{}}
	c.more()
	tk.Lock()
	tk.last++
	id := tk.last
	tk.open[id] = c
	tk.Unlock()
	body := binary.BigEndian.AppendUint64(nil, id)
	body = appendBool(at.append(appendString(body, s.id)), clean)
	missing := false
	for _, name := range tk.b.mesh.Peers() {
		missing = missing || !tk.b.mesh.Reachable(name)
		c.more()
		c.mu.Lock()
		c.waiting[name] = struct{}{}
		c.mu.Unlock()
		tk.b.mesh.Send(name, peer.Frame{Kind: frameTakeover, Body: body, Waiter: peer.DoneFunc(func(ok bool) {
			if !ok && c.answers(name) { // else the answer counts
				c.Done(false)
			}
		})})
	}
	c.Done(true)
	ctx, cancel := context.WithTimeout(tk.b.ctx, takeoverTime)
	defer cancel()
	select {
	case <-c.all:
	case <-ctx.Done():
		missing = true
	}
	tk.Lock()
	delete(tk.open, id)
	tk.Unlock()
	tk.conclude(c, missing)
}

// conclude makes of the answers what they say. missing says that somebody couldn't be asked, and may have the session too.
func (tk *takeovers) conclude(c *takeover, missing bool) {
	c.mu.Lock()
	from, newer := c.from, c.newer
	c.mu.Unlock()
	s := c.s
	s.mu.Lock()
	switch {
	case newer:
		s.endLocked()
	case missing:
		s.dedupLocked()
	case len(from) == 0 && s.dedup != nil && time.Now().After(s.dedup.until):
		s.dedup = nil
	}
	s.mu.Unlock()
	for _, name := range from {
		tk.b.tell(name, frameSettled, appendString(nil, s.id), nil)
	}
}

// takeoverAsked handles another node's takeover.
func (tk *takeovers) takeoverAsked(from string, r *reader) error {
	id, client, at, clean := r.uint64(), r.string(), r.stamp(), r.bool()
	if r.bad {
		return errMalformed
	}
	tk.b.clock.saw(at)
	answer := binary.BigEndian.AppendUint64(nil, id)
	kind := tk.release(from, client, at, clean, func(state []byte) {
		tk.b.tell(from, frameTakeoverAnswer, append(append(answer, answerMoved), state...), nil)
	})
	if kind != answerMoved {
		tk.b.tell(from, frameTakeoverAnswer, append(answer, kind), nil)
	}
	return nil
}

// release gives up a client's session, if there is one here, to a node where the client connected later. If it moves, its state
// is sent, before any message that comes here for it later.
func (tk *takeovers) release(to, client string, at stamp, clean bool, send func(state []byte)) (kind byte) {
	s := tk.b.sessions.get(client)
	if s == nil {
		return answerUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return answerUnknown
	case s.stamp.compare(at) > 0:
		return answerNewer
	}
	if s.conn != nil {
		s.conn.end(packets.ErrSessionTakenOver)
	}
	if clean || !s.durable() {
		s.endLocked()
		return answerUnknown
	}
	if s.will = nil; s.conn != nil { // the client is back before the delay is over
		s.conn.cancelDelayedWill()
	}
	parts := s.exportLocked()
	send(parts[0])
	for _, rest := range parts[1:] {
		tk.b.tell(to, frameHandOver, rest, nil)
	}
	s.moveLocked(to)
	return answerMoved
}

// takeoverAnswered handles the answer to a takeover. One that comes too late is a handover.
func (tk *takeovers) takeoverAnswered(from string, r *reader) error {
	id, kind := r.uint64(), r.byte()
	if r.bad {
		return errMalformed
	}
	tk.Lock()
	c := tk.open[id]
	tk.Unlock()
	if c == nil || !c.answers(from) {
		if kind == answerMoved {
			return tk.handedOver(r)
		}
		return nil
	}
	defer c.Done(true)
	if kind == answerMoved {
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
	case answerMoved:
		c.from = append(c.from, from)
	case answerNewer:
		c.newer = true
	}
	return nil
}

// listSessions tells a peer which sessions are here, so that of those that are on both, the older one is released.
func (tk *takeovers) listSessions(name string) {
	all := tk.b.sessions.list()
	var body []byte
	for i, s := range all {
		s.mu.Lock()
		if !s.gone && s.stamp.t != 0 {
			body = s.stamp.append(appendString(body, s.id))
		}
		s.mu.Unlock()
		if len(body) > chunkMax || len(body) > 0 && i == len(all)-1 {
			tk.b.mesh.Send(name, peer.Frame{Kind: frameSessions, Body: body, Must: true})
			body = nil
		}
	}
}

// sessionsOf handles another node's list.
func (tk *takeovers) sessionsOf(from string, r *reader) error {
	for len(r.b) > 0 && !r.bad {
		client, at := r.string(), r.stamp()
		if r.bad {
			break
		}
		tk.b.clock.saw(at)
		send := func(state []byte) { tk.b.tell(from, frameHandOver, state, nil) }
		if tk.release(from, client, at, false, send) == answerNewer {
			if s := tk.b.sessions.get(client); s != nil {
				s.mu.Lock()
				at := s.stamp
				s.mu.Unlock()
				tk.b.tell(from, frameSessions, at.append(appendString(nil, client)), nil)
			}
		}
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// handOver sends messages of a session that has moved to the node where it is now.
func (tk *takeovers) handOver(to, client string, hops byte, all []delivery) {
	st := sessionState{id: client, hops: hops, messages: all}
	tk.b.mesh.Send(to, peer.Frame{Kind: frameHandOver, Body: st.append(nil), Keep: true})
}

// handedOver adds messages that came for a session elsewhere to the session here.
func (tk *takeovers) handedOver(r *reader) error {
	st := r.sessionState()
	if r.bad {
		return errMalformed
	}
	s, stub := tk.b.sessions.get(st.id), tk.b.sessions.getMoved(st.id)
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
		tk.handOver(to, st.id, st.hops+1, st.messages)
	}
	return nil
}

// settled handles the news that a session that moved away gets all its messages where it is now.
func (tk *takeovers) settled(r *reader) error {
	client := r.string()
	if r.bad {
		return errMalformed
	}
	s := tk.b.sessions.getMoved(client)
	for _, name := range tk.b.mesh.Peers() {
		if !tk.b.mesh.Up(name) {
			return nil // it may have messages for the session that were sent here before
		}
	}
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forwardForLocked(graceTime) // for what is on its way
	}
	return nil
}
