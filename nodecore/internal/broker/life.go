package broker

import (
	"slices"
	"time"
)

// skippedIDs is how many packet ids are left out after a kill: those of the last moments were not on disk yet, and the client may hold
// them.
const skippedIDs = 4096

// timer is a time.AfterFunc that Broker.Close waits for.
type timer struct {
	t *time.Timer
	b *Broker
}

// after calls f in d, unless the timer is stopped or the broker closed before.
func (b *Broker) after(d time.Duration, f func()) *timer {
	b.background.Add(1)
	return &timer{b: b, t: time.AfterFunc(d, func() {
		defer b.background.Done()
		if b.ctx.Err() == nil {
			f()
		}
	})}
}

// stop stops a timer; nil is none.
func (t *timer) stop() {
	if t != nil && t.t.Stop() {
		t.b.background.Done()
	}
}

func (s *session) stopTimersLocked() {
	s.expiryTimer.stop()
	s.willTimer.stop()
	s.expiryTimer, s.willTimer = nil, nil
}

// startTimersLocked starts the time that a session has without a connection, and that of its will.
func (s *session) startTimersLocked() {
	if s.b.ctx.Err() != nil {
		return
	}
	s.stopTimersLocked()
	if s.expiry != never {
		at := s.stamp
		s.expiryTimer = s.b.after(time.Until(s.away.Add(time.Duration(s.expiry)*time.Second)), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.conn == nil && s.stamp == at {
				s.endLocked()
			}
		})
	}
	if w := s.will; w != nil {
		s.willTimer = s.b.after(w.delay, func() {
			s.mu.Lock()
			due := s.will == w
			if due {
				s.will = nil
			}
			s.mu.Unlock()
			if due {
				s.b.publishWill(w)
			}
		})
	}
}

// endLocked ends the session here.
func (s *session) endLocked() {
	if s.gone {
		return
	}
	s.gone = true
	s.stopTimersLocked()
	s.subs.unsubscribeAllLocked()
	s.passOnLocked()
	s.dropLocked()
	s.b.sessions.remove(s)
}

// passOnLocked publishes the will of a session that ends. What groups have sent to it goes to their other members.
func (s *session) passOnLocked() {
	b, w := s.b, s.will
	s.will = nil
	var left []delivery
	shared := func(d *delivery) bool {
		if d.share != "" && d.qos > 0 {
			left = append(left, *d)
		}
		return true
	}
	for _, d := range s.outbox.unacknowledgedLocked() {
		shared(&d)
	}
	s.outbox.queue.All(shared)
	if w == nil && len(left) == 0 {
		return
	}
	b.background.Go(func() {
		b.publishWill(w)
		for _, d := range left {
			b.redeliver(d)
		}
	})
}

// unacknowledgedLocked is the messages that were sent and not received for sure, in order.
func (o *outbox) unacknowledgedLocked() (all []delivery) {
	o.inflight.All(func(f *inflightMessage) bool {
		if !f.released {
			all = append(all, f.delivery)
		}
		return true
	})
	return all
}

// dropLocked drops the messages, and all that is on disk.
func (s *session) dropLocked() {
	s.outbox.clearLocked()
	if s.saved {
		s.b.store.DeleteSession(s.id)
		s.saved = false
	}
}

// redeliver gives a message of a group to another member.
func (b *Broker) redeliver(d delivery) {
	for _, f := range b.routes.route(nil, d.m, 0, d.share) {
		switch {
		case !slices.Contains(f.shares, d.share):
		case f.peer == "":
			b.routes.share(d.share, d.m, 0, nil, nil)
		default:
			b.routes.forward(forward{peer: f.peer, durable: f.durable, shares: []string{d.share}}, d.m, nil, 1, new([]byte), nil, nil)
		}
	}
}

// moveLocked leaves the session to another node, where the client connected at that time. Messages that still come here for it are
// passed on until that node says that it gets them all, or forwardTime is over. Until it says that it has stored the session, what
// it was sent is kept here.
func (mv *moving) moveLocked(to string, at stamp) {
	mv.s.gone, mv.to, mv.at = true, to, at
	mv.s.stopTimersLocked()
	mv.s.saveLocked()
	b := mv.s.b
	if old := b.sessions.move(mv.s); old != nil {
		b.background.Go(func() { // its lock comes after ours in no order
			old.mu.Lock()
			defer old.mu.Unlock()
			old.move.settleLocked()
			old.move.stopForwardingLocked()
		})
	}
	mv.forwardForLocked(forwardTime)
}

// exportMoved is the session's state if it is not known to be stored elsewhere.
func (mv *moving) exportMoved() []sessionState {
	mv.s.mu.Lock()
	defer mv.s.mu.Unlock()
	if mv.to == "" || mv.settled {
		return nil
	}
	return mv.s.exportLocked()
}

// settle drops what is stored elsewhere now.
func (mv *moving) settle() {
	mv.s.mu.Lock()
	defer mv.s.mu.Unlock()
	mv.settleLocked()
}

func (mv *moving) settleLocked() {
	if mv.to == "" || mv.settled {
		return
	}
	mv.settled = true
	if mv.s.b.sessions.get(mv.s.id) != nil { // the packet ids in the store are its
		mv.s.inbox.uses = nil
	}
	mv.s.outbox.clearLocked()
	mv.s.saveLocked()
}

// forwardForLocked passes messages on for so long.
func (mv *moving) forwardForLocked(d time.Duration) {
	mv.s.stopTimersLocked()
	if mv.to == "" || mv.s.b.ctx.Err() != nil {
		return
	}
	mv.s.expiryTimer = mv.s.b.after(d, func() {
		mv.s.mu.Lock()
		defer mv.s.mu.Unlock()
		mv.stopForwardingLocked()
	})
}

// stopForwardingLocked ends the passing on of messages. A session that no other node is known to have stored is one of this node again.
func (mv *moving) stopForwardingLocked() {
	if mv.to == "" {
		return
	}
	mv.s.stopTimersLocked()
	if !mv.settled && mv.s.b.sessions.moveBack(mv.s) {
		mv.s.gone, mv.to = false, ""
		mv.s.saveLocked()
		mv.s.startTimersLocked()
		return
	}
	mv.settleLocked()
	mv.s.subs.unsubscribeAllLocked()
	mv.to = ""
	if mv.s.saved && mv.s.b.sessions.get(mv.s.id) == nil {
		mv.s.b.store.DeleteSession(mv.s.id)
	}
	mv.s.b.sessions.remove(mv.s)
}

// saveLocked keeps on disk what the session needs after a restart; its messages are there already.
func (s *session) saveLocked() {
	switch {
	case s.move.to != "" && s.b.sessions.get(s.id) != nil: // the client is here again; the record is that of its new session
	case s.move.to != "":
		st := s.stateLocked()
		s.b.store.PutSession(s.id, st.append(nil))
		s.saved = true
	case s.gone:
	case s.durable():
		st := s.stateLocked()
		s.b.store.PutSession(s.id, st.append(nil))
		s.saved = true
	case s.saved:
		s.b.store.DeleteSession(s.id)
		s.saved = false
	}
}

// storeLocked puts messages on disk that came before the session was durable.
func (o *outbox) storeLocked() {
	o.queue.All(func(d *delivery) bool {
		if d.qos > 0 && d.seq == 0 {
			d.seq = o.seqLocked()
			o.persistLocked(*d)
		}
		return true
	})
}

// load makes the sessions and retained messages that are on disk.
func (rg *registry) load() error {
	err := rg.b.store.Sessions(func(client string, value []byte) error {
		r := reader{b: slices.Clone(value)}
		st := r.sessionState()
		if r.bad || st.id != client {
			rg.b.log.Warn("stored session is not understood, and dropped", "client", client)
			rg.b.store.DeleteSession(client)
			return nil
		}
		s := newSession(rg.b, client)
		s.stamp, s.uid, s.expiry, s.outbox.nextID, s.clean, s.saved = st.stamp, st.uid, st.expiry, st.nextID, st.clean, true
		if st.away != 0 {
			s.away = time.UnixMilli(st.away)
		}
		rg.b.clock.saw(st.stamp)
		s.move.based, s.move.at, s.move.settled = st.based, st.movedAt, st.settled
		if s.move.to = st.moved; s.move.to == "" {
			rg.all[client] = s
		} else {
			s.gone, rg.moved[client] = true, s
		}
		for _, sub := range st.subs {
			s.subs.subscribeLocked(sub, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := rg.loadMessages(); err != nil {
		return err
	}
	return rg.b.store.Retained(func(name string, value []byte) error {
		r := reader{b: value}
		if k := r.retainedEntry(); !r.bad {
			rg.b.clock.saw(k.at)
			rg.b.retained.setLocked(name, k)
		}
		return nil
	})
}

// reload takes over a record of the session; false if it is not understood.
func (s *session) reload(seq uint64, value []byte) bool {
	r := reader{b: value}
	switch r.byte() {
	case recordReceived, recordPending, recordUsed:
		id := r.uint16()
		if s.inbox.uses == nil {
			s.inbox.uses = map[uint16]uint32{}
		}
		if s.inbox.uses[id] = uint32(r.uvarint()); value[0] != recordUsed {
			s.inbox.receivedLocked(id).again = value[0] == recordPending
		}
		return !r.bad
	case recordReleased:
		s.outbox.nextID = r.uint16()
		s.outbox.inflight.Push(inflightMessage{delivery: delivery{id: s.outbox.nextID, qos: 2, seq: seq}, released: true})
		return !r.bad
	}
	d, err := parseDelivery(value)
	if err != nil {
		return false
	}
	if d.seq, d.dup = seq, d.id != 0; d.dup {
		s.outbox.nextID = d.id // they were sent in this order
	}
	s.outbox.queue.Push(d)
	s.outbox.bytes += d.m.size()
	return true
}

// loadMessages puts the stored messages into the sessions.
func (rg *registry) loadMessages() error {
	err := rg.b.store.Messages(func(client string, seq uint64, value []byte) error {
		s := rg.all[client]
		if s == nil {
			s = rg.moved[client]
		}
		if s == nil {
			rg.b.store.DeleteMessage(client, seq)
			return nil
		}
		if seq < usesKey(0) {
			s.outbox.nextSeq = max(s.outbox.nextSeq, seq+1)
		}
		if !s.reload(seq, value) {
			rg.b.log.Warn("stored message is not understood, and dropped", "client", client)
			rg.b.store.DeleteMessage(client, seq)
		}
		return nil
	})
	for _, s := range rg.all {
		s.mu.Lock()
		if s.away.IsZero() { // it was connected when the node was killed
			s.away = time.Now()
			s.outbox.nextID += skippedIDs
		}
		s.startTimersLocked()
		s.mu.Unlock()
	}
	for _, s := range rg.moved {
		s.mu.Lock()
		s.move.forwardForLocked(forwardTime)
		s.mu.Unlock()
	}
	return err
}
