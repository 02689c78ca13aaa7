package member

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// quietFor is how long no new node must have come before the members are
	// told of those that came; everybody known being there ends the wait.
	quietFor = 50 * time.Millisecond
	// seedsFor is the same while seeds are still expected: a pass that has to be
	// repeated costs all members more than the wait.
	seedsFor = 200 * time.Millisecond
	// spreadBy is when they are told at the latest.
	spreadBy = 2 * time.Second
)

// spreader tells all members of each other when new ones have come.
type spreader struct {
	*membership
	requests  chan *syncRequest
	joining   chan struct{} // a node was let in; holds at most one token
	inFlight  atomic.Int32  // nodes that were let in and are not in the gossip yet
	seedsSeen atomic.Bool   // every seed was here once
}

// syncRequest is a request to exchange state with all members.
type syncRequest struct {
	joined *Member       // the node that asks, if it has just been admitted
	done   chan struct{} // closed after an exchange that began later than the request
}

// requestSync returns after all members that are alive were told of all
// others that were alive when it was called. A node that has just joined is told
// by the answer to its request, and by nothing else.
func (sp *spreader) requestSync(ctx context.Context, joined *Member) error {
	if gs, _ := sp.current(); gs != nil && joined != nil {
		gs.learn([]Member{*joined})
	}
	o := &syncRequest{joined: joined, done: make(chan struct{})}
	select {
	case sp.requests <- o:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run executes the requests, those that come together as one:
// nodes that are started at once arrive within milliseconds of each other.
func (sp *spreader) run() {
	for {
		var requests []*syncRequest
		select {
		case o := <-sp.requests:
			requests = sp.collect(o)
		case <-sp.ctx.Done():
			return
		}
		if gs, _ := sp.current(); gs != nil {
			begin := time.Now()
			sp.inform(gs, requests)
			sp.log.Debug("informed members", "requests", len(requests), "took", time.Since(begin))
		}
		for _, o := range requests {
			close(o.done)
		}
	}
}

// inform tells all members what the requests are about.
func (sp *spreader) inform(gs *gossip, requests []*syncRequest) {
	var batch []Member
	for _, o := range requests {
		if o.joined != nil {
			batch = append(batch, *o.joined)
		}
	}
	if len(batch) > 0 {
		gs.sendNew(sp.ctx, batch)
	}
	if len(batch) < len(requests) { // others have met again: their gossip must agree
		gs.pushPullAll(sp.ctx)
	}
}

// collect takes requests until everybody who is known is there, or nobody new
// has come for a while and nobody is on the way in.
func (sp *spreader) collect(first *syncRequest) []*syncRequest {
	requests := []*syncRequest{first}
	latest := time.NewTimer(spreadBy)
	defer latest.Stop()
	quiet := time.NewTimer(sp.quietPeriod())
	defer quiet.Stop()
	for !sp.allPresent() {
		select {
		case o := <-sp.requests:
			requests = append(requests, o)
		case <-sp.joining:
		case <-quiet.C:
			if sp.inFlight.Load() == 0 {
				return requests
			}
		case <-latest.C:
			return requests
		case <-sp.ctx.Done():
			return requests
		}
		quiet.Reset(sp.quietPeriod())
	}
	for { // those that wait already need no pass of their own
		select {
		case o := <-sp.requests:
			requests = append(requests, o)
		default:
			return requests
		}
	}
}

// quietPeriod is how long to wait for the next node.
func (sp *spreader) quietPeriod() time.Duration {
	if sp.seedsSeen.Load() {
		return quietFor
	}
	return seedsFor
}

// joinStarted counts a node that was admitted and is not in the gossip yet; the
// returned function says that it is, or never will be.
func (sp *spreader) joinStarted() (arrived func()) {
	sp.inFlight.Add(1)
	select {
	case sp.joining <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { sp.inFlight.Add(-1) })
}

// allPresent reports whether every seed and every known member is running.
func (sp *spreader) allPresent() bool {
	v := sp.View()
	if len(v.Stopped) > 0 || len(v.Running) < len(sp.cfg.Seeds) {
		return false
	}
	there := make(map[string]bool, len(v.Running))
	for _, m := range v.Running {
		there[m.Name] = true
	}
	for _, s := range sp.cfg.Seeds {
		if s.Name != "" && !there[s.Name] {
			return false
		}
	}
	sp.seedsSeen.Store(true)
	return true
}
