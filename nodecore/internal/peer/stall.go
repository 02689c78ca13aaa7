package peer

import "time"

// How long a peer that handles nothing of what is queued for it is waited for. After that nothing waits for it until it has
// handled a frame again.
const (
	suspectTime = time.Second     // by frames without Hold
	answerTime  = 3 * time.Second // by frames with Hold; they are kept for Config.Hold still
)

// stallState is who waits for a peer.
type stallState int

const (
	answering  stallState = iota // all do
	suspected                    // only frames with Hold do
	unanswered                   // nobody does
)

// stall watches whether a peer handles what is queued for it, whatever its connection looks like. All is guarded by link.mu.
type stall struct {
	l     *link
	state stallState
	since time.Time   // of the last frame that was handled, or of the first one that is queued
	timer *time.Timer // runs while there is something queued, unless the state is unanswered
}

// queuedLocked is called with every frame that is queued.
func (s *stall) queuedLocked() {
	if s.l.q.items.Len() == 1 {
		s.since = time.Now()
	}
	s.armLocked()
}

// armLocked starts the timer for the next state.
func (s *stall) armLocked() {
	if s.timer == nil && s.state != unanswered && !s.l.closed {
		s.l.wg.Add(1)
		s.timer = time.AfterFunc(s.left(), s.check)
	}
}

// handledLocked is called when the peer has handled a frame.
func (s *stall) handledLocked() {
	s.state, s.since = answering, time.Now()
	if s.l.q.items.Len() > 0 {
		s.armLocked()
	}
}

// left is the time until the next state.
func (s *stall) left() time.Duration {
	limit := suspectTime
	if s.state == suspected {
		limit = min(answerTime, s.l.m.cfg.Hold)
	}
	return time.Until(s.since.Add(limit))
}

// stopLocked is called when the link is closed.
func (s *stall) stopLocked() {
	if s.timer != nil && s.timer.Stop() {
		s.l.wg.Done()
	}
	s.timer = nil
}

// check moves to the next state if the time has come.
func (s *stall) check() {
	l := s.l
	defer l.wg.Done()
	var done []Waiter
	l.mu.Lock()
	s.timer = nil
	if l.closed || l.q.items.Len() == 0 {
		l.mu.Unlock()
		return
	}
	if s.left() <= 0 {
		s.state++
		done = l.q.releaseWaiters(s.state == unanswered)
	}
	s.armLocked()
	l.mu.Unlock()
	if len(done) > 0 {
		l.m.log.Warn("peer handles nothing, and is not waited for", "peer", l.name, "frames", len(done))
	}
	call(done, false)
}

// waitsLocked says whether a frame is to be waited for.
func (s *stall) waitsLocked(f *Frame) bool {
	return s.state == answering || s.state == suspected && f.Hold
}
