package member

import (
	"context"
	"time"
)

// settledFor is how long the members must have been the same before a node
// begins to watch its neighbour, and settledEach what every member adds to it:
// while a cluster starts, nobody has time for it.
const (
	settledFor  = 150 * time.Millisecond
	settledEach = 5 * time.Millisecond
)

// watch holds a control stream to the next running member in the order of
// names, as everybody does, so that each member is watched by one other. When a
// process ends, the kernel closes its streams at once; the watcher makes sure
// and tells all. What only hangs is left to the gossip's own detector.
func (g *Group) watch() {
	for g.ctx.Err() == nil {
		if _, ok := g.neighbour(); !ok {
			select {
			case <-g.ring:
			case <-g.ctx.Done():
			}
			continue
		}
		if !g.settled() {
			continue
		}
		if next, ok := g.neighbour(); ok && g.watchOne(next) {
			g.lookAfter(next)
		}
	}
}

// settled tells, after a while, whether nothing has changed during it.
func (g *Group) settled() bool {
	select {
	case <-g.ring: // an old change
	default:
	}
	_, r := g.current()
	if wait(g.ctx, settledFor+time.Duration(len(r.list()))*settledEach) != nil {
		return false
	}
	select {
	case <-g.ring:
		return false
	default:
		return true
	}
}

// neighbour is the running member that follows this one, in a ring.
func (g *Group) neighbour() (Member, bool) {
	if len(g.cfg.Secret) == 0 {
		return Member{}, false
	}
	v := g.View()
	for i, m := range v.Running {
		if m.ID == v.Self.ID {
			next := v.Running[(i+1)%len(v.Running)]
			return next, next.ID != m.ID
		}
	}
	return Member{}, false
}

// watchOne returns true when the stream to m has broken, false when m is no
// longer the one to watch.
func (g *Group) watchOne(m Member) bool {
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	l, err := g.talk(ctx, m.Name, m.Addr)
	if err == nil {
		_, err = l.ask(g.request(opWatch))
		defer l.done()
	}
	if err != nil {
		g.log.Debug("watch member", "member", m.Name, "error", err)
		return true
	}
	broken := make(chan struct{})
	g.wg.Go(func() {
		defer close(broken)
		var a reply
		if err := l.receive(&a); err != nil {
			g.log.Debug("watched member is gone", "member", m.Name, "error", err)
		}
	})
	defer func() {
		cancel()
		<-broken
	}()
	for {
		select {
		case <-broken:
			return g.ctx.Err() == nil
		case <-g.ring:
			if now, ok := g.neighbour(); !ok || now.ID != m.ID || now.Boot != m.Boot {
				return false
			}
		}
	}
}

// lookAfter finds out what became of a member whose stream has broken. If
// nothing listens at its address, it has ended, and the others are told. If it
// is there in a new life, it is met at once: those who still believe in the old
// one would notice only after a while.
func (g *Group) lookAfter(m Member) {
	ctx, cancel := context.WithTimeout(g.ctx, handshakeTime)
	defer cancel()
	gs, _ := g.current()
	if gs == nil || !gs.running(m.ID) {
		return
	}
	a, err := g.askOnce(ctx, m, g.request(opList))
	switch {
	case nobodyThere(err):
		g.log.Info("member ended", "member", m.Name)
		gs.ended(m)
		gs.tellEnd(m)
	case err != nil:
		g.log.Debug("look after member", "member", m.Name, "error", err)
	case a.From.ID == m.ID && a.From.Boot > m.Boot:
		if err := g.greet(ctx, m); err != nil {
			g.log.Debug("meet member in its new life", "member", m.Name, "error", err)
		}
	}
}
