package broker

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"onemore/nodecore/internal/peer"
)

const (
	inflightMax  = 512      // QoS 1 and 2 messages that are on the way to a client at once
	queueMax     = 100_000  // messages waiting in a session
	queueBytes   = 64 << 20 // likewise
	pauseQueue   = 1000     // messages from which on publishers wait for a connected client
	pauseBytes   = 4 << 20  // likewise
	resumeQueue  = 900      // messages from which on they go on, so few that a slow client doesn't hold them up for long at a time
	resumeBytes  = 3 << 20  // likewise
	pauseEvery   = 64       // messages of one publisher after which it is told to wait again
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
	asPublish bool   // keep the retain flag
	since     uint64 // see liveOrder
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
	alias  uint16 // of the topic, on a connection; 0 none
	known  bool   // the client knows the alias
}

// inflightMessage is a delivery with QoS 1 or 2 that the client has not finished with.
type inflightMessage struct {
	delivery
	released bool // PUBREC came, PUBREL was sent; m is nil then
}

// incoming is a PUBLISH with QoS 1 or 2 from the client.
type incoming struct {
	pending
	s      *session
	id     uint16
	qos    byte
	reason byte   // why it is refused; 0: it isn't
	sent   bool   // this node's own sessions have it already
	again  bool   // this node was started after it came; maybe not all others have it
	ready  bool   // accepted by all nodes that have a subscriber; guarded by s.mu, as are
	need   uint64 // the change of the store that must be stored before it is acknowledged,
	remote bool   // and whether a durable session on another node gets it
}

// promise says what an acknowledgement depends on.
func (in *incoming) promise(need uint64, remote bool) {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	in.need, in.remote = need, remote
}

// Done counts the nodes that have accepted it.
func (in *incoming) Done(bool) {
	if in.done() {
		in.s.inbox.accepted(in)
	}
}

// session is what a client has at this node, connected or not.
type session struct {
	b          *Broker
	id         string
	connecting sync.Mutex // held while a CONNECT for this client id is worked on

	mu     sync.Mutex // guards what follows; the locks of the registry and of the routing table may be taken inside
	conn   *conn      // nil while the client is away
	stamp  stamp      // when the client last connected
	expiry uint32     // seconds that the session lives without a connection; never
	gone   bool       // ended, or moved to another node
	fresh  bool       // made by a CONNECT that is still worked on
	uid    uint64     // random; with the packet id, and how often that was used before, it distinguishes the client's QoS 2 messages
	clean  bool       // the client wanted nothing of an older session
	saved  bool       // there is a record of it in the store
	move   moving
	subs   subscriptions
	outbox outbox
	inbox  inbox
	dedup  *dedupWindow // nil if no other node may hand over what came here

	away        time.Time // since when the client is away
	expiryTimer *timer    // ends the session
	willTimer   *timer    // publishes will
	will        *will     // to be published after a delay
}

// moving is where a session comes from, and where it has gone; guarded by the session's lock.
type moving struct {
	s     *session
	took  stamp    // when the client had connected for the state of another node that the session comes from,
	based stamp    // and for the newest one which that state comes from; what is older is void
	from  []string // nodes to be told when that is stored

	to      string // node that has the session now, while messages still come here for it
	at      stamp  // when the client connected there
	settled bool   // that node has stored it; until then it is kept here, too
}

// subscriptions are those of one session; guarded by its lock.
type subscriptions struct {
	s       *session
	all     map[string]subscription
	online  atomic.Bool // the client is connected
	several atomic.Bool // there is, or was, more than one
}

func newSession(b *Broker, id string) *session {
	s := &session{b: b, id: id, uid: random()}
	s.subs = subscriptions{s: s, all: map[string]subscription{}}
	s.outbox = outbox{s: s, limit: inflightMax, nextSeq: uint64(time.Now().UnixNano())} // keys that no older session of the client has
	s.inbox.s, s.move.s = s, s
	return s
}

// durable says whether the session outlives its connection. s.mu is held.
func (s *session) durable() bool { return s.expiry > 0 }

// keeps says whether the session is in the store.
func (s *session) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved
}

// deliver queues a message; stored says that it was put into the store, too. from, if set, waits if the queue gets long.
func (s *session) deliver(d delivery, from peer.Pauser) (stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliverLocked(d, from)
}

// deliverShare is deliver for a message of a group; false if the session has just left the group.
func (s *session) deliverShare(filter string, m *message, from peer.Pauser) (stored, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.subs.all[filter]
	if !ok {
		return false, false
	}
	d := delivery{m: m, qos: min(m.qos, sub.qos), share: filter, retain: sub.asPublish && m.retain}
	if sub.id != 0 {
		d.ids = []int{sub.id}
	}
	return s.deliverLocked(d, from), true
}

func (s *session) deliverLocked(d delivery, from peer.Pauser) (stored bool) {
	switch {
	case s.move.to != "":
		s.b.takeovers.handOver(s.move.to, s.id, 0, []delivery{d})
	case s.gone, s.conn == nil && d.qos == 0, s.duplicateLocked(d.m):
	default:
		return s.outbox.enqueueLocked(d, from)
	}
	return false
}

// deliverAnew queues a retained message, which may have come before as a new one.
func (s *session) deliverAnew(d delivery, from peer.Pauser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.outbox.enqueueLocked(d, from)
	}
}

// write puts an encoded packet before the queue, unless c is no longer the session's connection.
func (s *session) write(c *conn, encode func(b []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.outbox.replies = encode(s.outbox.replies)
		c.kick()
	}
}
