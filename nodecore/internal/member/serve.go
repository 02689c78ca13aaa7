package member

import (
	"errors"
	"net"
	"slices"
	"time"
)

// idleStream is how long a control stream may be silent between requests.
const idleStream = 30 * time.Second

// server answers the control streams of other nodes.
type server struct {
	*membership
	spread *spreader
}

// serve answers one control stream. Without the secret, a caller can cause a read of
// a few bytes and one log line.
func (sv *server) serve(conn net.Conn) {
	if len(sv.cfg.Secret) == 0 {
		return
	}
	ch, err := handshakeServer(conn, sv.cfg.Secret)
	if errors.Is(err, errSecret) {
		sv.log.Warn("refused a node that does not have this cluster's secret", "from", conn.RemoteAddr().String())
		return
	}
	if err != nil {
		sv.port.garbage.Add(1)
		sv.log.Debug("refused a stream", "from", conn.RemoteAddr().String(), "error", err)
		return
	}
	arrived, idle, joining := func() {}, idleStream, false
	defer func() { arrived() }()
	for {
		if conn.SetDeadline(deadline(idle)) != nil {
			return
		}
		var r request
		if ch.receive(&r) != nil {
			return // the other side is done, or gone
		}
		if f := sv.cfg.Faults.From(r.From.Name); f.Block || sv.cfg.Faults.To(r.From.Name).Block {
			return
		}
		switch r.Op {
		case opReady:
			arrived()
		case opWatch:
			idle = 0 // nothing is sent on it; it breaks when the peer's process ends
		}
		a := sv.answer(r, joining)
		if (r.Op == opJoin || r.Op == opHello) && a.Code == "" {
			arrived()
			arrived = sv.spread.joinStarted()
			joining = r.Op == opJoin
		}
		if err := ch.send(a); err != nil {
			sv.log.Debug("answer a node", "node", r.From.Name, "error", err)
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

// answer does what is asked and says how that went. joining says that the node was
// admitted on the same stream.
func (sv *server) answer(r request, joining bool) reply {
	var a reply
	var err error
	switch r.Op {
	case opJoin:
		a, err = sv.answerJoin(r)
	case opHello:
		a, err = sv.answerHello(r)
	case opReady:
		a, err = sv.answerReady(r, joining)
	case opWatch: // the answer is all; the stream stays
	case opList:
		a.Running = ids(sv.View().Running)
	case opRemove:
		err = sv.answerRemove(r)
	default:
		err = refuse(CodeUnknown, "unknown request %q", r.Op)
	}
	sv.mu.Lock()
	a.Version = sv.cfg.version
	a.From, a.Cluster = sv.selfLocked(), sv.st.Cluster
	sv.mu.Unlock()
	if err == nil && sv.cfg.Holders != nil {
		switch r.Op {
		case opJoin:
			a.Holders = sv.cfg.Holders()
		case opHello:
			a.Holders = sv.everybody(r.From.Name)
		}
	}
	if err != nil {
		a.Code, a.Text = CodeBusy, err.Error()
		if f, ok := errors.AsType[*Refusal](err); ok {
			a.Code = f.Code
		}
	}
	return a
}

// everybody is all running members but the asking one, if any holds data: those
// that lost their link to it must be in touch with it again before it is ready,
// so that they wait for it with what they acknowledge.
func (sv *server) everybody(asking string) []string {
	holders := sv.cfg.Holders()
	if len(holders) == 0 {
		return nil
	}
	for _, m := range sv.View().Running {
		if m.Name != asking && !slices.Contains(holders, m.Name) {
			holders = append(holders, m.Name)
		}
	}
	return holders
}

// answerJoin lets a node in: it may use the cluster's gossip from now on.
func (sv *server) answerJoin(r request) (reply, error) {
	sv.mu.Lock()
	cluster, busy, gs, ros := sv.st.Cluster, sv.busy, sv.gossip, sv.roster
	sv.mu.Unlock()
	switch {
	case r.From.Name == sv.cfg.Name:
		return reply{}, refuse(CodeTaken, "the name %s is this member's own", r.From.Name)
	case busy:
		return reply{}, refuse(CodeBusy, "%s is changing clusters itself", sv.cfg.Name)
	case gs == nil:
		return reply{}, refuse(CodeBooting, "%s is in no cluster yet", sv.cfg.Name)
	case r.Cluster == cluster && !ros.isRemoved(r.From.ID):
		return reply{}, refuse(CodeAlready, "already in the cluster of %s", sv.cfg.Name)
	}
	if err := CheckName(r.From.Name); err != nil {
		return reply{}, refuse(CodeName, "%v", err)
	}
	if old := ros.byName(r.From.Name); old != nil && old.ID != r.From.ID {
		// Whoever speaks for the same address has taken the old one's place.
		if gs.running(old.ID) && old.Addr != r.From.Addr {
			return reply{}, refuse(CodeTaken, "a running member has the name %s", r.From.Name)
		}
		sv.log.Info("replaced member", "member", r.From.Name)
		ros.remove(old.ID)
		sv.changed()
	}
	sv.log.Info("admitted node", "node", r.From.Name, "addr", r.From.Addr)
	return reply{Known: ros.data()}, nil
}

// answerReady returns when the other members know of the asking node.
func (sv *server) answerReady(r request, joining bool) (reply, error) {
	if !joining || min(r.Version, sv.cfg.version) < 2 {
		return reply{}, sv.spread.requestSync(sv.ctx, nil)
	}
	if err := sv.spread.requestSync(sv.ctx, &r.From); err != nil {
		return reply{}, err
	}
	_, ros := sv.current()
	return reply{Known: ros.data(), Running: ids(sv.View().Running)}, nil
}

func ids(list []Member) []string {
	all := make([]string, 0, len(list))
	for _, m := range list {
		all = append(all, m.ID)
	}
	return all
}

// answerHello takes note of a member that had lost sight of this one.
func (sv *server) answerHello(r request) (reply, error) {
	sv.mu.Lock()
	cluster, gs, ros := sv.st.Cluster, sv.gossip, sv.roster
	var gone []string
	for _, d := range sv.st.Departed {
		if d.Cluster == r.Cluster {
			gone = append(gone, d.ID)
		}
	}
	sv.mu.Unlock()
	switch {
	case gs == nil:
		return reply{}, refuse(CodeBooting, "%s is in no cluster yet", sv.cfg.Name)
	case r.Cluster != cluster && len(gone) > 0:
		return reply{Known: rosterData{Removed: gone}}, refuse(CodeDeparted, "%s has left the cluster", sv.cfg.Name)
	case r.Cluster != cluster:
		return reply{}, refuse(CodeOther, "%s is in another cluster", sv.cfg.Name)
	case ros.isRemoved(r.From.ID):
		return reply{Known: ros.data()}, refuse(CodeRemoved, "%s was removed from the cluster", r.From.Name)
	}
	if ros.merge(r.Known) {
		sv.changed()
	}
	return reply{Known: ros.data()}, nil
}

// answerRemove takes ids out of the roster, possibly this node's own.
func (sv *server) answerRemove(r request) error {
	sv.mu.Lock()
	cluster, ros := sv.st.Cluster, sv.roster
	sv.mu.Unlock()
	if r.Cluster != cluster {
		return refuse(CodeOther, "%s is in another cluster", sv.cfg.Name)
	}
	if ros.merge(rosterData{Removed: r.Known.Removed}) {
		sv.changed()
	}
	return sv.save(true)
}
