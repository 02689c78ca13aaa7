package broker

import (
	"slices"
	"sync/atomic"

	"onemore/nodecore/internal/peer"
)

// forward is what one peer is to do with a message.
type forward struct {
	peer    string
	plain   bool     // deliver to those who subscribed by themselves
	durable bool     // for a session that outlives its connection
	shares  []string // deliver to one member of each of these groups
}

// waits is told of all that a message, or a change, has to be accepted by.
type waits interface {
	peer.Waiter
	more() // one more Done will come
	// promise says up to which change the store must be on disk before the message is acknowledged, and whether a session on another
	// node keeps it as well.
	promise(need uint64, remote bool)
}

// pending counts what is waited for.
type pending struct{ left atomic.Int32 }

func (p *pending) more()      { p.left.Add(1) }
func (p *pending) done() bool { return p.left.Add(-1) == 0 }

// acceptance is a channel that is closed when all is accepted.
type acceptance struct {
	pending
	all chan struct{}
}

func newAcceptance() *acceptance { return &acceptance{all: make(chan struct{})} }

func (a *acceptance) promise(uint64, bool) {}

// Done counts what is accepted, or no longer waited for.
func (a *acceptance) Done(bool) {
	if a.done() {
		close(a.all)
	}
}

// publish sends a message that this node took in to all who want it, and makes it the retained one if it is to be.
// w, if set, is done when all nodes with a subscriber have it; from, if set, is who is made to wait by those who have enough.
func (b *Broker) publish(m *message, w waits, from peer.Sender) {
	if !m.once {
		m.node, m.seq = b.incarnation, b.seq.Add(1)
	}
	if w != nil {
		w.more()
	}
	var buf [4]forward
	var plain []byte
	routes := b.routes.route(buf[:0], m, 0, "")
	stored, retained := b.deliverHere(m, routes, w, from)
	remote := false
	for _, f := range routes {
		if f.peer != "" {
			remote = remote || f.durable
			b.routes.forward(f, m, retained, 0, &plain, w, from)
		}
	}
	if w != nil && (stored || remote) {
		w.promise(b.needed(stored), remote)
	}
	if retained != nil {
		b.retained.spread(m, *retained, routes, w)
	}
	if w != nil {
		w.Done(true)
	}
}

// deliverHere gives a message to this node's retained messages, sessions and groups; stored says that the store keeps something of that.
func (b *Broker) deliverHere(m *message, routes []forward, w waits, from peer.Sender) (stored bool, retained *stamp) {
	in, ok := w.(*incoming)
	if !m.once || !ok {
		return b.deliverTo(m, routes, w, from, true)
	}
	b.store.Together(func() { // comes before the lock that publishLive takes
		in.persist()
		_, retained = b.deliverTo(m, routes, w, from, !in.sent)
	})
	return true, retained
}

// deliverTo is deliverHere; without sessions, these have it already.
func (b *Broker) deliverTo(m *message, routes []forward, w waits, from peer.Sender, sessions bool) (stored bool, retained *stamp) {
	chosen := func() {}
	if m.retain {
		at := b.retained.publishLive(m)
		stored, retained, chosen = true, &at, b.retained.endLive
	}
	if !sessions {
		chosen()
		return stored, retained
	}
	stored = b.routes.deliver(m, from, chosen) || stored
	for _, f := range routes {
		if f.peer != "" {
			continue
		}
		for _, share := range f.shares {
			stored = b.routes.share(share, m, 0, w, from) || stored
		}
	}
	return stored, retained
}

// needed is the change of the store that an acknowledgement depends on; 0 if there is none.
func (b *Broker) needed(stored bool) uint64 {
	if !stored {
		return 0
	}
	return b.store.Number()
}

// deliver gives a message to those sessions of this node that subscribed by themselves; stored says that one of them keeps it.
// chosen is called once these are known.
func (ro *routing) deliver(m *message, from peer.Pauser, chosen func()) (stored bool) {
	type target struct {
		s *session
		d delivery
	}
	var buf [8]target
	targets := buf[:0]
	var found map[*session]int
	ro.mu.RLock()
	ro.subs.Match(m.topic, func(s *session, sub subscription) {
		if sub.noLocal && m.origin == s.id {
			return
		}
		i, ok := found[s]
		if !ok {
			i = len(targets)
			targets = append(targets, target{s: s, d: delivery{m: m, qos: min(m.qos, sub.qos)}})
			if s.subs.several.Load() {
				if found == nil {
					found = map[*session]int{}
				}
				found[s] = i
			}
		}
		d := &targets[i].d
		d.qos = max(d.qos, min(m.qos, sub.qos))
		d.retain = d.retain || sub.asPublish && m.retain
		if sub.id != 0 {
			d.ids = append(d.ids, sub.id)
		}
	})
	ro.mu.RUnlock()
	chosen()
	for _, t := range targets {
		slices.Sort(t.d.ids)
		stored = t.s.deliver(t.d, from) || stored
	}
	return stored
}

// route says what other nodes are to do with a message, and, under the name "", the groups whose message a member here gets.
// A message that has come over hops nodes already is only looked at for one group. The answer is appended to all.
func (ro *routing) route(all []forward, m *message, hops byte, only string) []forward {
	find := func(peer string) *forward {
		for i := range all {
			if all[i].peer == peer {
				return &all[i]
			}
		}
		all = append(all, forward{peer: peer})
		return &all[len(all)-1]
	}
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	if hops == 0 {
		ro.remote.Match(m.topic, func(peer string, r route) {
			f := find(peer)
			f.plain = true
			f.durable = f.durable || r.durable
		})
	}
	if ro.shared.Len() == 0 {
		return all
	}
	groups := map[string][]choice{}
	ro.shared.Match(m.topic, func(k shareKey, r route) {
		if only == "" || k.filter == only && !(hops > 0 && k.peer == "") {
			groups[k.filter] = append(groups[k.filter], choice{k.peer, r})
		}
	})
	for filter, choices := range groups {
		c := ro.choose(choices)
		f := find(c.peer)
		f.shares = append(f.shares, filter)
		f.durable = f.durable || c.durable
	}
	return all
}

// choice is a node with members of a group.
type choice struct {
	peer string
	route
}

// choose picks the node for the next message of a group: one that can be reached and has members online, weighted by their number;
// else one that keeps the message for a member that is away.
func (ro *routing) choose(all []choice) choice {
	slices.SortFunc(all, func(x, y choice) int { // maps and trees have no order, turns need one
		if x.peer < y.peer {
			return -1
		}
		return 1
	})
	total := 0
	for _, c := range all {
		if c.peer == "" || ro.b.mesh.Reachable(c.peer) {
			total += c.online
		}
	}
	n := int(ro.next.Add(1) % uint64(max(1, total)))
	for _, c := range all {
		if c.peer != "" && !ro.b.mesh.Reachable(c.peer) {
			continue
		}
		if n -= c.online; n < 0 {
			return c
		}
	}
	for _, c := range all {
		if c.durable && (c.peer == "" || ro.b.mesh.Reachable(c.peer)) {
			return c
		}
	}
	return all[0]
}

// forward sends a message to a peer; see publishFrame.
func (ro *routing) forward(f forward, m *message, retained *stamp, hops byte, plain *[]byte, w waits, from peer.Sender) {
	frame := publishFrame(m, f, retained, hops, plain)
	frame.Hold, frame.Keep, frame.Lossy = m.qos > 0, f.durable && m.qos > 0, m.qos == 0 && retained == nil
	if w != nil {
		w.more()
		frame.Waiter = w
	}
	frame.Sender = from
	ro.b.stats.forwarded.Add(1)
	ro.b.mesh.Send(f.peer, frame)
}

// deliverShare gives a message to the next member of the group. ok is false if the group has no member here.
func (ro *routing) deliverShare(filter string, m *message, from peer.Pauser) (stored, ok bool) {
	for {
		ro.mu.RLock()
		s := ro.groups[filter].pick()
		ro.mu.RUnlock()
		if s == nil {
			return false, false
		}
		if stored, ok := s.deliverShare(filter, m, from); ok {
			return stored, true
		}
	}
}

// share gives a message to a member of the group here, or to another node if the last one has just gone.
func (ro *routing) share(filter string, m *message, hops byte, w waits, from peer.Pauser) (stored bool) {
	if stored, ok := ro.deliverShare(filter, m, from); ok || hops >= maxHops {
		return stored
	}
	for _, f := range ro.route(nil, m, hops+1, filter) {
		if f.peer != "" && len(f.shares) > 0 {
			ro.forward(forward{peer: f.peer, durable: f.durable, shares: []string{filter}}, m, nil, hops+1, new([]byte), w, nil)
			return false
		}
	}
	return false
}

// received handles a message that another node took in; from stands for its publisher there.
func (b *Broker) received(body []byte, from peer.Pauser) error {
	r := reader{b: body}
	head := parsePublishHead(&r)
	if r.bad {
		return errMalformed
	}
	m, err := parseMessage(r.b)
	if err != nil {
		return err
	}
	if m.once && head.hops == 0 && b.repeated.known(m) {
		return nil
	}
	chosen, plain := func() {}, head.plain
	if head.retained != nil {
		// Who subscribed here since the other node sent it gets it too, though that node didn't know.
		plain = b.retained.beginLive(m, *head.retained) || plain
		chosen = b.retained.endLive
	}
	if plain {
		b.routes.deliver(m, from, chosen)
	} else {
		chosen()
	}
	for _, filter := range head.shares {
		b.routes.share(filter, m, head.hops, nil, from)
	}
	return nil
}
