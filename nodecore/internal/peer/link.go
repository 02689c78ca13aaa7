package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	batchBytes  = 64 << 10               // written at once
	backoffMin  = 5 * time.Millisecond   // between attempts to reach a peer
	backoffMax  = 400 * time.Millisecond // low: what a healed network costs is this plus a round trip
	ackTimeout  = 3 * time.Second        // without progress a connection is taken for dead
	waitTimeout = 100 * time.Millisecond // without progress only frames to be held wait for a long queue
)

type state int

const (
	idle    state = iota // nothing was to be said yet
	dialing              // not reached yet, or lost a moment ago
	up
	down // the last attempt to reach it failed
)

func (s state) String() string { return [...]string{"idle", "dialing", "up", "down"}[s] }

// link is the link with one peer: the queue and connection towards it, and in inbound
// what comes from it.
type link struct {
	m        *Mesh
	name, id string
	ctx      context.Context // ends when the peer has left, or the mesh is closed
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	wake     chan struct{} // there is something to write; capacity 1
	redial   chan struct{} // dial now; capacity 1

	mu      sync.Mutex // guards what follows
	addr    string
	alive   bool
	state   state
	q       queue
	conn    net.Conn      // while up
	hold    *time.Timer   // runs while the peer, once wanted, is not reached, or handles nothing
	expired bool          // hold has expired since the peer was last reached
	resync  bool          // frames were dropped that the peer will miss: the handler must send its state again
	room    chan struct{} // closed when senders may look again whether the queue is short; nil if nobody waits
	stalled bool          // a wait for the queue was in vain; until it is short again only frames to be held wait
	closed  bool
	sent    uint64

	meeting sync.Mutex // orders Met calls; held over them
	met     uint64     // incarnation that Met was called for; guarded by meeting

	stream   uint64 // of our frames
	welcomed uint64 // incarnation that has handled frames of the stream; of run only
	refused  string // why, if the last attempt was refused; of run only

	stall stall
	in    inbound
}

func newLink(m *Mesh, p Peer) *link {
	l := &link{m: m, name: p.Name, id: p.ID, addr: p.Addr, alive: p.Alive, wake: make(chan struct{}, 1), redial: make(chan struct{}, 1)}
	l.q.next, l.stream, l.in.l, l.stall.l = 1, random(), l, l
	l.in.stream, l.in.last = m.cfg.Handler.Position(p.Name)
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	return l
}

// update takes over what membership newly knows of the peer.
func (l *link) update(p Peer) {
	l.mu.Lock()
	news, doubt := l.addr != p.Addr || p.Alive && !l.alive, l.alive && !p.Alive && l.state == up
	l.addr, l.alive = p.Addr, p.Alive
	l.mu.Unlock()
	if news {
		signal(l.redial)
	}
	if doubt { // a host that is gone closes no connection: one on which nothing is sent would stay up
		l.send(Frame{Kind: kindSkip, Lossy: true})
	}
}

// signal wakes a waiter of a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start opens the link if it is idle.
func (l *link) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.startLocked()
}

func (l *link) startLocked() {
	if l.closed || l.state != idle {
		return
	}
	l.state = dialing
	l.holdLocked()
	l.wg.Go(l.run)
}

// holdLocked starts the time for which the peer is waited for.
func (l *link) holdLocked() {
	if l.hold == nil && !l.expired && !l.closed {
		l.wg.Add(1)
		l.hold = time.AfterFunc(l.m.cfg.Hold, func() {
			defer l.wg.Done()
			l.holdExpired()
		})
	}
}

func (l *link) stopHoldLocked() {
	if l.hold != nil && l.hold.Stop() {
		l.wg.Done()
	}
	l.hold = nil
}

// holdExpired ends all waiting for the peer; only frames with Keep stay in the queue.
func (l *link) holdExpired() {
	l.mu.Lock()
	if l.hold == nil || l.closed {
		l.mu.Unlock()
		return
	}
	l.hold, l.expired = nil, true
	done, lost := l.q.expire(false)
	l.resync = l.resync || lost
	if l.conn != nil {
		l.conn.Close() // a connection by which nothing is handled; the next one tells of the loss
	}
	l.roomLocked()
	l.mu.Unlock()
	l.m.log.Warn("peer is not waited for any longer", "peer", l.name, "after", l.m.cfg.Hold)
	call(done, false)
}

func call(done []Waiter, accepted bool) {
	for _, w := range done {
		w.Done(accepted)
	}
}

func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == up
}

func (l *link) reachable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stall.state == answering && (l.state == up || l.state == dialing || l.state == idle && l.alive)
}

func (l *link) stat() Stat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stat{Name: l.name, State: l.state.String(), Queued: l.q.items.Len(), Bytes: l.q.bytes, Sent: l.sent, Dropped: l.q.dropped}
}

// close ends the link for good and returns when its goroutines have ended.
func (l *link) close() {
	l.cancel()
	l.mu.Lock()
	l.closed = true
	l.stopHoldLocked()
	l.stall.stopLocked()
	l.roomLocked()
	done, _ := l.q.expire(true)
	if l.conn != nil {
		l.conn.Close()
	}
	l.mu.Unlock()
	call(done, false)
	l.in.close()
	l.wg.Wait()
}

// run dials until the link is closed, and again whenever the connection is lost.
func (l *link) run() {
	backoff := backoffMin
	for l.ctx.Err() == nil {
		l.mu.Lock()
		first := l.q.first()
		l.mu.Unlock()
		err := l.session()
		if l.ctx.Err() != nil {
			return
		}
		l.m.log.Debug("link is not up", "peer", l.name, "error", err)
		if errors.Is(err, errLost) {
			l.mu.Lock()
			if l.q.first() != first { // it made progress
				backoff = backoffMin
			}
			l.state = dialing
			l.holdLocked()
			l.roomLocked()
			l.mu.Unlock()
		} else {
			l.mu.Lock()
			l.state = down
			done := l.q.releaseWaiters(false)
			l.mu.Unlock()
			call(done, false)
		}
		t := time.NewTimer(backoff/2 + rand.N(backoff))
		select {
		case <-t.C:
			backoff = min(2*backoff, backoffMax)
		case <-l.redial:
			backoff = backoffMin
		case <-l.ctx.Done():
		}
		t.Stop()
	}
}

var (
	errLost    = errors.New("connection is lost") // of a link that was up
	errBlocked = errors.New("cut by a fault")
)

// blocked says whether a fault cuts the peer off. TCP needs both directions.
func (l *link) blocked() bool {
	out, in := l.m.cfg.Faults(l.name)
	return out.Blocked || in.Blocked
}

// session dials, proves, and sends until the connection breaks.
func (l *link) session() error {
	if l.blocked() {
		return errBlocked
	}
	l.mu.Lock()
	addr, first := l.addr, l.q.first()
	l.mu.Unlock()
	self, key := l.m.identity()
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw := conn
	stop := context.AfterFunc(l.ctx, func() { raw.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(handshakeTime))
	if cfg := l.m.cfg.TLS; cfg != nil {
		conn = tls.Client(conn, cfg)
	}
	br := bufio.NewReaderSize(conn, 1024)
	w, err := greet(conn, br, key, greeting{identity: self, to: l.name, stream: l.stream, next: first}, l.id)
	if err != nil {
		l.logRefusal(err)
		return err
	}
	l.refused = ""
	conn.SetDeadline(time.Time{})
	l.established(conn, w.last)
	forgot := w.fresh && l.welcomed == w.incarnation // it dropped us for a while
	l.welcomed = w.incarnation
	l.meet(w.incarnation, forgot)
	l.m.log.Debug("link is up", "peer", l.name)
	return (&outbound{link: l, conn: conn, br: br, broken: make(chan struct{})}).pump()
}

// logRefusal logs that the peer refuses this node, once for every reason.
func (l *link) logRefusal(err error) {
	var refused *RefusedError
	if (errors.As(err, &refused) || errors.Is(err, errProof)) && l.refused != err.Error() {
		l.refused = err.Error()
		l.m.log.Warn("link is refused", "peer", l.name, "error", err)
	}
}

// established starts to use a connection; the peer has handled all up to last.
func (l *link) established(conn net.Conn, last uint64) {
	l.mu.Lock()
	done := l.handledLocked(last, nil)
	l.q.sent = 0
	l.state, l.conn, l.expired, l.stalled = up, conn, false, false
	if l.q.items.Len() > 0 {
		l.holdLocked() // that it answers doesn't say that it will handle anything
	}
	l.mu.Unlock()
	call(done, true)
}

// meet calls Handler.Met if the process at the other end is not the one of the call before, has dropped its state of this link, or misses frames.
func (l *link) meet(incarnation uint64, forgot bool) {
	l.meeting.Lock()
	defer l.meeting.Unlock()
	l.mu.Lock()
	again := l.resync && l.state == up && l.hasRoomLocked()
	if again = again || forgot || incarnation != l.met; again && l.state == up {
		l.resync = false
	}
	l.mu.Unlock()
	if !again {
		return
	}
	l.met = incarnation
	l.m.cfg.Handler.Met(l.name)
}
