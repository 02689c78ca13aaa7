package broker

import (
	"encoding/binary"
	"sync"
	"time"
)

// repeatedTime is how long what a publisher has sent is remembered after its last message.
const repeatedTime = time.Hour

// repeated is which messages have come here that may come once more, after their publisher's node was killed: by publisher, how
// often a packet id was used.
type repeated struct {
	mu  sync.Mutex
	all map[uint64]*uses
}

type uses struct {
	last map[uint16]uint32
	at   time.Time
}

// known says whether a message has come before, and remembers it.
func (re *repeated) known(m *message) bool {
	id, use := uint16(m.seq>>32), uint32(m.seq)
	re.mu.Lock()
	defer re.mu.Unlock()
	u := re.all[m.node]
	if u == nil {
		if re.all == nil {
			re.all = map[uint64]*uses{}
		}
		u = &uses{last: map[uint16]uint32{}}
		re.all[m.node] = u
	}
	u.at = time.Now()
	last, ok := u.last[id]
	u.last[id] = max(last, use)
	return ok && use <= last
}

// purge forgets publishers that have sent nothing for long.
func (re *repeated) purge(now time.Time) {
	re.mu.Lock()
	defer re.mu.Unlock()
	for uid, u := range re.all {
		if now.Sub(u.at) > repeatedTime {
			delete(re.all, uid)
		}
	}
}

// messageID distinguishes messages, over all nodes.
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

// all returns the ids, oldest first; nil has none.
func (s *dedupWindow) all() (ids []messageID) {
	if s == nil {
		return nil
	}
	for i := range s.order {
		ids = append(ids, s.order[(s.next+i)%len(s.order)])
	}
	return ids
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
