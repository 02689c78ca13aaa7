package member

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	healFirst = 50 * time.Millisecond  // pause after the first round that reached nobody
	healMost  = 400 * time.Millisecond // longest pause between rounds while somebody is missing
	healSlow  = time.Second            // pause between rounds for those who are known to have ended
	healTries = 8                      // members tried in one round
)

// heal looks for members that are not reached, as long as there are any: a
// node that comes back, two halves of a cluster that were cut from each other.
// Gossip by itself never tries the dead again. It also is where a node acts on
// the news that the others do without it.
func (g *Group) heal() {
	pause := healFirst
	for turn := 0; g.ctx.Err() == nil; turn++ {
		g.comeBack()
		urgent, patient := g.missing()
		switch {
		case g.tryAll(urgent, turn):
			pause = healFirst
		case len(urgent) > 0:
			g.rest(pause+rand.N(pause/4), g.outside)
			pause = min(2*pause, healMost)
		case len(patient) > 0: // they come back by themselves, and are looked for only to be sure
			if !g.rest(healSlow, g.anyUrgent) {
				g.tryAll(patient, turn)
			}
			pause = healFirst
		default:
			g.rest(0, func() bool { return true })
			pause = healFirst
		}
	}
}

// comeBack makes a node that the others do without a member again, of their
// cluster or of its own.
func (g *Group) comeBack() {
	if g.selfRemoved() {
		g.startAnew()
	}
	if g.selfEnded() {
		g.reenter()
	}
}

// outside tells whether comeBack has something to do.
func (g *Group) outside() bool { return g.selfRemoved() || g.selfEnded() }

// rest waits for a time, or (for 0) for ever; it returns true as soon as a
// change makes enough true, and false when the time is over or the group closed.
func (g *Group) rest(d time.Duration, enough func() bool) bool {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	for {
		select {
		case <-g.lost:
			if enough() {
				return true
			}
		case <-over:
			return false
		case <-g.ctx.Done():
			return false
		}
	}
}

// anyUrgent tells whether heal has something to do at once.
func (g *Group) anyUrgent() bool {
	urgent, _ := g.missing()
	return len(urgent) > 0 || g.outside()
}

// selfEnded tells whether the others take this node's life for over.
func (g *Group) selfEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gossip != nil && g.roster.hasEnded(g.st.ID, g.st.Boot)
}

// reenter begins a new life in the same cluster, since nobody believes in the old one.
func (g *Group) reenter() {
	ctx, cancel := g.during(g.ctx, joinTime)
	defer cancel()
	release, err := g.takeOp(ctx)
	if err != nil {
		return
	}
	defer release()
	if !g.selfEnded() {
		return
	}
	g.log.Warn("the other members took this node for stopped: coming back")
	gs, _ := g.current()
	if err := errors.Join(gs.close(false), g.enter(false)); err != nil {
		g.log.Error("come back", "error", err)
	}
}

// missing is who should be there and isn't: urgent are those of whom nobody
// knows why, patient those whose process is known to have ended.
func (g *Group) missing() (urgent, patient []Member) {
	g.mu.Lock()
	idle := g.gossip == nil || g.busy // who enters a cluster meets its members anyway
	ros := g.roster
	g.mu.Unlock()
	if idle || len(g.cfg.Secret) == 0 {
		return nil, nil
	}
	for _, m := range g.View().Stopped {
		if ros.hasEnded(m.ID, m.Boot) {
			patient = append(patient, m)
		} else {
			urgent = append(urgent, m)
		}
	}
	return urgent, patient
}

// tryAll asks a few of the missing members, the first by name in every round
// and others in turn, and tells whether one of them is back.
func (g *Group) tryAll(missing []Member, turn int) bool {
	half := min(len(missing), healTries/2)
	tries := missing[:half:half]
	if rest := missing[half:]; len(rest) > 0 {
		for i := range min(len(rest), healTries/2) {
			tries = append(tries, rest[(turn*healTries/2+i)%len(rest)])
		}
	}
	for _, m := range tries {
		ctx, cancel := context.WithTimeout(g.ctx, handshakeTime)
		err := g.greet(ctx, m)
		cancel()
		if err == nil {
			return true
		}
		g.log.Debug("look for member", "member", m.Name, "error", err)
	}
	return false
}

// greet meets a member again that this node had lost sight of.
func (g *Group) greet(ctx context.Context, m Member) error {
	gs, ros := g.current()
	l, err := g.talk(ctx, m.Name, m.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	r := g.request(opHello)
	r.Known = ros.notes()
	a, err := l.ask(r)
	switch {
	case refused(err, CodeRemoved), refused(err, CodeDeparted), err == nil:
		if ros.merge(a.Known) {
			g.changed()
		}
	}
	if err != nil {
		return err
	}
	// The first exchange makes each side refute what the other believes of it,
	// the second tells so.
	if err := errors.Join(gs.meet(a.From), gs.meet(a.From)); err != nil {
		return err
	}
	g.log.Info("met member again", "member", m.Name)
	_, err = l.ask(g.request(opReady))
	return err
}
