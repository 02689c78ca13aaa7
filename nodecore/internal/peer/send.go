package peer

import "time"

// backpressurePart: a queue longer than Config.QueueMax/backpressurePart makes senders wait. It is much less than the whole, since
// what the queues of all nodes hold still arrives after a client there has asked for a pause.
const backpressurePart = 32

// send queues a frame, once its sender has waited for room.
func (l *link) send(f Frame) {
	if n := len(f.Head) + len(f.Body); n > MaxFrame { // it would break every connection anew
		l.m.log.Error("frame for a peer is too large, and dropped", "peer", l.name, "kind", f.Kind, "bytes", n)
		if f.Waiter != nil {
			f.Waiter.Done(false)
		}
		return
	}
	for {
		room, first := l.push(f)
		if room == nil {
			return
		}
		l.await(room, first, f)
	}
}

// push queues a frame, or drops it, or returns what its sender is to wait for, and the queue's first frame of the moment.
func (l *link) push(f Frame) (room <-chan struct{}, first uint64) {
	done := f.Waiter
	l.mu.Lock()
	if l.mustWaitLocked(f) {
		defer l.mu.Unlock()
		if l.room == nil {
			l.room = make(chan struct{})
		}
		return l.room, l.q.first()
	}
	limit := l.m.cfg.QueueMax
	if f.Lossy {
		limit /= 2
	}
	switch {
	case l.closed, l.expired && !f.Keep, l.q.bytes+f.size() > limit:
		l.dropLocked(f)
		l.mu.Unlock()
		if done != nil {
			done.Done(false)
		}
		return nil, 0
	case l.expired, l.state == down && !f.Hold, !l.stall.waitsLocked(&f):
		f.Waiter = nil
	default:
		done = nil
	}
	l.q.push(f)
	l.stall.queuedLocked()
	l.startLocked()
	l.mu.Unlock()
	signal(l.wake)
	if done != nil {
		done.Done(false)
	}
	return nil, 0
}

// mustWaitLocked says whether the queue is so long that the frame's sender has to wait.
func (l *link) mustWaitLocked(f Frame) bool {
	switch {
	case f.Sender == nil, l.q.bytes <= l.m.cfg.QueueMax/backpressurePart, l.closed, l.expired, !f.Hold && (l.state != up || l.stalled):
		return false
	}
	select {
	case <-f.Sender.Ended():
		return false
	default:
		return true
	}
}

// await returns when there may be room. A frame that isn't held waits for a queue that moves only.
func (l *link) await(room <-chan struct{}, first uint64, f Frame) {
	var late <-chan time.Time
	if !f.Hold {
		t := time.NewTimer(waitTimeout)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-room:
	case <-f.Sender.Ended():
	case <-late:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.q.first() == first {
			l.stalled = true
			l.roomLocked()
		}
	}
}

// roomLocked wakes all senders that wait for room.
func (l *link) roomLocked() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// dropLocked counts a frame that is not taken. If the peer will miss it, it is to be synchronised again.
func (l *link) dropLocked(f Frame) {
	if l.closed || f.Kind == kindSkip {
		return
	}
	if l.q.dropped++; l.q.dropped == 1 {
		l.m.log.Warn("frames for a peer are dropped", "peer", l.name, "queued_bytes", l.q.bytes)
	}
	l.resync = l.resync || !f.Lossy
	l.reconnectLocked()
}

// hasRoomLocked says whether there is room for all who wait for it.
func (l *link) hasRoomLocked() bool { return l.q.bytes < l.m.cfg.QueueMax/backpressurePart/2 }

// reconnectLocked closes the connection to a peer that misses frames: after the next handshake Handler.Met sends the state again.
// Not while the queue is long, since that would be dropped too.
func (l *link) reconnectLocked() {
	if l.resync && l.conn != nil && l.hasRoomLocked() {
		l.conn.Close()
	}
}

// handledLocked takes note that the peer has handled all up to last, and adds those who wait for that to done.
func (l *link) handledLocked(last uint64, done []Waiter) []Waiter {
	first := l.q.first()
	done = l.q.ack(last, done)
	if l.q.first() != first || l.q.items.Len() == 0 {
		l.stopHoldLocked()
		l.stall.handledLocked()
	}
	if l.hasRoomLocked() {
		l.stalled = false
		l.roomLocked()
		l.reconnectLocked()
	}
	return done
}
