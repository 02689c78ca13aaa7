package broker

import (
	"encoding/binary"
	"time"
)

// messageID tells messages apart, over all nodes.
type messageID struct{ node, seq uint64 }

// dedupMax is how many messages are remembered.
const dedupMax = 1 << 14

// dedup remembers the last messages that came to a session, while another node may hand over the same.
type dedupWindow struct {
	ids   map[messageID]struct{}
	order []messageID // a ring once it is full
	next  int         // oldest of a full ring
	until time.Time   // when it may be forgotten
}

// add remembers a message; known says that it was already.
func (s *dedupWindow) add(id messageID) (known bool) {
	if _, known = s.ids[id]; known {
		return true
	}
	if len(s.order) < dedupMax {
		s.order = append(s.order, id)
	} else {
		delete(s.ids, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % dedupMax
	}
	s.ids[id] = struct{}{}
	return false
}

// append encodes the ids, oldest first; nil is none.
func (s *dedupWindow) append(b []byte) []byte {
	if s == nil {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(s.order)))
	for i := range s.order {
		id := s.order[(s.next+i)%len(s.order)]
		b = binary.BigEndian.AppendUint64(b, id.node)
		b = binary.AppendUvarint(b, id.seq)
	}
	return b
}

func (r *reader) dedup() (ids []messageID) {
	for range r.count(9) {
		ids = append(ids, messageID{r.uint64(), r.uvarint()})
	}
	return ids
}

// duplicateLocked says whether the message has come before, and remembers it. It only knows while another node may hand over
// what came here as well.
func (s *session) duplicateLocked(m *message) bool {
	return s.dedup != nil && s.dedup.add(messageID{m.node, m.seq})
}

// dedupLocked starts to remember which messages have come, or goes on for a while.
func (s *session) dedupLocked() {
	if s.dedup == nil {
		s.dedup = &dedupWindow{ids: map[messageID]struct{}{}}
		s.outbox.queue.All(func(d *delivery) bool { s.duplicateLocked(d.m); return true })
	}
	s.dedup.until = time.Now().Add(2 * forwardTime)
}
