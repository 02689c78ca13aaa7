package broker

import (
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/topic"
)

// publishable says whether a topic may be published to at all; what is below $SYS and the like is taken, and dropped.
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
			c.awaitResume(0, len(p.payload))
		}
		return nil
	}
	if !c.b.hear(c.ended) {
		return packets.CodeDisconnect
	}
	in, fresh := c.s.incoming(c, p)
	if in == nil {
		return packets.ErrReceiveMaximum
	}
	if fresh {
		if topic.ValidName(m.topic) {
			c.b.publish(m, in, c)
		} else {
			c.s.accepted(in)
		}
	}
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

// incoming notes a PUBLISH that is to be acknowledged. fresh is false if it is known already, and must not be published
// again; in is nil if the client has sent too many.
func (s *session) incoming(c *conn, p publish) (in *incoming, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.qos == 2 {
		if in = s.recv[p.id]; in != nil {
			if s.conn == c && !s.dueLocked(in) {
				s.acks.Push(in)
				s.flushAcksLocked()
			}
			return in, false
		}
		if c.version == 5 && len(s.recv) >= 2*receiveMax {
			return nil, false // older clients aren't told of a limit; they have 65,535 packet ids
		}
		if s.recv == nil {
			s.recv = map[uint16]*incoming{}
		}
	}
	in = &incoming{s: s, id: p.id, qos: p.qos}
	if p.qos == 2 {
		s.recv[p.id] = in
	}
	if s.conn == c {
		s.acks.Push(in)
	}
	return in, true
}

// accepted says that an incoming message has been accepted everywhere, and acknowledges what is due, in order, unless the client is
// to send no more for now.
func (s *session) accepted(in *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.ready = true
	s.keepReceivedLocked(in)
	s.flushAcksLocked()
}

// keepReceivedLocked puts the packet id of a QoS 2 message of the client on disk, until its PUBREL.
func (s *session) keepReceivedLocked(in *incoming) {
	if s.recv[in.id] != in || s.b.ctx.Err() != nil { // what is given up by Close is not accepted
		return
	}
	if in.seq = s.seqLocked(); in.seq != 0 {
		s.b.store.PutMessage(s.id, in.seq, idRecord(recordReceived, in.id))
	}
}

func (s *session) flushAcksLocked() {
	if s.conn == nil || s.acks.Len() == 0 || !(*s.acks.At(0)).ready || s.conn.paused() != nil {
		return
	}
	for s.acks.Len() > 0 && (*s.acks.At(0)).ready {
		in, kind := s.acks.Pop(), byte(packets.Puback)
		if in.qos == 2 {
			kind = packets.Pubrec
		}
		s.out = appendAck(s.out, ack{kind: kind, id: in.id}, s.conn.version)
	}
	if s.room != nil && s.acks.Len() < acceptMax/2 {
		close(s.room)
		s.room = nil
	}
	signal(s.wake)
}

// dueLocked says whether the message will be acknowledged anyway.
func (s *session) dueLocked(in *incoming) bool {
	due := false
	s.acks.All(func(a **incoming) bool {
		due = *a == in
		return !due
	})
	return due
}

// awaitRoom returns when not too many messages of the client are waiting to be accepted.
func (c *conn) awaitRoom() {
	s := c.s
	s.mu.Lock()
	if s.acks.Len() < acceptMax || s.conn != c {
		s.mu.Unlock()
		return
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	room := s.room
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
		signal(c.s.wake) // for what was not acknowledged meanwhile
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
		c.s.finish(a, c.version)
		return
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	comp := ack{kind: packets.Pubcomp, id: a.id}
	if in := s.recv[a.id]; in != nil {
		s.forgetLocked(delivery{seq: in.seq})
		delete(s.recv, a.id)
	} else {
		comp.reason = packets.ErrPacketIdentifierNotFound.Code
	}
	if s.conn == c {
		s.out = appendAck(s.out, comp, c.version)
		signal(s.wake)
	}
}
