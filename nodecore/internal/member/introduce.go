package member

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// introduceAfter, and introduceEach for every running member, is about how long
	// after a batch of joins a node makes its gossip know the members that it was
	// told of: while a cluster forms there is more to do, and not all should do so
	// at once.
	introduceAfter = 100 * time.Millisecond
	introduceEach  = 10 * time.Millisecond
	// introduceTries is how often the state is exchanged with some member before
	// those that the gossip still doesn't know are asked themselves.
	introduceTries = 4
)

// introducer makes the gossip know those members that this node knows from a
// batch of joins only. Until then the gossip can't notice when they hang.
type introducer struct{ *membership }

func (in *introducer) run() {
	for in.ctx.Err() == nil {
		gs, _ := in.current()
		if gs != nil && len(gs.unmet()) > 0 {
			in.introduce(gs)
			continue
		}
		select {
		case <-in.toIntroduce:
		case <-in.ctx.Done():
		}
	}
}

// introduce returns when the gossip knows all running members, or the node is in
// another gossip.
func (in *introducer) introduce(gs *gossip) {
	for try := 0; ; try++ {
		pause := introduceAfter + time.Duration(len(in.View().Running))*introduceEach
		if wait(in.ctx, pause/2+rand.N(pause)) != nil {
			return
		}
		unmet := gs.unmet()
		if now, _ := in.current(); now != gs || len(unmet) == 0 {
			return
		}
		if try >= introduceTries {
			in.verify(gs, unmet)
			continue
		}
		with := unmet[rand.IntN(len(unmet))]
		if live := gs.liveMembers(); len(live) > 0 && try < introduceTries/2 {
			with = live[0] // whom all ask, so that it knows all soon
		}
		if err := gs.pushPull(with); err != nil {
			in.log.Debug("introduce members", "error", err)
		}
	}
}

// verify contacts members that the gossip never got to know; those that don't
// answer are taken for lost, and left to the healer.
func (in *introducer) verify(gs *gossip, unmet []Member) {
	for _, m := range unmet {
		ctx, cancel := context.WithTimeout(in.ctx, handshakeTime)
		err := in.reconnect(ctx, m, nil)
		cancel()
		if err != nil && in.ctx.Err() == nil {
			in.log.Debug("member does not answer", "member", m.Name, "error", err)
			gs.forget(m)
		}
	}
}
