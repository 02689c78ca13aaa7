package broker

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/ring"
	"onemore/nodecore/internal/topic"
)

// publishable says whether a topic is one at all; what is sent to one below $SYS and the like is refused.
func publishable(name string) bool {
	return name != "" && !strings.ContainsAny(name, "+#") && topic.Levels(name) <= topic.MaxLevels
}

// publish handles a PUBLISH of the client. It returns when the next one may be read.
func (c *conn) publish(p publish) error {
	if err := c.alias(&p); err != nil {
		return err
	}
	if !publishable(p.topic) {
		return packets.ErrTopicNameInvalid
	}
	c.b.stats.received.Add(1)
	m := &message{topic: p.topic, payload: p.payload, props: p.props, origin: c.s.id, qos: p.qos, retain: p.retain}
	if p.expires {
		m.expires = time.Now().UnixMilli() + int64(p.expiry)*1000
	}
	if p.qos == 0 {
		if topic.ValidName(m.topic) {
			c.b.publish(m, nil, c)
			c.endTurn()
			c.awaitResume(0, len(p.payload))
		}
		return nil
	}
	if !c.b.synced.awaitRoutes(c.ended) {
		return packets.CodeDisconnect
	}
	in, fresh := c.s.inbox.incoming(c, p)
	if in == nil {
		return packets.ErrReceiveMaximum
	}
	if fresh {
		if topic.ValidName(m.topic) {
			c.s.inbox.identify(in, m)
			c.b.publish(m, in, c)
		} else {
			in.reason = packets.ErrTopicNameInvalid.Code
			c.s.inbox.accepted(in)
		}
	}
	c.endTurn()
	c.awaitRoom()
	c.awaitResume(p.qos, len(p.payload))
	return nil
}

// alias replaces a topic alias by the topic, or takes note of a new one.
func (c *conn) alias(p *publish) error {
	switch {
	case p.alias == 0:
		return nil
	case p.alias > aliasMax:
		return packets.ErrTopicAliasInvalid
	case p.topic != "":
		if c.aliases == nil {
			c.aliases = map[uint16]string{}
		}
		c.aliases[p.alias] = p.topic
		return nil
	}
	if p.topic = c.aliases[p.alias]; p.topic == "" {
		return packets.ErrTopicAliasInvalid
	}
	return nil
}

// inbox is what a client has sent with QoS 1 and 2, until that is done with; guarded by the session's lock.
type inbox struct {
	s       *session
	recv    map[uint16]*incoming  // QoS 2, from PUBLISH to PUBREL
	uses    map[uint16]uint32     // how many QoS 2 messages were finished, by packet id
	acks    ring.Queue[*incoming] // to be acknowledged on this connection, in order
	unacked int                   // QoS 1 messages among them
	room    chan struct{}         // closed when acks is no longer long; nil if it isn't
}

// incoming notes a PUBLISH that is to be acknowledged. fresh is false if it is known already, and must not be published
// again; in is nil if the client has sent too many.
func (ib *inbox) incoming(c *conn, p publish) (in *incoming, fresh bool) {
	ib.s.mu.Lock()
	defer ib.s.mu.Unlock()
	if p.qos == 2 {
		if in = ib.recv[p.id]; in != nil {
			if in.again {
				in.again, in.ready, in.sent = false, false, true
				ib.acks.Push(in)
				return in, true
			}
			if ib.s.conn == c && !ib.dueLocked(in) {
				ib.acks.Push(in)
				ib.flushAcksLocked()
			}
			return in, false
		}
	}
	if c.version == 5 && len(ib.recv)+ib.unacked >= c.b.cfg.ReceiveMaximum { // older versions have no receive maximum, only 65,535 packet ids
		return nil, false
	}
	if p.qos == 2 {
		if ib.recv == nil {
			ib.recv = map[uint16]*incoming{}
		}
	}
	in = &incoming{s: ib.s, id: p.id, qos: p.qos}
	if p.qos == 2 {
		ib.recv[p.id] = in
	}
	if ib.s.conn == c {
		ib.acks.Push(in)
		if p.qos == 1 {
			ib.unacked++
		}
	}
	return in, true
}

// accepted says that an incoming message has been accepted everywhere, and acknowledges what is due, in order, unless the client is
// to send no more for now.
func (ib *inbox) accepted(in *incoming) {
	ib.s.mu.Lock()
	defer ib.s.mu.Unlock()
	in.ready = true
	if ib.recv[in.id] == in && ib.s.b.ctx.Err() == nil { // what is given up by Close is not accepted
		ib.persistUseLocked(recordReceived, in.id)
	}
	ib.flushAcksLocked()
}

// identify gives a QoS 2 message of a session that outlives its node numbers that it has again if the client sends it again
// after a crash. The number of uses is stored before the client may use the packet id for another message.
func (ib *inbox) identify(in *incoming, m *message) {
	ib.s.mu.Lock()
	defer ib.s.mu.Unlock()
	if in.qos == 2 && ib.s.durable() {
		m.node, m.seq, m.once = ib.s.uid, uint64(in.id)<<32|uint64(ib.uses[in.id]), true
	}
}

// usesKey is where the store has the uses of a packet id; see delivery.seq.
func usesKey(id uint16) uint64 { return 1<<63 | uint64(id) }

// persistUseLocked stores that a packet id is in use, or how often it was.
func (ib *inbox) persistUseLocked(kind byte, id uint16) {
	if ib.uses == nil {
		ib.uses = map[uint16]uint32{}
	}
	ib.uses[id] += 0
	if ib.s.durable() {
		ib.s.b.store.PutMessage(ib.s.id, usesKey(id), binary.AppendUvarint(idRecord(kind, id), uint64(ib.uses[id])))
	}
}

// persist stores that a QoS 2 message has come.
func (in *incoming) persist() {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	if in.s.inbox.recv[in.id] == in {
		in.s.inbox.persistUseLocked(recordPending, in.id)
	}
}

// finishLocked ends the use of a packet id.
func (ib *inbox) finishLocked(id uint16) {
	delete(ib.recv, id)
	if ib.uses == nil {
		ib.uses = map[uint16]uint32{}
	}
	ib.uses[id]++
	ib.persistUseLocked(recordUsed, id)
}

func (ib *inbox) flushAcksLocked() {
	if ib.s.conn == nil || ib.acks.Len() == 0 || !(*ib.acks.At(0)).ready || ib.s.conn.paused() != nil {
		return
	}
	for ib.acks.Len() > 0 && (*ib.acks.At(0)).ready {
		in := ib.acks.Pop()
		a := ack{kind: packets.Puback, id: in.id}
		if in.qos == 2 {
			a.kind = packets.Pubrec
		} else {
			ib.unacked--
		}
		if a.reason = in.reason; in.remote && ib.s.b.failing.any() {
			a.reason = packets.ErrQuotaExceeded.Code
		}
		ib.s.outbox.need = max(ib.s.outbox.need, in.need)
		ib.s.outbox.acks = append(ib.s.outbox.acks, a)
	}
	if ib.room != nil && ib.acks.Len() < acceptMax/2 {
		close(ib.room)
		ib.room = nil
	}
	ib.s.conn.kick()
}

// refuse takes back what was noted of a QoS 2 message that the client is told not to be accepted.
func (ib *inbox) refuse(id uint16) {
	ib.s.mu.Lock()
	defer ib.s.mu.Unlock()
	if ib.recv[id] != nil {
		ib.finishLocked(id)
	}
}

// dueLocked says whether the message will be acknowledged anyway.
func (ib *inbox) dueLocked(in *incoming) bool {
	due := false
	ib.acks.All(func(a **incoming) bool {
		due = *a == in
		return !due
	})
	return due
}

// awaitRoom returns when not too many messages of the client are waiting to be accepted.
func (c *conn) awaitRoom() {
	s := c.s
	s.mu.Lock()
	if s.inbox.acks.Len() < acceptMax || s.conn != c {
		s.mu.Unlock()
		return
	}
	if s.inbox.room == nil {
		s.inbox.room = make(chan struct{})
	}
	room := s.inbox.room
	s.mu.Unlock()
	select {
	case <-room:
	case <-c.ended:
	}
}

// Pause and Ended are peer.Sender's: somebody to whom the client's messages go has enough of them for now.
func (c *conn) Pause() (resume func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pauses++; c.resumed == nil {
		c.resumed = make(chan struct{})
	}
	return c.resume
}

// Ended is closed when the connection ends.
func (c *conn) Ended() <-chan struct{} { return c.ended }

func (c *conn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pauses--; c.pauses == 0 {
		close(c.resumed)
		c.resumed = nil
		c.kick() // for what was not acknowledged meanwhile
	}
}

// paused returns what is closed when nobody has enough of the client's messages any more; nil if nobody has.
func (c *conn) paused() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resumed
}

// awaitResume returns when nobody has enough of the client's messages, or the connection has ended. A few that are to be
// acknowledged are taken before: they aren't until then, so that most clients send no more by themselves, and what they say
// otherwise is heard.
func (c *conn) awaitResume(qos byte, size int) {
	resumed := c.paused()
	if resumed != c.pause {
		c.pause, c.beyond = resumed, 0
	}
	if c.beyond += size + beyondMax/32; resumed == nil || qos > 0 && c.beyond < beyondMax {
		return
	}
	select {
	case <-resumed:
	case <-c.ended:
	}
}

// acknowledge handles the client's PUBACK, PUBREC, PUBREL and PUBCOMP.
func (c *conn) acknowledge(a ack) {
	if a.kind != packets.Pubrel {
		c.s.outbox.finish(a)
		return
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	comp := ack{kind: packets.Pubcomp, id: a.id}
	if s.inbox.recv[a.id] != nil {
		if s.inbox.finishLocked(a.id); s.durable() { // until then its next message would be taken for this one after a crash
			s.outbox.promiseLocked()
		}
	} else {
		comp.reason = packets.ErrPacketIdentifierNotFound.Code
	}
	if s.conn == c {
		s.outbox.replyLocked(comp)
	}
}
