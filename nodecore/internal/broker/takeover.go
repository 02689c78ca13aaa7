package broker

import (
	"context"
	"encoding/binary"
	"slices"
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

// askAgainTime is how long a node that runs is waited for if its link is down.
const askAgainTime = 500 * time.Millisecond

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
	*acceptance // all answers
	s           *session

	mu      sync.Mutex
	waiting map[string]struct{} // nodes that are still to answer
	from    []string            // nodes that had the session, and
	states  []sessionState      // in what state
	newer   bool
	missing bool // somebody couldn't be asked, or didn't answer, and may have the session too
}

// answers says whether a node's answer, or that there will be none, is the one that is waited for. A lost link may bring both.
func (c *takeover) answers(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[name]
	delete(c.waiting, name)
	return ok
}

// unanswered notes that there will be no answer.
func (c *takeover) unanswered() {
	c.mu.Lock()
	c.missing = true
	c.mu.Unlock()
	c.Done(false)
}

// takeover tells all nodes that the client is connected here now, and takes over the session that one of them may have. With
// clean, sessions are ended instead. The session's connecting lock is held; epoch is when the client connected here before.
func (tk *takeovers) takeover(s *session, at, epoch stamp, clean bool) {
	c := &takeover{acceptance: newAcceptance(), s: s, waiting: map[string]struct{}{}}
	c.more()
	tk.Lock()
	tk.last++
	id := tk.last
	tk.open[id] = c
	tk.Unlock()
	body := binary.BigEndian.AppendUint64(nil, id)
	body = appendBool(at.append(appendString(body, s.id)), clean)
	for _, name := range tk.b.mesh.Peers() {
		c.more()
		c.mu.Lock()
		c.waiting[name] = struct{}{}
		c.mu.Unlock()
		tk.ask(c, name, body, false)
	}
	c.Done(true)
	late := !tk.await(c.acceptance)
	tk.Lock()
	delete(tk.open, id)
	tk.Unlock()
	c.mu.Lock()
	c.missing = c.missing || late
	c.mu.Unlock()
	tk.conclude(c, epoch, clean)
}

// ask puts the question to a node. One that membership takes for running is asked again if its link is down, and waited for a little.
func (tk *takeovers) ask(c *takeover, name string, body []byte, again bool) {
	f := peer.Frame{Kind: frameTakeover, Body: body, Hold: again}
	unanswered := func() {
		if c.answers(name) { // else the answer counts
			c.unanswered()
		}
	}
	var late *timer
	if again {
		late = tk.b.after(askAgainTime, unanswered)
	}
	f.Waiter = peer.DoneFunc(func(ok bool) {
		late.stop()
		switch {
		case ok:
		case again || !tk.b.mesh.Alive(name):
			unanswered()
		default:
			tk.b.background.Go(func() { tk.ask(c, name, body, true) })
		}
	})
	tk.b.mesh.Send(name, f)
}

// await is false if not all is accepted in time.
func (tk *takeovers) await(a *acceptance) bool {
	ctx, cancel := context.WithTimeout(tk.b.ctx, takeoverTime)
	defer cancel()
	select {
	case <-a.all:
		return true
	case <-ctx.Done():
		return false
	}
}

// conclude makes of the answers what they say.
func (tk *takeovers) conclude(c *takeover, epoch stamp, clean bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, routes := c.s, newAcceptance()
	routes.more()
	stub := tk.b.sessions.getMoved(s.id)
	if stub != nil {
		c.states = append(c.states, stub.exportMoved()...)
	}
	slices.SortStableFunc(c.states, func(x, y sessionState) int { return y.stamp.compare(x.stamp) })
	tk.b.store.Together(func() {
		s.mu.Lock()
		switch {
		case c.newer:
			s.endLocked()
		case clean:
		default:
			s.takeOverLocked(c.states, epoch, routes)
			s.from = append(s.from, c.from...)
		}
		if c.missing && !s.gone {
			s.dedupLocked()
		} else if len(c.from) == 0 && s.dedup != nil && time.Now().After(s.dedup.until) {
			s.dedup = nil
		}
		s.mu.Unlock()
		if stub != nil && !c.newer {
			stub.settle()
		}
	})
	routes.Done(true)
	tk.await(routes)
}

// takeOverLocked makes the newest state that of the session, and adds what older ones have that it doesn't come from.
func (s *session) takeOverLocked(states []sessionState, epoch stamp, w waits) {
	if s.gone || len(states) == 0 {
		return
	}
	var mine []delivery
	if s.durable() && epoch.compare(states[0].stamp) < 0 { // another node has had it since
		if states[0].based.compare(epoch) < 0 {
			mine = append(s.outbox.unacknowledgedLocked(), s.outbox.queuedLocked()...)
		}
		s.outbox.clearLocked()
		s.expiry = 0
	}
	for _, st := range states {
		s.importLocked(st, w)
	}
	s.addLocked(mine, false)
}

// settle tells the nodes that had the session that it is stored here.
func (tk *takeovers) settle(s *session) {
	s.mu.Lock()
	from := s.from
	s.from = nil
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
		if s = tk.b.sessions.getMoved(client); s == nil {
			return answerUnknown
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.moved != "":
		return s.releaseMovedLocked(to, at, clean, send)
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
	s.sendLocked(to, send)
	s.moveLocked(to, at)
	return answerMoved
}

// releaseMovedLocked is release for a session that has moved to a node that may not have stored it.
func (s *session) releaseMovedLocked(to string, at stamp, clean bool, send func(state []byte)) (kind byte) {
	switch {
	case s.settled:
		return answerUnknown
	case s.movedAt.compare(at) > 0:
		return answerNewer
	case clean:
		s.settleLocked()
		return answerUnknown
	}
	s.sendLocked(to, send)
	s.moved, s.movedAt = to, at
	s.saveLocked()
	s.forwardForLocked(forwardTime)
	return answerMoved
}

// sendLocked sends the whole session to another node.
func (s *session) sendLocked(to string, send func(state []byte)) {
	parts := s.exportLocked()
	send(parts[0].append(nil))
	for i := range parts[1:] {
		s.b.tell(to, frameHandOver, parts[1+i].append(nil), nil)
	}
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
			return tk.handedOver(from, r)
		}
		return nil
	}
	defer c.Done(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case answerMoved:
		st := r.sessionState()
		if r.bad {
			c.missing = true
			return errMalformed
		}
		c.from, c.states = append(c.from, from), append(c.states, st)
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

// handedOver adds what another node had for a session to the session here.
func (tk *takeovers) handedOver(from string, r *reader) error {
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
		case st.expiry > 0 && (s.fresh || !s.clean): // its node has come back, maybe while the client is connecting
			s.importLocked(st, nil)
		case !s.clean:
			s.addLocked(st.messages, st.stamp.t != 0)
		}
		if st.expiry > 0 {
			s.from = append(s.from, from)
			tk.b.background.Go(func() {
				if tk.b.store.Wait(tk.b.store.Number()) == nil {
					tk.settle(s)
				}
			})
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
	if s != nil {
		s.settle()
	}
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
