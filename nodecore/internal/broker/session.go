package broker

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/ring"
)

const (
	window       = 512      // QoS 1 and 2 messages that are on the way to a client at once
	queueMax     = 100_000  // messages waiting in a session
	queueBytes   = 64 << 20 // likewise
	longQueue    = 1000     // messages from which on publishers wait for a connected client
	longBytes    = 4 << 20  // likewise
	shortQueue   = 900      // messages from which on they go on, so few that a slow client doesn't hold them up for long at a time
	shortBytes   = 3 << 20  // likewise
	tellEvery    = 64       // messages of one publisher after which it is told to wait again
	never        = math.MaxUint32
	stallTimeout = 100 * time.Millisecond // without progress a client's queue is no longer waited for
)

// subscription is what a client asked for with one filter.
type subscription struct {
	filter    string // with the share group
	group     string // "" if not shared
	id        int    // MQTT 5 subscription identifier; 0 none
	qos       byte
	noLocal   bool
	asPublish bool // keep the retain flag
}

// delivery is a message on its way to one client.
type delivery struct {
	m      *message
	ids    []int  // subscription identifiers
	share  string // filter of the shared subscription that it comes by
	seq    uint64 // key in the store; 0 if it isn't there
	id     uint16 // packet id; 0 until it is sent
	qos    byte
	retain bool
	dup    bool
}

// flight is a delivery with QoS 1 or 2 that the client has not finished with.
type flight struct {
	delivery
	released bool // PUBREC came, PUBREL was sent; m is nil then
}

// incoming is a PUBLISH with QoS 1 or 2 from the client.
type incoming struct {
	pending
	s     *session
	seq   uint64 // as delivery's
	id    uint16
	qos   byte
	ready bool // accepted by all nodes that have a subscriber; guarded by s.mu
}

// Done counts the nodes that have accepted it.
func (in *incoming) Done(bool) {
	if in.done() {
		in.s.accepted(in)
	}
}

// session is what a client has at this node, connected or not.
type session struct {
	b    *Broker
	id   string
	turn sync.Mutex // held while a CONNECT for this client id is worked on

	mu     sync.Mutex // guards what follows; b.mu may be taken inside
	conn   *conn      // nil while the client is away
	stamp  stamp      // when the client last connected
	expiry uint32     // seconds that the session lives without a connection; never
	gone   bool       // ended, or moved to another node
	fresh  bool       // made by a CONNECT that is still worked on
	subs   map[string]subscription

	queue   ring.Queue[delivery]
	bytes   int
	flights ring.Queue[flight] // in the order of sending
	nextID  uint16
	limit   int // of flights
	nextSeq uint64

	recv map[uint16]*incoming  // QoS 2, from PUBLISH to PUBREL
	acks ring.Queue[*incoming] // to be acknowledged on this connection, in order
	out  []byte                // encoded packets to be written before the queue

	wake    chan struct{} // there is something to write; capacity 1
	room    chan struct{} // closed when acks is no longer long; nil if it isn't
	waiting []func()      // lets those publishers go on that wait for the queue
	told    *message      // that the last of them was made to wait for
	watched bool          // it is looked at whether the queue moves
	taken   uint64        // so many messages were taken off the queue
	stalled bool          // a wait for the queue was in vain; until something is taken off it nobody waits

	away  time.Time // since when the client is away
	rest  *timer    // ends the session
	sigh  *timer    // publishes will
	will  *will     // to be published after a delay
	saved bool      // there is a record of it in the store

	clean bool   // the client wanted nothing of an older session
	moved string // node that has the session now, while messages still come here for it

	seen    *seen       // nil if no other node may hand over what came here
	online  atomic.Bool // conn is not nil
	several atomic.Bool // it has, or had, more than one plain subscription
}

func newSession(b *Broker, id string) *session {
	return &session{b: b, id: id, subs: map[string]subscription{}, wake: make(chan struct{}, 1), limit: window, nextSeq: 1}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// durable says whether the session outlives its connection. s.mu is held.
func (s *session) durable() bool { return s.expiry > 0 }

// deliver queues a message. from, if set, waits if the queue gets long.
func (s *session) deliver(d delivery, from peer.Pauser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliverLocked(d, from)
}

// deliverShare is deliver for a message of a group; false if the session has just left the group.
func (s *session) deliverShare(filter string, m *message, from peer.Pauser) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.subs[filter]
	if !ok {
		return false
	}
	d := delivery{m: m, qos: min(m.qos, sub.qos), share: filter, retain: sub.asPublish && m.retain}
	if sub.id != 0 {
		d.ids = []int{sub.id}
	}
	s.deliverLocked(d, from)
	return true
}

func (s *session) deliverLocked(d delivery, from peer.Pauser) {
	switch {
	case s.moved != "":
		s.b.handOver(s.moved, s.id, 0, []delivery{d})
	case s.gone, s.conn == nil && d.qos == 0, s.knownLocked(d.m):
	default:
		s.enqueueLocked(d, from)
	}
}

// deliverAnew queues a retained message, which may have come before as a new one.
func (s *session) deliverAnew(d delivery, from peer.Pauser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.enqueueLocked(d, from)
	}
}

func (s *session) enqueueLocked(d delivery, from peer.Pauser) {
	switch {
	case s.queue.Len() >= queueMax, s.bytes+d.m.size() > queueBytes, s.conn == nil && !s.durable() && !s.fresh:
		s.b.stats.dropped.Add(1)
		return
	}
	s.pushLocked(d)
	if s.conn == nil {
		return
	}
	signal(s.wake)
	if from != nil && !s.stalled && (s.queue.Len() > longQueue || s.bytes > longBytes) && !s.toldLocked(d.m) {
		s.waiting = append(s.waiting, from.Pause())
		s.told = d.m
		s.watchLocked()
	}
}

// toldLocked says whether the message's publisher was made to wait a moment ago. If it is on another node, what it has sent until
// it hears of that is still on the way.
func (s *session) toldLocked(m *message) bool {
	return s.told != nil && s.told.node == m.node && s.told.origin == m.origin && m.seq-s.told.seq < tellEvery
}

func (s *session) pushLocked(d delivery) {
	if d.qos > 0 {
		d.seq = s.seqLocked()
		s.keepLocked(d)
	}
	s.queue.Push(d)
	s.bytes += d.m.size()
}

// popLocked takes the head off the queue.
func (s *session) popLocked() delivery {
	d := s.queue.Pop()
	s.bytes -= d.m.size()
	s.taken++
	s.stalled = false
	if len(s.waiting) > 0 && s.queue.Len() <= shortQueue && s.bytes <= shortBytes {
		s.shortLocked()
	}
	return d
}

// shortLocked lets those go on who wait for the queue.
func (s *session) shortLocked() {
	s.stalled = false
	for _, resume := range s.waiting {
		resume()
	}
	s.waiting, s.told = nil, nil
}

// watchLocked lets those go on who wait for the queue if nothing is taken off it for stallTimeout.
func (s *session) watchLocked() {
	if s.watched {
		return
	}
	s.watched = true
	taken := s.taken
	s.b.after(stallTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watched = false
		switch {
		case len(s.waiting) == 0:
		case s.taken == taken:
			s.shortLocked()
			s.stalled = true
		default:
			s.watchLocked()
		}
	})
}

// fill moves what may be sent now into buf, up to about limit bytes. It is the writer's, for connection c.
func (s *session) fill(c *conn, buf []byte, limit int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return buf
	}
	s.flushAcksLocked() // the client may have been made to wait for them
	buf = append(buf, s.out...)
	if s.out = s.out[:0]; cap(s.out) > 4096 {
		s.out = nil
	}
	now := time.Now()
	for s.queue.Len() > 0 && len(buf) < limit {
		if s.queue.At(0).qos > 0 && !s.freeIDLocked() {
			break
		}
		d := s.popLocked()
		if d.id == 0 && d.m.expired(now) || !c.fits(d) { // what was sent in time is sent again, unless the client now forbids it
			s.b.stats.dropped.Add(1)
			s.forgetLocked(d)
			continue
		}
		if d.qos > 0 {
			if d.id == 0 {
				d.id = s.nextID
				s.keepLocked(d)
			}
			s.flights.Push(flight{delivery: d})
		}
		left := uint32(0)
		if d.m.expires != 0 {
			left = uint32(max(1, (d.m.expires-now.UnixMilli()+999)/1000))
		}
		buf = appendPublish(buf, d.m, d, left, c.version)
		s.b.stats.sent.Add(1)
	}
	return buf
}

// freeIDLocked makes nextID the id for the head of the queue, unless as many messages as may be are on the way. Ids go round, so that
// the oldest flight is the first one to be met.
func (s *session) freeIDLocked() bool {
	if s.flights.Len() >= s.limit {
		return false
	}
	if s.queue.At(0).id != 0 {
		return true
	}
	id := s.nextID + 1
	if id == 0 {
		id = 1
	}
	if s.flights.Len() > 0 && s.flights.At(0).id == id {
		return false
	}
	s.nextID = id
	return true
}

// seqLocked is a new key in the store; 0 if the session doesn't outlive its connection.
func (s *session) seqLocked() uint64 {
	if !s.durable() {
		return 0
	}
	s.nextSeq++
	return s.nextSeq - 1
}

// keepLocked puts a delivery as it is now into the store.
func (s *session) keepLocked(d delivery) {
	if d.seq != 0 {
		s.b.store.PutMessage(s.id, d.seq, d.record())
	}
}

// forgetLocked removes a delivery from the store.
func (s *session) forgetLocked(d delivery) {
	if d.seq != 0 {
		s.b.store.DeleteMessage(s.id, d.seq)
	}
}

// finish handles the client's acknowledgement of what we sent.
func (s *session) finish(a ack, version byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.flightLocked(a.id)
	if a.kind == packets.Pubrec && a.reason < 0x80 {
		rel := ack{kind: packets.Pubrel, id: a.id}
		if i < 0 {
			rel.reason = packets.ErrPacketIdentifierNotFound.Code
		} else if f := s.flights.At(i); f.qos == 2 {
			f.released, f.m = true, nil
			s.keepLocked(f.delivery)
		}
		s.out = appendAck(s.out, rel, version)
		signal(s.wake)
		return
	}
	if i < 0 || a.kind == packets.Puback && s.flights.At(i).qos != 1 || a.kind == packets.Pubcomp && !s.flights.At(i).released {
		return
	}
	s.forgetLocked(s.flights.At(i).delivery)
	s.flights.Remove(i)
	if s.queue.Len() > 0 {
		signal(s.wake)
	}
}

// flightLocked returns the place of a flight; -1 if there is none with this packet id. Clients acknowledge in order, nearly.
func (s *session) flightLocked(id uint16) int {
	for i := range s.flights.Len() {
		if s.flights.At(i).id == id {
			return i
		}
	}
	return -1
}

// write puts an encoded packet before the queue, unless c is no longer the session's connection.
func (s *session) write(c *conn, encode func(b []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.out = encode(s.out)
		signal(s.wake)
	}
}

// rewindLocked puts what is on the way back to the head of the queue, for a new connection.
func (s *session) rewindLocked() {
	var kept ring.Queue[flight]
	for i := s.flights.Len() - 1; i >= 0; i-- {
		f := s.flights.At(i)
		if f.released {
			kept.PushFront(*f)
			continue
		}
		f.dup = true
		s.queue.PushFront(f.delivery)
		s.bytes += f.m.size()
	}
	s.flights = kept
}

// clearLocked drops all messages.
func (s *session) clearLocked() {
	s.flights.All(func(f *flight) bool { s.forgetLocked(f.delivery); return true })
	s.queue.All(func(d *delivery) bool { s.forgetLocked(*d); return true })
	for _, in := range s.recv {
		s.forgetLocked(delivery{seq: in.seq})
	}
	s.flights.Clear()
	s.queue.Clear()
	s.bytes, s.recv, s.seen = 0, nil, nil
	s.shortLocked()
}
