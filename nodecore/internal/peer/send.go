package peer

import "time"

// longPart is which part of Config.QueueMax is so long that senders wait: much less than all, since what the queues of all nodes
// hold still comes when a client there has enough.
const longPart = 32

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
	if l.tooLongLocked(f) {
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
	case l.closed, l.given && !f.Keep, l.q.bytes+f.size() > limit:
		l.dropLocked(f)
		l.mu.Unlock()
		if done != nil {
			done.Done(false)
		}
		return nil, 0
	case l.given, l.state == down && !f.Hold:
		f.Waiter = nil
	default:
		done = nil
	}
	l.q.push(f)
	l.startLocked()
	l.mu.Unlock()
	signal(l.wake)
	if done != nil {
		done.Done(false)
	}
	return nil, 0
}

// tooLongLocked says whether the queue is so long that the frame's sender has to wait.
func (l *link) tooLongLocked(f Frame) bool {
	switch {
	case f.Sender == nil, l.q.bytes <= l.m.cfg.QueueMax/longPart, l.closed, l.given, !f.Hold && (l.state != up || l.stalled):
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

// roomLocked has all who wait look again.
func (l *link) roomLocked() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// dropLocked counts a frame that is not taken. If the peer will miss it, it is to be met anew.
func (l *link) dropLocked(f Frame) {
	if l.closed || f.Kind == kindSkip {
		return
	}
	if l.q.dropped++; l.q.dropped == 1 {
		l.m.log.Warn("frames for a peer are dropped", "peer", l.name, "queued_bytes", l.q.bytes)
	}
	l.lost = l.lost || !f.Lossy
	l.anewLocked()
}

// shortLocked says whether there is room for all who wait for it.
func (l *link) shortLocked() bool { return l.q.bytes < l.m.cfg.QueueMax/longPart/2 }

// anewLocked cuts the connection to a peer that misses something, since whoever comes back after a loss is met anew. While the
// queue is long, what is said then would be lost too.
func (l *link) anewLocked() {
	if l.lost && l.conn != nil && l.shortLocked() {
		l.conn.Close()
	}
}

// handledLocked takes note that the peer has handled all up to last, and adds those who wait for that to done.
func (l *link) handledLocked(last uint64, done []Waiter) []Waiter {
	first := l.q.first()
	done = l.q.ack(last, done)
	if l.q.first() != first || l.q.items.Len() == 0 {
		l.stopHoldLocked()
	}
	if l.shortLocked() {
		l.stalled = false
		l.roomLocked()
		l.anewLocked()
	}
	return done
}
