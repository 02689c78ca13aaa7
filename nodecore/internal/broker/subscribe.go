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
func (acc *acceptance) await(c *conn) {
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
			var ok bool
			if existed[i], ok = c.s.subs.subscribe(subscription{
				filter: strings.Clone(f.Filter), group: group, id: f.Identifier, qos: f.Qos,
				noLocal: f.NoLocal || c.bridge && group == "", asPublish: f.RetainAsPublished || c.bridge,
			}, acc); !ok {
				reasons[i] = packets.ErrQuotaExceeded.Code
			}
		}
		if reasons[i] >= 0x80 && c.version < 5 {
			reasons[i] = 0x80
		}
	}
	c.endTurn()
	acc.await(c)
	c.s.mu.Lock()
	c.s.saveLocked()
	c.s.gateLocked()
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
	c.s.mu.Lock()
	since := c.s.subs.all[f.Filter].since
	c.s.mu.Unlock()
	for _, m := range c.b.retained.match(bare, since) {
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
		if !c.s.subs.unsubscribe(f.Filter) {
			reasons[i] = packets.CodeNoSubscriptionExisted.Code
		}
	}
	c.s.mu.Lock()
	c.s.saveLocked()
	c.s.gateLocked()
	c.s.mu.Unlock()
	c.s.write(c, func(b []byte) []byte {
		return encode(b, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID, ReasonCodes: reasons}, c.version)
	})
	return nil
}

// subscribe adds or replaces a subscription; w waits until other nodes know. ok is false if the client has too many.
func (su *subscriptions) subscribe(sub subscription, w waits) (existed, ok bool) {
	su.s.mu.Lock()
	defer su.s.mu.Unlock()
	if su.s.gone {
		return false, true
	}
	if _, existed = su.all[sub.filter]; !existed && len(su.all) >= su.s.b.cfg.MaxSubscriptions {
		return false, false
	}
	return su.subscribeLocked(sub, w), true
}

func (su *subscriptions) subscribeLocked(sub subscription, w waits) (existed bool) {
	_, existed = su.all[sub.filter]
	if len(su.all) > 0 {
		su.several.Store(true)
	}
	b := su.s.b
	sub.since = b.retained.subscribe(func() { b.routes.add(su.s, sub, existed) })
	su.all[sub.filter] = sub
	if !existed {
		b.routes.countFilter(sub.filter, su.countsLocked(), w)
	}
	return existed
}

// add puts a subscription of this node in.
func (ro *routing) add(s *session, sub subscription, existed bool) {
	_, bare, _ := topic.ParseFilter(sub.filter)
	ro.mu.Lock()
	defer ro.mu.Unlock()
	if sub.group == "" {
		ro.subs.Set(bare, s, sub)
	} else if !existed {
		g := ro.groups[sub.filter]
		if g == nil {
			g = &group{}
			ro.groups[sub.filter] = g
		}
		g.members = append(g.members, s)
	}
}

// countsLocked is what one subscription of the session counts for.
func (su *subscriptions) countsLocked() filterCount {
	w := filterCount{all: 1}
	if su.s.durable() {
		w.durable = 1
	}
	if su.online.Load() {
		w.online = 1
	}
	return w
}

func (w filterCount) minus() filterCount { return filterCount{-w.all, -w.durable, -w.online} }

func (su *subscriptions) unsubscribe(filter string) (existed bool) {
	su.s.mu.Lock()
	defer su.s.mu.Unlock()
	return su.unsubscribeLocked(filter)
}

func (su *subscriptions) unsubscribeLocked(filter string) (existed bool) {
	sub, ok := su.all[filter]
	if !ok {
		return false
	}
	delete(su.all, filter)
	_, bare, _ := topic.ParseFilter(filter)
	b := su.s.b
	b.routes.mu.Lock()
	if sub.group == "" {
		b.routes.subs.Delete(bare, su.s)
	} else if g := b.routes.groups[filter]; g != nil {
		g.members = slices.DeleteFunc(g.members, func(m *session) bool { return m == su.s })
		if len(g.members) == 0 {
			delete(b.routes.groups, filter)
		}
	}
	b.routes.mu.Unlock()
	b.routes.countFilter(filter, su.countsLocked().minus(), nil)
	return true
}

func (su *subscriptions) unsubscribeAllLocked() {
	for filter := range su.all {
		su.unsubscribeLocked(filter)
	}
}

// recountDurableLocked counts the session's subscriptions anew after it has become durable, or has ceased to be.
func (su *subscriptions) recountDurableLocked(was bool) {
	d := filterCount{durable: 1}
	if was {
		d.durable = -1
	}
	for filter := range su.all {
		su.s.b.routes.countFilter(filter, d, nil)
	}
}

// setOnlineLocked notes whether the client is connected.
func (su *subscriptions) setOnlineLocked(online bool) {
	if su.online.Swap(online) == online {
		return
	}
	d := filterCount{online: 1}
	if !online {
		d.online = -1
	}
	for filter := range su.all {
		su.s.b.routes.countFilter(filter, d, nil)
	}
}
