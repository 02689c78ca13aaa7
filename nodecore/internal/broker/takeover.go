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
	tk.b.wills.back(s.id, at, clean)
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
		c.states = append(c.states, stub.move.exportMoved()...)
	}
	slices.SortStableFunc(c.states, func(x, y sessionState) int { return y.stamp.compare(x.stamp) })
	tk.b.store.Together(func() {
		s.mu.Lock()
		switch {
		case c.newer:
			s.endLocked()
		case clean:
		default:
			s.move.takeOverLocked(c.states, epoch, routes)
			s.move.from = append(s.move.from, c.from...)
		}
		if c.missing && !s.gone {
			s.dedupLocked()
		} else if len(c.from) == 0 && s.dedup != nil && time.Now().After(s.dedup.until) {
			s.dedup = nil
		}
		s.mu.Unlock()
		if stub != nil && !c.newer {
			stub.move.settle()
		}
	})
	routes.Done(true)
	tk.await(routes)
}

// takeOverLocked makes the newest state that of the session, and adds what older ones have that it doesn't come from.
func (mv *moving) takeOverLocked(states []sessionState, epoch stamp, w waits) {
	if mv.s.gone || len(states) == 0 {
		return
	}
	var mine []delivery
	if mv.s.durable() && epoch.compare(states[0].stamp) < 0 && !mv.voidLocked(states[0]) { // another node has had it since
		if states[0].based.compare(epoch) < 0 {
			mine = append(mv.s.outbox.unacknowledgedLocked(), mv.s.outbox.queuedLocked()...)
		}
		mv.s.outbox.clearLocked()
		mv.s.expiry = 0
	}
	for _, st := range states {
		mv.importLocked(st, w)
	}
	mv.s.addLocked(mine, false)
}

// settle tells the nodes that had the session that it is stored here.
func (tk *takeovers) settle(s *session) {
	s.mu.Lock()
	from := s.move.from
	s.move.from = nil
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
	tk.b.wills.back(client, at, clean)
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
	case s.move.to != "":
		return s.move.releaseMovedLocked(to, at, clean, send)
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
	s.move.sendLocked(to, send)
	s.move.moveLocked(to, at)
	return answerMoved
}

// releaseMovedLocked is release for a session that has moved to a node that may not have stored it.
func (mv *moving) releaseMovedLocked(to string, at stamp, clean bool, send func(state []byte)) (kind byte) {
	switch {
	case mv.settled:
		return answerUnknown
	case mv.at.compare(at) > 0:
		return answerNewer
	case clean:
		mv.settleLocked()
		return answerUnknown
	}
	mv.sendLocked(to, send)
	mv.to, mv.at = to, at
	mv.s.saveLocked()
	mv.forwardForLocked(forwardTime)
	return answerMoved
}

// sendLocked sends the whole session to another node.
func (mv *moving) sendLocked(to string, send func(state []byte)) {
	parts := mv.s.exportLocked()
	send(parts[0].append(nil))
	for i := range parts[1:] {
		mv.s.b.tell(to, frameHandOver, parts[1+i].append(nil), nil)
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
