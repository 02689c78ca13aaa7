package broker

import (
	"slices"
	"time"
)

// lostIDs is how many packet ids are left out after a kill: those of the last moments were not on disk yet, and the client may hold
// them.
const lostIDs = 4096

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
	s.rest.stop()
	s.sigh.stop()
	s.rest, s.sigh = nil, nil
}

// restLocked starts the time that a session has without a connection, and that of its will.
func (s *session) restLocked() {
	if s.b.ctx.Err() != nil {
		return
	}
	s.stopTimersLocked()
	if s.expiry != never {
		at := s.stamp
		s.rest = s.b.after(time.Until(s.away.Add(time.Duration(s.expiry)*time.Second)), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.conn == nil && s.stamp == at {
				s.endLocked()
			}
		})
	}
	if w := s.will; w != nil {
		s.sigh = s.b.after(w.delay, func() {
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
	s.unsubscribeAllLocked()
	s.bequeathLocked()
	s.dropLocked()
	b := s.b
	b.mu.Lock()
	if b.sessions[s.id] == s {
		delete(b.sessions, s.id)
	}
	b.mu.Unlock()
}

// bequeathLocked publishes the will of a session that ends. What groups have sent to it goes to their other members.
func (s *session) bequeathLocked() {
	b, w := s.b, s.will
	s.will = nil
	var left []delivery
	shared := func(d *delivery) bool {
		if d.share != "" && d.qos > 0 {
			left = append(left, *d)
		}
		return true
	}
	for _, d := range s.flownLocked() {
		shared(&d)
	}
	s.queue.All(shared)
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

// flownLocked is the messages that were sent and not received for sure, in order.
func (s *session) flownLocked() (all []delivery) {
	s.flights.All(func(f *flight) bool {
		if !f.released {
			all = append(all, f.delivery)
		}
		return true
	})
	return all
}

// dropLocked drops the messages, and all that is on disk.
func (s *session) dropLocked() {
	s.clearLocked()
	if s.saved {
		s.b.store.DeleteSession(s.id)
		s.saved = false
	}
}

// redeliver gives a message of a group to another member.
func (b *Broker) redeliver(d delivery) {
	for _, f := range b.route(nil, d.m, 0, d.share) {
		switch {
		case !slices.Contains(f.shares, d.share):
		case f.peer == "":
			b.share(d.share, d.m, 0, nil, nil)
		default:
			b.forward(forward{peer: f.peer, keep: f.keep, shares: []string{d.share}}, d.m, nil, 0, new([]byte), nil, nil)
		}
	}
}

// moveLocked leaves the session to another node. Messages that still come here for it are passed on until that node says that it gets
// them all, or passTime is over.
func (s *session) moveLocked(to string) {
	s.gone, s.moved = true, to
	s.stopTimersLocked()
	s.dropLocked()
	s.saveLocked()
	b := s.b
	b.mu.Lock()
	delete(b.sessions, s.id)
	old := b.stubs[s.id]
	b.stubs[s.id] = s
	b.mu.Unlock()
	if old != nil {
		b.background.Go(func() { // its lock comes after ours in no order
			old.mu.Lock()
			defer old.mu.Unlock()
			old.dissolveLocked()
		})
	}
	s.passLocked(passTime)
}

// passLocked passes messages on for so long.
func (s *session) passLocked(d time.Duration) {
	s.stopTimersLocked()
	if s.moved == "" || s.b.ctx.Err() != nil {
		return
	}
	s.rest = s.b.after(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dissolveLocked()
	})
}

// dissolveLocked ends the passing on of messages.
func (s *session) dissolveLocked() {
	if s.moved == "" {
		return
	}
	s.stopTimersLocked()
	s.unsubscribeAllLocked()
	s.moved = ""
	b := s.b
	if s.saved && !s.backLocked() {
		b.store.DeleteSession(s.id)
	}
	b.mu.Lock()
	if b.stubs[s.id] == s {
		delete(b.stubs, s.id)
	}
	b.mu.Unlock()
}

// backLocked says whether the client has a session here again, after an older one has moved. The record on disk is its.
func (s *session) backLocked() bool {
	s.b.mu.RLock()
	defer s.b.mu.RUnlock()
	return s.b.sessions[s.id] != nil
}

// saveLocked keeps on disk what the session needs after a restart; its messages are there already.
func (s *session) saveLocked() {
	switch {
	case s.moved != "" && s.backLocked():
	case s.moved != "":
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
func (s *session) storeLocked() {
	s.queue.All(func(d *delivery) bool {
		if d.qos > 0 && d.seq == 0 {
			d.seq = s.seqLocked()
			s.keepLocked(*d)
		}
		return true
	})
}

// load makes the sessions and retained messages that are on disk.
func (b *Broker) load() error {
	err := b.store.Sessions(func(client string, value []byte) error {
		r := reader{b: slices.Clone(value)}
		st := r.sessionState()
		if r.bad || st.id != client {
			b.log.Warn("stored session is not understood, and dropped", "client", client)
			b.store.DeleteSession(client)
			return nil
		}
		s := newSession(b, client)
		s.stamp, s.expiry, s.nextID, s.clean, s.saved = st.stamp, st.expiry, st.nextID, st.clean, true
		if st.away != 0 {
			s.away = time.UnixMilli(st.away)
		}
		b.clock.saw(st.stamp)
		if s.moved = st.moved; s.moved == "" {
			b.sessions[client] = s
		} else {
			s.gone, b.stubs[client] = true, s
		}
		for _, sub := range st.subs {
			s.subscribeLocked(sub, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.loadMessages(); err != nil {
		return err
	}
	return b.store.Retained(func(name string, value []byte) error {
		r := reader{b: value}
		if k := r.kept(); !r.bad {
			b.clock.saw(k.at)
			b.retained.setLocked(name, k)
		}
		return nil
	})
}

// reload takes over a record of the session; false if it is not understood.
func (s *session) reload(seq uint64, value []byte) bool {
	r := reader{b: value}
	switch r.byte() {
	case recordReceived:
		s.receivedLocked(r.uint16(), seq)
		return !r.bad
	case recordReleased:
		s.nextID = r.uint16()
		s.flights.Push(flight{delivery: delivery{id: s.nextID, qos: 2, seq: seq}, released: true})
		return !r.bad
	}
	d, err := parseDelivery(value)
	if err != nil {
		return false
	}
	if d.seq, d.dup = seq, d.id != 0; d.dup {
		s.nextID = d.id // they were sent in this order
	}
	s.queue.Push(d)
	s.bytes += d.m.size()
	return true
}

// loadMessages puts the stored messages into the sessions.
func (b *Broker) loadMessages() error {
	err := b.store.Messages(func(client string, seq uint64, value []byte) error {
		s := b.sessions[client]
		if s == nil {
			b.store.DeleteMessage(client, seq)
			return nil
		}
		s.nextSeq = max(s.nextSeq, seq+1)
		if !s.reload(seq, value) {
			b.log.Warn("stored message is not understood, and dropped", "client", client)
			b.store.DeleteMessage(client, seq)
		}
		return nil
	})
	for _, s := range b.sessions {
		s.mu.Lock()
		if s.away.IsZero() { // it was connected when the node was killed
			s.away = time.Now()
			s.nextID += lostIDs
		}
		s.restLocked()
		s.mu.Unlock()
	}
	for _, s := range b.stubs {
		s.mu.Lock()
		s.passLocked(passTime)
		s.mu.Unlock()
	}
	return err
}
