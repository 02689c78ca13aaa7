package broker

import (
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/ring"
)

// outbox is what is to be sent to a client; guarded by the session's lock.
type outbox struct {
	s *session

	queue    ring.Queue[delivery]
	bytes    int
	inflight ring.Queue[inflightMessage] // in the order of sending
	nextID   uint16
	limit    int // of inflight
	nextSeq  uint64
	full     atomic.Bool // see noteFullLocked
	replies  []byte      // encoded packets to be written before the queue
	acks     []ack       // to be written after replies, but only once need is stored
	need     uint64      // change of the store that must be stored before acks are written, and
	gated    bool        // replies too

	waiting   []func() // lets those publishers go on that wait for the queue
	pausedFor *message // that the last of them was made to wait for
	watching  bool     // it is looked at whether the queue moves
	taken     uint64   // so many messages were taken off the queue
	stalled   bool     // a wait for the queue was in vain; until something is taken off it nobody waits
}

func (o *outbox) enqueueLocked(d delivery, from peer.Pauser) (stored bool) {
	switch {
	case o.queue.Len() >= queueMax, o.bytes+d.m.size() > queueBytes, o.s.conn == nil && !o.s.durable() && !o.s.fresh:
		o.s.b.stats.dropped.Add(1)
		return false
	}
	stored = o.pushLocked(d)
	if o.s.conn == nil {
		return stored
	}
	o.s.conn.kick()
	if from != nil && !o.stalled && (o.queue.Len() > pauseQueue || o.bytes > pauseBytes) && !o.pausedLocked(d.m) {
		o.waiting = append(o.waiting, from.Pause())
		o.pausedFor = d.m
		o.watchProgressLocked()
	}
	return stored
}

// pausedLocked says whether the message's publisher was made to wait a moment ago. If it is on another node, what it has sent until
// it hears of that is still on the way.
func (o *outbox) pausedLocked(m *message) bool {
	return o.pausedFor != nil && o.pausedFor.node == m.node && o.pausedFor.origin == m.origin && m.seq-o.pausedFor.seq < pauseEvery
}

// pushLocked queues a message; stored says that it is put into the store as well.
func (o *outbox) pushLocked(d delivery) (stored bool) {
	if d.qos > 0 {
		o.addLocked(&d)
	}
	o.queue.Push(d)
	o.bytes += d.m.size()
	o.noteFullLocked()
	return d.seq != 0
}

// noteFullLocked notes whether what is queued is enough for all that may be on the way at once.
func (o *outbox) noteFullLocked() {
	if full := o.queue.Len()+o.inflight.Len() >= o.limit; full != o.full.Load() {
		o.full.Store(full)
	}
}

// popLocked takes the head off the queue.
func (o *outbox) popLocked() delivery {
	d := o.queue.Pop()
	o.bytes -= d.m.size()
	o.taken++
	o.stalled = false
	if len(o.waiting) > 0 && o.queue.Len() <= resumeQueue && o.bytes <= resumeBytes {
		o.resumePublishersLocked()
	}
	return d
}

// resumePublishersLocked lets those go on who wait for the queue.
func (o *outbox) resumePublishersLocked() {
	o.stalled = false
	for _, resume := range o.waiting {
		resume()
	}
	o.waiting, o.pausedFor = nil, nil
}

// watchProgressLocked lets those go on who wait for the queue if nothing is taken off it for stallTimeout.
func (o *outbox) watchProgressLocked() {
	if o.watching {
		return
	}
	o.watching = true
	taken := o.taken
	o.s.b.after(stallTimeout, func() {
		o.s.mu.Lock()
		defer o.s.mu.Unlock()
		o.watching = false
		switch {
		case len(o.waiting) == 0:
		case o.taken == taken:
			o.resumePublishersLocked()
			o.stalled = true
		default:
			o.watchProgressLocked()
		}
	})
}

// output is what is written to a client at once.
type output struct {
	buf   []byte
	acks  []ack  // follow buf
	need  uint64 // see outbox
	gated bool
}

// promiseLocked has all that changed in the store so far stored before acks that are queued by now are written.
func (o *outbox) promiseLocked() { o.need = o.s.b.store.Number() }

// gateLocked has all that changed in the store so far stored before anything more is written, if the session is in the store.
func (s *session) gateLocked() {
	if s.saved {
		s.outbox.gated = true
		s.outbox.promiseLocked()
	}
}

// replyLocked queues an acknowledgement.
func (o *outbox) replyLocked(a ack) {
	o.acks = append(o.acks, a)
	if o.s.conn != nil {
		o.s.conn.kick()
	}
}

// fill moves what may be sent now into out, up to about limit bytes. It is the writer's, for connection c.
func (o *outbox) fill(c *conn, out *output, limit int) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	out.buf, out.acks, out.need, out.gated = out.buf[:0], out.acks[:0], 0, false
	if o.s.conn != c || o.s.gone { // what another node has taken over is that node's to send
		return
	}
	o.s.inbox.flushAcksLocked() // the client may have been made to wait for them
	out.buf = append(out.buf, o.replies...)
	if o.replies = o.replies[:0]; cap(o.replies) > 4096 {
		o.replies = nil
	}
	out.acks, o.acks = o.acks, out.acks
	o.fillQueueLocked(c, out, limit)
	out.need, out.gated, o.need, o.gated = o.need, o.gated, 0, false
}

func (o *outbox) fillQueueLocked(c *conn, out *output, limit int) {
	buf := out.buf
	now := time.Now()
	for o.queue.Len() > 0 && len(buf) < limit {
		if o.queue.At(0).qos > 0 && !o.freeIDLocked() {
			break
		}
		d := o.popLocked()
		if d.id == 0 && d.m.expired(now) || !d.fits(c) { // what was sent in time is sent again, unless the client now forbids it
			o.s.b.stats.dropped.Add(1)
			o.unpersistLocked(d)
			continue
		}
		if d.qos > 0 {
			if d.id == 0 {
				d.id = o.nextID
				o.persistLocked(d)
				if d.qos == 2 && d.seq != 0 { // else it could come again after a crash, with another id
					o.gated = true
					o.promiseLocked()
				}
			}
			o.inflight.Push(inflightMessage{delivery: d})
		}
		left := uint32(0)
		if d.m.expires != 0 {
			left = uint32(max(1, (d.m.expires-now.UnixMilli()+999)/1000))
		}
		buf = appendPublish(buf, d.m, o.shorten(c, d), left, c.version)
		o.s.b.stats.sent.Add(1)
	}
	out.buf = buf
	o.noteFullLocked()
}

// shorten lets the client know a topic by a number, as long as it takes new ones. The number is of this connection only.
func (o *outbox) shorten(c *conn, d delivery) delivery {
	if c.maxAliases == 0 {
		return d
	}
	d.alias, d.known = c.sendAliases[d.m.topic], true
	if d.alias == 0 && len(c.sendAliases) < int(c.maxAliases) {
		if c.sendAliases == nil {
			c.sendAliases = map[string]uint16{}
		}
		d.alias, d.known = uint16(len(c.sendAliases)+1), false
		c.sendAliases[d.m.topic] = d.alias
	}
	return d
}

// freeIDLocked makes nextID the id for the head of the queue, unless as many messages as may be are on the way. Ids go round, so that
// the oldest flight is the first one to be met.
func (o *outbox) freeIDLocked() bool {
	if o.inflight.Len() >= o.limit {
		return false
	}
	if o.queue.At(0).id != 0 {
		return true
	}
	id := o.nextID + 1
	if id == 0 {
		id = 1
	}
	if o.inflight.Len() > 0 && o.inflight.At(0).id == id {
		return false
	}
	o.nextID = id
	return true
}

// seqLocked is a new key in the store; 0 if the session doesn't outlive its connection.
func (o *outbox) seqLocked() uint64 {
	if !o.s.durable() {
		return 0
	}
	o.nextSeq++
	return o.nextSeq - 1
}

// addLocked puts a delivery into the store for the first time.
func (o *outbox) addLocked(d *delivery) {
	if d.seq = o.seqLocked(); d.seq != 0 {
		o.s.b.store.AddMessage(o.s.id, d.seq, d.record())
	}
}

// persistLocked puts a delivery as it is now into the store.
func (o *outbox) persistLocked(d delivery) {
	if d.seq != 0 {
		o.s.b.store.PutMessage(o.s.id, d.seq, d.record())
	}
}

// unpersistLocked removes a delivery from the store.
func (o *outbox) unpersistLocked(d delivery) {
	if d.seq != 0 {
		o.s.b.store.DeleteMessage(o.s.id, d.seq)
	}
}

// finish handles the client's acknowledgement of what we sent.
func (o *outbox) finish(a ack) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	i := o.inflightIndexLocked(a.id)
	if a.kind == packets.Pubrec && a.reason < 0x80 {
		rel := ack{kind: packets.Pubrel, id: a.id}
		if i < 0 {
			rel.reason = packets.ErrPacketIdentifierNotFound.Code
		} else if f := o.inflight.At(i); f.qos == 2 {
			f.released, f.m = true, nil
			if o.persistLocked(f.delivery); f.seq != 0 {
				o.promiseLocked()
			}
		}
		o.replyLocked(rel)
		return
	}
	if i < 0 || a.kind == packets.Puback && o.inflight.At(i).qos != 1 || a.kind == packets.Pubcomp && !o.inflight.At(i).released {
		return
	}
	o.unpersistLocked(o.inflight.At(i).delivery)
	o.inflight.Remove(i)
	o.noteFullLocked()
	if o.queue.Len() > 0 && o.s.conn != nil {
		o.s.conn.kick()
	}
}

// inflightIndexLocked returns the place of a flight; -1 if there is none with this packet id. Clients acknowledge in order, nearly.
func (o *outbox) inflightIndexLocked(id uint16) int {
	for i := range o.inflight.Len() {
		if o.inflight.At(i).id == id {
			return i
		}
	}
	return -1
}

// rewindLocked puts what is on the way back to the head of the queue, for a new connection.
func (o *outbox) rewindLocked() {
	var released ring.Queue[inflightMessage]
	for i := o.inflight.Len() - 1; i >= 0; i-- {
		f := o.inflight.At(i)
		if f.released {
			released.PushFront(*f)
			continue
		}
		f.dup = true
		o.queue.PushFront(f.delivery)
		o.bytes += f.m.size()
	}
	o.inflight = released
	o.noteFullLocked()
}

// clearLocked drops all messages.
func (o *outbox) clearLocked() {
	o.inflight.All(func(f *inflightMessage) bool { o.unpersistLocked(f.delivery); return true })
	o.queue.All(func(d *delivery) bool { o.unpersistLocked(*d); return true })
	if o.s.saved || o.s.durable() {
		for id := range o.s.inbox.uses {
			o.s.b.store.DeleteMessage(o.s.id, usesKey(id))
		}
	}
	o.inflight.Clear()
	o.queue.Clear()
	o.bytes, o.s.inbox.recv, o.s.inbox.uses, o.s.dedup = 0, nil, nil, nil
	o.resumePublishersLocked()
}
