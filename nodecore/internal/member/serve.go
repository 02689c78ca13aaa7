package member

import (
	"errors"
	"net"
	"time"
)

// idleStream is how long a control stream may be silent between requests.
const idleStream = 30 * time.Second

// serve answers one control stream. What a stranger can cause is a read of a
// few bytes and one log line.
func (g *Group) serve(conn net.Conn) {
	if len(g.cfg.Secret) == 0 {
		return
	}
	ch, err := handshakeServer(conn, g.cfg.Secret)
	if errors.Is(err, errSecret) {
		g.log.Warn("refused a node that does not have this cluster's secret", "from", conn.RemoteAddr().String())
		return
	}
	if err != nil {
		g.port.garbage.Add(1)
		g.log.Debug("refused a stream", "from", conn.RemoteAddr().String(), "error", err)
		return
	}
	arrived, idle := func() {}, idleStream
	defer func() { arrived() }()
	for {
		if conn.SetDeadline(deadline(idle)) != nil {
			return
		}
		var r request
		if ch.receive(&r) != nil {
			return // the other side is done, or gone
		}
		if f := g.cfg.Faults.From(r.From.Name); f.Block || g.cfg.Faults.To(r.From.Name).Block {
			return
		}
		switch r.Op {
		case opReady:
			arrived()
		case opWatch:
			idle = 0 // it is meant to be silent; a peer that is gone ends it by TCP's own means
		}
		a := g.answer(r)
		if (r.Op == opJoin || r.Op == opHello) && a.Code == "" {
			arrived()
			arrived = g.arriving()
		}
		if err := ch.send(a); err != nil {
			g.log.Debug("answer a node", "node", r.From.Name, "error", err)
			return
		}
	}
}

// deadline is the end of a time that begins now; for 0 there is none.
func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// answer does what is asked and says how that went.
func (g *Group) answer(r request) reply {
	var a reply
	var err error
	switch r.Op {
	case opJoin:
		a, err = g.answerJoin(r)
	case opHello:
		a, err = g.answerHello(r)
	case opReady:
		err = g.orderSpread(g.ctx)
	case opWatch: // the answer is all; the stream stays
	case opList:
		for _, m := range g.View().Running {
			a.Running = append(a.Running, m.ID)
		}
	case opRemove:
		err = g.answerRemove(r)
	default:
		err = refuse(CodeUnknown, "unknown request %q", r.Op)
	}
	g.mu.Lock()
	a.From, a.Cluster = g.selfLocked(), g.st.Cluster
	g.mu.Unlock()
	if err != nil {
		a.Code, a.Text = CodeBusy, err.Error()
		if f, ok := errors.AsType[*Refusal](err); ok {
			a.Code = f.Code
		}
	}
	return a
}

// answerJoin lets a node in: it may use the cluster's gossip from now on.
func (g *Group) answerJoin(r request) (reply, error) {
	g.mu.Lock()
	cluster, busy, gs, ros := g.st.Cluster, g.busy, g.gossip, g.roster
	g.mu.Unlock()
	switch {
	case r.From.Name == g.cfg.Name:
		return reply{}, refuse(CodeTaken, "the name %s is this member's own", r.From.Name)
	case busy:
		return reply{}, refuse(CodeBusy, "%s is changing clusters itself", g.cfg.Name)
	case gs == nil:
		return reply{}, refuse(CodeBooting, "%s is in no cluster yet", g.cfg.Name)
	case r.Cluster == cluster && !ros.isRemoved(r.From.ID):
		return reply{}, refuse(CodeAlready, "already in the cluster of %s", g.cfg.Name)
	}
	if err := CheckName(r.From.Name); err != nil {
		return reply{}, refuse(CodeName, "%v", err)
	}
	if old := ros.byName(r.From.Name); old != nil && old.ID != r.From.ID {
		// Whoever speaks for the same address has taken the old one's place.
		if gs.running(old.ID) && old.Addr != r.From.Addr {
			return reply{}, refuse(CodeTaken, "a running member has the name %s", r.From.Name)
		}
		g.log.Info("replaced member", "member", r.From.Name)
		ros.remove(old.ID)
		g.changed()
	}
	g.log.Info("admitted node", "node", r.From.Name, "addr", r.From.Addr)
	return reply{Known: ros.notes()}, nil
}

// answerHello takes note of a member that had lost sight of this one.
func (g *Group) answerHello(r request) (reply, error) {
	g.mu.Lock()
	cluster, gs, ros := g.st.Cluster, g.gossip, g.roster
	var gone []string
	for _, d := range g.st.Departed {
		if d.Cluster == r.Cluster {
			gone = append(gone, d.ID)
		}
	}
	g.mu.Unlock()
	switch {
	case gs == nil:
		return reply{}, refuse(CodeBooting, "%s is in no cluster yet", g.cfg.Name)
	case r.Cluster != cluster && len(gone) > 0:
		return reply{Known: notes{Removed: gone}}, refuse(CodeDeparted, "%s has left the cluster", g.cfg.Name)
	case r.Cluster != cluster:
		return reply{}, refuse(CodeOther, "%s is in another cluster", g.cfg.Name)
	case ros.isRemoved(r.From.ID):
		return reply{Known: ros.notes()}, refuse(CodeRemoved, "%s was removed from the cluster", r.From.Name)
	}
	if ros.merge(r.Known) {
		g.changed()
	}
	return reply{Known: ros.notes()}, nil
}

// answerRemove takes ids out of the roster, possibly this node's own.
func (g *Group) answerRemove(r request) error {
	g.mu.Lock()
	cluster, ros := g.st.Cluster, g.roster
	g.mu.Unlock()
	if r.Cluster != cluster {
		return refuse(CodeOther, "%s is in another cluster", g.cfg.Name)
	}
	if ros.merge(notes{Removed: r.Known.Removed}) {
		g.changed()
	}
	return g.save(true)
}
