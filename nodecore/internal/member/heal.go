package member

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	healMin     = 50 * time.Millisecond  // pause after the first round that reached nobody
	healMax     = 400 * time.Millisecond // longest pause between rounds while somebody is missing
	healStopped = time.Second            // pause between rounds for those who are known to have ended
	healTries   = 8                      // members tried in one round
)

// healer finds members again that are not reached.
type healer struct{ *transition }

// run looks for members that are not reached, as long as there are any: a
// node that comes back, two halves of a cluster that were cut from each other.
// Gossip by itself never tries the dead again. It also is where a node acts when
// the others have removed it or take it for stopped.
func (h *healer) run() {
	h.meetFirst()
	pause := healMin
	for round := 0; h.ctx.Err() == nil; round++ {
		h.recoverSelf()
		lost, stopped := h.unreachable()
		switch {
		case h.reconnectSome(lost, round):
			pause = healMin
		case len(lost) > 0:
			h.waitUntil(pause+rand.N(pause/4), h.selfLost)
			pause = min(2*pause, healMax)
		case len(stopped) > 0: // they announce themselves when they come back; this is a fallback
			if !h.waitUntil(healStopped, h.workPending) {
				h.reconnectSome(stopped, round)
			}
			pause = healMin
		default:
			h.waitUntil(0, func() bool { return true })
			pause = healMin
		}
	}
}

// meetFirst reconnects to the members of the cluster that this node returns to,
// several at a time, until one has answered, and reports the arrival then, or
// when none does: one that is paused is waited for until dialTime is over.
func (h *healer) meetFirst() {
	if h.pending() {
		return // bootstrap reports it
	}
	lost, _ := h.unreachable()
	var found atomic.Bool
	met := func(a reply) bool {
		first := found.CompareAndSwap(false, true)
		if first {
			h.arrived(Arrival{Holders: a.Holders})
		}
		return first
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, healTries)
	for _, m := range lost {
		slots <- struct{}{}
		if found.Load() || h.ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(h.ctx, handshakeTime)
			defer cancel()
			if err := h.reconnect(ctx, m, met); err != nil {
				h.log.Debug("reconnect to member", "member", m.Name, "error", err)
			}
		})
	}
	wg.Wait()
	if !found.Load() {
		h.arrived(Arrival{})
	}
}

// recoverSelf makes a node that the others have removed, or take for stopped, a
// member again: of a cluster of its own, or of theirs.
func (h *healer) recoverSelf() {
	if h.selfRemoved() {
		h.restartAlone()
	}
	if h.selfDeclaredDead() {
		h.rejoin()
	}
}

// selfLost reports whether recoverSelf has something to do.
func (h *healer) selfLost() bool { return h.selfRemoved() || h.selfDeclaredDead() }

// waitUntil waits for a time, or (for 0) without limit; it returns true as soon as a
// change makes enough true, and false when the time is over or the group closed.
func (h *healer) waitUntil(d time.Duration, enough func() bool) bool {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	for {
		select {
		case <-h.memberLost:
			if enough() {
				return true
			}
		case <-over:
			return false
		case <-h.ctx.Done():
			return false
		}
	}
}

// workPending reports whether heal has something to do at once.
func (h *healer) workPending() bool {
	lost, _ := h.unreachable()
	return len(lost) > 0 || h.selfLost()
}

// reconnectSome asks a few of the missing members, the first by name in every round
// and others in turn, and reports whether one of them is back.
func (h *healer) reconnectSome(missing []Member, round int) bool {
	half := min(len(missing), healTries/2)
	tries := missing[:half:half]
	if rest := missing[half:]; len(rest) > 0 {
		for i := range min(len(rest), healTries/2) {
			tries = append(tries, rest[(round*healTries/2+i)%len(rest)])
		}
	}
	for _, m := range tries {
		ctx, cancel := context.WithTimeout(h.ctx, handshakeTime)
		err := h.reconnect(ctx, m, nil)
		cancel()
		if err == nil {
			return true
		}
		h.log.Debug("reconnect to member", "member", m.Name, "error", err)
	}
	return false
}
