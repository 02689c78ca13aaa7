package broker

import (
	"encoding/binary"

	"onemore/nodecore/internal/ring"
)

// partMax is how much of a session's messages goes into one frame.
const partMax = 4 << 20

// Records on disk that are packet ids, which the client may still hold; all others are deliveries.
const (
	recordReleased = 16 // our QoS 2 message waits for PUBCOMP
	recordReceived = 32 // the client's QoS 2 message waits for PUBREL
	recordPending  = 48 // likewise, but maybe not all other nodes have it
	recordUsed     = 64 // the client's QoS 2 messages with this id are finished
)

// sessionState is a session as it is sent to another node, or kept on disk, where messages and packet ids are records of their
// own.
type sessionState struct {
	id       string
	hops     byte
	stamp    stamp
	based    stamp // the newest state that it comes from
	uid      uint64
	expiry   uint32
	away     int64 // Unix milliseconds; 0: connected
	nextID   uint16
	clean    bool
	movedAt  stamp
	settled  bool
	moved    string // node that has it now; then only the subscriptions are left here
	subs     []subscription
	released []uint16          // our QoS 2 messages that wait for PUBCOMP
	recv     []uint16          // the client's QoS 2 messages that wait for PUBREL
	uses     map[uint16]uint32 // see inbox
	dedup    *dedupWindow      // when it is written, and
	ids      []messageID       // when it is read
	messages []delivery
}

func (st *sessionState) append(b []byte) []byte {
	b = appendString(b, st.id)
	b = append(b, st.hops)
	b = st.movedAt.append(st.based.append(st.stamp.append(b)))
	b = binary.BigEndian.AppendUint64(appendBool(b, st.settled), st.uid)
	for _, n := range []uint64{uint64(st.expiry), uint64(st.away), uint64(st.nextID)} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendString(appendBool(b, st.clean), st.moved)
	b = binary.AppendUvarint(b, uint64(len(st.subs)))
	for _, s := range st.subs {
		b = append(b, s.qos)
		b = appendBool(appendBool(b, s.noLocal), s.asPublish)
		b = binary.AppendUvarint(b, uint64(s.id))
		b = appendString(appendString(b, s.group), s.filter)
	}
	for _, ids := range [][]uint16{st.released, st.recv} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.BigEndian.AppendUint16(b, id)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(st.uses)))
	for id, n := range st.uses {
		b = binary.AppendUvarint(binary.BigEndian.AppendUint16(b, id), uint64(n))
	}
	b = st.dedup.append(b)
	b = binary.AppendUvarint(b, uint64(len(st.messages)))
	for _, d := range st.messages {
		rec := d.record()
		b = binary.AppendUvarint(b, uint64(len(rec)))
		b = append(b, rec...)
	}
	return b
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) sessionState() (st sessionState) {
	st.id, st.hops, st.stamp = r.string(), r.byte(), r.stamp()
	st.based, st.movedAt, st.settled, st.uid = r.stamp(), r.stamp(), r.bool(), r.uint64()
	st.expiry, st.away, st.nextID = uint32(r.uvarint()), int64(r.uvarint()), uint16(r.uvarint())
	st.clean, st.moved = r.bool(), r.string()
	for range r.count(6) {
		s := subscription{qos: r.byte() & 3, noLocal: r.bool(), asPublish: r.bool(), id: int(r.uvarint()), group: r.string(), filter: r.string()}
		st.subs = append(st.subs, s)
	}
	for _, ids := range []*[]uint16{&st.released, &st.recv} {
		for range r.count(2) {
			*ids = append(*ids, r.uint16())
		}
	}
	for range r.count(3) {
		if st.uses == nil {
			st.uses = map[uint16]uint32{}
		}
		id := r.uint16()
		st.uses[id] = uint32(r.uvarint())
	}
	st.ids = r.dedup()
	for range r.count(1) {
		d, err := parseDelivery(r.bytes())
		if err != nil {
			r.bad = true
			break
		}
		st.messages = append(st.messages, d)
	}
	return st
}

// idRecord is a packet id as it is kept.
func idRecord(kind byte, id uint16) []byte { return binary.BigEndian.AppendUint16([]byte{kind}, id) }

// record is a delivery as it is kept and sent.
func (d delivery) record() []byte {
	if d.m == nil {
		return idRecord(recordReleased, d.id)
	}
	b := make([]byte, 0, 48+len(d.share)+d.m.size())
	flags := d.qos
	if d.retain {
		flags |= 4
	}
	if d.dup {
		flags |= 8
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint16(b, d.id)
	b = binary.AppendUvarint(b, uint64(len(d.ids)))
	for _, id := range d.ids {
		b = binary.AppendUvarint(b, uint64(id))
	}
	b = appendString(b, d.share)
	return d.m.append(b)
}

func parseDelivery(rec []byte) (d delivery, err error) {
	r := &reader{b: rec}
	flags := r.byte()
	d = delivery{qos: flags & 3, retain: flags&4 != 0, dup: flags&8 != 0, id: r.uint16()}
	for range r.count(1) {
		d.ids = append(d.ids, int(r.uvarint()))
	}
	d.share = r.string()
	if r.bad || d.qos > 2 {
		return d, errMalformed
	}
	d.m, err = parseMessage(r.rest())
	return d, err
}

// basedLocked is the newest state that the session comes from.
func (mv *moving) basedLocked() stamp {
	if mv.took.compare(mv.based) > 0 {
		return mv.took
	}
	return mv.based
}

// stateLocked is all of a session but its messages and packet ids.
func (s *session) stateLocked() sessionState {
	st := sessionState{id: s.id, stamp: s.stamp, based: s.move.basedLocked(), movedAt: s.move.at, settled: s.move.settled, uid: s.uid, expiry: s.expiry, nextID: s.outbox.nextID, clean: s.clean, moved: s.move.to}
	if !s.away.IsZero() {
		st.away = s.away.UnixMilli()
	}
	for _, sub := range s.subs.all {
		st.subs = append(st.subs, sub)
	}
	return st
}

// exportLocked is the whole session, in parts that fit a frame each; all but the first are only messages.
func (s *session) exportLocked() (parts []sessionState) {
	st := s.stateLocked()
	st.moved, st.dedup, st.uses = "", s.dedup, s.inbox.uses
	s.outbox.inflight.All(func(f *inflightMessage) bool {
		if f.released {
			st.released = append(st.released, f.id)
		}
		return true
	})
	for id := range s.inbox.recv {
		st.recv = append(st.recv, id)
	}
	size := 0
	add := func(d delivery) {
		if size += d.m.size(); size > partMax && len(st.messages) > 0 {
			parts = append(parts, st)
			st, size = sessionState{id: s.id, stamp: s.stamp}, d.m.size()
		}
		st.messages = append(st.messages, d)
	}
	for _, d := range s.outbox.unacknowledgedLocked() {
		d.dup = true
		add(d)
	}
	for _, d := range s.outbox.queuedLocked() {
		add(d)
	}
	return append(parts, st)
}

// queuedLocked is the messages of the queue.
func (o *outbox) queuedLocked() (all []delivery) {
	o.queue.All(func(d *delivery) bool { all = append(all, *d); return true })
	return all
}

// importLocked takes over a state of the session from another node, unless the session comes from it or from a newer one; w waits
// until all nodes know where it is.
func (mv *moving) importLocked(st sessionState, w waits) {
	if mv.s.gone || mv.voidLocked(st) {
		return
	}
	mv.s.dedupLocked()
	if mv.s.durable() { // another node has had it meanwhile; what is newer here stays
		mv.s.addLocked(st.messages, false)
	} else {
		mv.replaceLocked(st)
	}
	if st.based.compare(mv.based) > 0 {
		mv.based = st.based
	}
	if st.stamp.compare(mv.took) > 0 {
		mv.took = st.stamp
	}
	for _, id := range append(st.ids, st.dedup.all()...) {
		mv.s.dedup.add(id)
	}
	for _, sub := range st.subs {
		if _, ok := mv.s.subs.all[sub.filter]; !ok {
			mv.s.subs.subscribeLocked(sub, w)
		}
	}
}

// voidLocked says whether the session comes from a state, so that there is nothing in it that the session had not, or has finished.
func (mv *moving) voidLocked(st sessionState) bool {
	return st.expiry > 0 && st.stamp.t != 0 && (st.stamp.compare(mv.based) <= 0 || st.stamp == mv.took)
}

// replaceLocked makes a state that of a new session. What has come for it meanwhile comes after what the state has.
func (mv *moving) replaceLocked(st sessionState) {
	mv.s.expiry, mv.s.outbox.nextID = st.expiry, st.nextID
	mv.s.restoreLocked(st)
	later := mv.s.outbox.queue
	mv.s.outbox.queue, mv.s.outbox.bytes = ring.Queue[delivery]{}, 0
	known := map[messageID]bool{} // to the state: what it does not have any more the client has finished
	for _, id := range append(st.ids, st.dedup.all()...) {
		known[id] = true
	}
	for _, d := range st.messages {
		known[messageID{d.m.node, d.m.seq}] = true
		mv.s.outbox.pushLocked(d)
		mv.s.duplicateLocked(d.m)
	}
	later.All(func(d *delivery) bool {
		if !known[messageID{d.m.node, d.m.seq}] {
			mv.s.outbox.pushLocked(*d)
		}
		return true
	})
}

// restoreLocked takes over what is known of packet ids.
func (s *session) restoreLocked(st sessionState) {
	for _, id := range st.released {
		d := delivery{id: id, qos: 2, seq: s.outbox.seqLocked()}
		s.outbox.persistLocked(d)
		s.outbox.inflight.Push(inflightMessage{delivery: d, released: true})
	}
	s.uid, s.inbox.uses = st.uid, st.uses
	for id := range st.uses {
		s.inbox.persistUseLocked(recordUsed, id)
	}
	for _, id := range st.recv {
		s.inbox.receivedLocked(id)
		s.inbox.persistUseLocked(recordReceived, id)
	}
}

// receivedLocked notes a QoS 2 message of the client that has been accepted.
func (ib *inbox) receivedLocked(id uint16) *incoming {
	if ib.recv == nil {
		ib.recv = map[uint16]*incoming{}
	}
	in := &incoming{s: ib.s, id: id, qos: 2, ready: true}
	ib.recv[id] = in
	return in
}

// addLocked queues messages that another node had for the session. With rest, they belong to a state that was taken over, as do
// their packet ids.
func (s *session) addLocked(all []delivery, rest bool) {
	if s.gone {
		return
	}
	for _, d := range all {
		if d.qos == 0 && s.conn == nil || s.duplicateLocked(d.m) {
			continue
		}
		if d.seq = 0; !rest {
			d.id, d.dup = 0, false
		}
		s.outbox.enqueueLocked(d, nil)
	}
}
