package broker

import (
	"slices"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/topic"
)

// settleTime bounds how long a SUBACK waits for other nodes to know of the subscription.
const settleTime = 5 * time.Second

// await returns when all has been accepted, or it takes too long, or the connection has ended. There was one more() for itself.
func (c *conn) await(acc *acceptance) {
	acc.Done(true)
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-acc.all:
	case <-c.ended:
	case <-t.C:
	}
}

// subscribe handles a SUBSCRIBE. The SUBACK is sent when all nodes that can be reached know of it.
func (c *conn) subscribe(pk packets.Packet) error {
	if pk.PacketID == 0 {
		return packets.ErrProtocolViolationNoPacketID
	}
	reasons := make([]byte, len(pk.Filters))
	existed := make([]bool, len(pk.Filters))
	acc := newAcceptance()
	acc.more()
	for i, f := range pk.Filters {
		group, _, ok := topic.ParseFilter(f.Filter)
		switch {
		case !ok:
			reasons[i] = packets.ErrTopicFilterInvalid.Code
		case group != "" && f.NoLocal:
			return packets.ErrProtocolViolationInvalidSharedNoLocal
		case f.RetainHandling > 2:
			return packets.ErrProtocolViolation
		default:
			reasons[i] = f.Qos
			existed[i] = c.s.subscribe(subscription{
				filter: strings.Clone(f.Filter), group: group, id: f.Identifier, qos: f.Qos, noLocal: f.NoLocal, asPublish: f.RetainAsPublished,
			}, acc)
		}
		if reasons[i] >= 0x80 && c.version < 5 {
			reasons[i] = 0x80
		}
	}
	c.await(acc)
	c.s.mu.Lock()
	c.s.saveLocked()
	c.s.mu.Unlock()
	c.s.write(c, func(b []byte) []byte {
		return encode(b, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: reasons}, c.version)
	})
	for i, f := range pk.Filters {
		if reasons[i] <= 2 && (f.RetainHandling == 0 || f.RetainHandling == 1 && !existed[i]) {
			c.retained(f)
		}
	}
	return nil
}

// retained queues the retained messages of a new subscription; there are none for a shared one.
func (c *conn) retained(f packets.Subscription) {
	group, bare, _ := topic.ParseFilter(f.Filter)
	if group != "" {
		return
	}
	for _, m := range c.b.retained.match(bare) {
		if f.NoLocal && m.origin == c.s.id {
			continue
		}
		d := delivery{m: m, qos: min(m.qos, f.Qos), retain: true}
		if f.Identifier != 0 {
			d.ids = []int{f.Identifier}
		}
		c.s.deliverAnew(d, c)
		c.awaitResume(0, 0)
	}
}

// unsubscribe handles an UNSUBSCRIBE.
func (c *conn) unsubscribe(pk packets.Packet) error {
	if pk.PacketID == 0 {
		return packets.ErrProtocolViolationNoPacketID
	}
	reasons := make([]byte, len(pk.Filters))
	for i, f := range pk.Filters {
		if !c.s.unsubscribe(f.Filter) {
			reasons[i] = packets.CodeNoSubscriptionExisted.Code
		}
	}
	c.s.mu.Lock()
	c.s.saveLocked()
	c.s.mu.Unlock()
	c.s.write(c, func(b []byte) []byte {
		return encode(b, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID, ReasonCodes: reasons}, c.version)
	})
	return nil
}

// subscribe adds or replaces a subscription; w waits until other nodes know.
func (s *session) subscribe(sub subscription, w waits) (existed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false
	}
	return s.subscribeLocked(sub, w)
}

func (s *session) subscribeLocked(sub subscription, w waits) (existed bool) {
	_, existed = s.subs[sub.filter]
	if len(s.subs) > 0 {
		s.several.Store(true)
	}
	s.subs[sub.filter] = sub
	_, bare, _ := topic.ParseFilter(sub.filter)
	b := s.b
	b.mu.Lock()
	if sub.group == "" {
		b.subs.Set(bare, s, sub)
	} else if !existed {
		g := b.groups[sub.filter]
		if g == nil {
			g = &group{}
			b.groups[sub.filter] = g
		}
		g.members = append(g.members, s)
	}
	b.mu.Unlock()
	if !existed {
		b.want(sub.filter, s.countsLocked(), w)
	}
	return existed
}

// countsLocked is what one subscription of the session counts for.
func (s *session) countsLocked() wanted {
	w := wanted{all: 1}
	if s.durable() {
		w.durable = 1
	}
	if s.online.Load() {
		w.online = 1
	}
	return w
}

func (w wanted) minus() wanted { return wanted{-w.all, -w.durable, -w.online} }

func (s *session) unsubscribe(filter string) (existed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsubscribeLocked(filter)
}

func (s *session) unsubscribeLocked(filter string) (existed bool) {
	sub, ok := s.subs[filter]
	if !ok {
		return false
	}
	delete(s.subs, filter)
	_, bare, _ := topic.ParseFilter(filter)
	b := s.b
	b.mu.Lock()
	if sub.group == "" {
		b.subs.Delete(bare, s)
	} else if g := b.groups[filter]; g != nil {
		g.members = slices.DeleteFunc(g.members, func(m *session) bool { return m == s })
		if len(g.members) == 0 {
			delete(b.groups, filter)
		}
	}
	b.mu.Unlock()
	b.want(filter, s.countsLocked().minus(), nil)
	return true
}

func (s *session) unsubscribeAllLocked() {
	for filter := range s.subs {
		s.unsubscribeLocked(filter)
	}
}

// rerouteLocked counts the session's subscriptions anew after it has become durable, or has ceased to be.
func (s *session) rerouteLocked(was bool) {
	d := wanted{durable: 1}
	if was {
		d.durable = -1
	}
	for filter := range s.subs {
		s.b.want(filter, d, nil)
	}
}

// presentLocked notes whether the client is connected.
func (s *session) presentLocked(online bool) {
	if s.online.Swap(online) == online {
		return
	}
	d := wanted{online: 1}
	if !online {
		d.online = -1
	}
	for filter := range s.subs {
		s.b.want(filter, d, nil)
	}
}
