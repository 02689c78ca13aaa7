package member

import (
	"context"
	"time"
)

// stableFor is how long the members must have been the same before a node
// begins to watch its neighbour, and stableEach what every member adds to it:
// while a cluster starts, it would only cost time.
const (
	stableFor  = 150 * time.Millisecond
	stableEach = 5 * time.Millisecond
)

// watcher notices at once when the process of another member ends.
type watcher struct{ *membership }

// run holds a control stream to the next running member in the order of
// names, as everybody does, so that each member is watched by one other. When a
// process ends, the kernel closes its streams at once; the watcher makes sure
// and informs all. What only hangs is left to the gossip's own detector.
func (w *watcher) run() {
	for w.ctx.Err() == nil {
		if _, ok := w.neighbour(); !ok {
			select {
			case <-w.neighbourChanged:
			case <-w.ctx.Done():
			}
			continue
		}
		if !w.stable() {
			continue
		}
		if next, ok := w.neighbour(); ok && w.watchMember(next) {
			w.checkMember(next)
		}
	}
}

// stable reports, after a while, whether nothing has changed during it.
func (w *watcher) stable() bool {
	select {
	case <-w.neighbourChanged: // an old change
	default:
	}
	_, r := w.current()
	if wait(w.ctx, stableFor+time.Duration(len(r.list()))*stableEach) != nil {
		return false
	}
	select {
	case <-w.neighbourChanged:
		return false
	default:
		return true
	}
}

// neighbour is the running member that follows this one, in a ring.
func (w *watcher) neighbour() (Member, bool) {
	if len(w.cfg.Secret) == 0 {
		return Member{}, false
	}
	v := w.View()
	for i, m := range v.Running {
		if m.ID == v.Self.ID {
			next := v.Running[(i+1)%len(v.Running)]
			return next, next.ID != m.ID
		}
	}
	return Member{}, false
}

// watchMember returns true when the stream to m has broken, false when m is no
// longer the one to watch.
func (w *watcher) watchMember(m Member) bool {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	l, err := w.talk(ctx, m.Name, m.Addr)
	if err == nil {
		_, err = l.ask(w.request(opWatch))
		defer l.done()
	}
	if err != nil {
		w.log.Debug("watch member", "member", m.Name, "error", err)
		return true
	}
	broken := make(chan struct{})
	w.wg.Go(func() {
		defer close(broken)
		var a reply
		if err := l.receive(&a); err != nil {
			w.log.Debug("watched member is gone", "member", m.Name, "error", err)
		}
	})
	defer func() {
		cancel()
		<-broken
	}()
	for {
		select {
		case <-broken:
			return w.ctx.Err() == nil
		case <-w.neighbourChanged:
			if now, ok := w.neighbour(); !ok || now.ID != m.ID || now.Boot != m.Boot {
				return false
			}
		}
	}
}

// checkMember finds out why the stream to a member has broken. If
// nothing listens at its address, it has ended, and the others are informed. If it
// runs again under a new boot number, state is exchanged with it at once; gossip
// would take seconds.
func (w *watcher) checkMember(m Member) {
	ctx, cancel := context.WithTimeout(w.ctx, handshakeTime)
	defer cancel()
	gs, _ := w.current()
	if gs == nil || !gs.running(m.ID) {
		return
	}
	a, err := w.askOnce(ctx, m, w.request(opList))
	switch {
	case connectionRefused(err):
		w.log.Info("member ended", "member", m.Name)
		gs.markEnded(m)
		gs.broadcastEnd(m)
	case err != nil:
		w.log.Debug("check member", "member", m.Name, "error", err)
	case a.From.ID == m.ID && a.From.Boot > m.Boot:
		if err := w.reconnect(ctx, m, nil); err != nil {
			w.log.Debug("reconnect to restarted member", "member", m.Name, "error", err)
		}
	}
}
