package broker

import (
	"encoding/binary"
	"sync"
	"time"

	"onemore/nodecore/internal/peer"
)

// takeTurns is how long a node waits for each one before it that may publish the will of a client whose node was given up.
const takeTurns = 200 * time.Millisecond

// Parts of a list of wills. A change has neither.
const (
	willsBegin = 1 << iota
	willsEnd
)

// heldWills are the wills of clients of other nodes. They are published here when such a node is given up, or was restarted. Nodes
// do so in the order of their names, and drop what another one has published; if two publish the same, it is delivered once.
type heldWills struct {
	b *Broker

	sending sync.Mutex // held over the sending of this node's own, so that others hear of changes in their order; a session's lock may be taken inside

	mu   sync.Mutex            // guards what follows; nothing is taken inside but locks of peer
	of   map[string]*nodeWills // by the node of their clients
	lost map[string][]*lostWill
}

// nodeWills are the wills of one node's clients.
type nodeWills struct {
	process     uint64           // incarnation
	alive       bool             // membership took the node for running
	all, before map[string]*will // by client; before is what was known while the node tells all, and has not told it yet
}

// lostWill is a will that is due.
type lostWill struct {
	*will
	timer *timer
}

func appendWill(b []byte, w *will) []byte {
	b = binary.AppendUvarint(b, uint64(w.delay/time.Second))
	b = binary.AppendUvarint(b, uint64(w.expiry))
	m := w.m.append(nil)
	b = binary.AppendUvarint(b, uint64(len(m)))
	return append(b, m...)
}

func (r *reader) will(at stamp) *will {
	w := &will{at: at, delay: time.Duration(r.uvarint()&0xffffffff) * time.Second, expiry: uint32(r.uvarint())}
	m, err := parseMessage(r.bytes())
	if err != nil {
		r.bad = true
		return nil
	}
	w.m = *m
	return w
}

// appendWillEntry says that a client has a will; or, without set, that it no longer has.
func appendWillEntry(b []byte, w *will, set bool) []byte {
	b = appendBool(w.at.append(appendString(b, w.m.origin)), set)
	if set {
		b = appendWill(b, w)
	}
	return b
}

func (hw *heldWills) head(flags byte) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags}, hw.b.incarnation)
}

// tell tells all peers of one will.
func (hw *heldWills) tell(w *will, set bool) {
	if w == nil {
		return
	}
	body := appendWillEntry(hw.head(0), w, set)
	hw.sending.Lock()
	defer hw.sending.Unlock()
	for _, name := range hw.b.mesh.Peers() {
		hw.b.tell(name, frameWills, body, nil)
	}
}

// tellAll tells a peer the wills of all clients of this node, in as many frames as it takes.
func (hw *heldWills) tellAll(name string) {
	hw.sending.Lock()
	defer hw.sending.Unlock()
	send := func(body []byte) { hw.b.mesh.Send(name, peer.Frame{Kind: frameWills, Body: body, Must: true}) }
	body := hw.head(willsBegin)
	for _, s := range hw.b.sessions.list() {
		if w := s.ownWill(); w != nil {
			body = appendWillEntry(body, w, true)
		}
		if len(body) > chunkMax {
			send(body)
			body = hw.head(0)
		}
	}
	body[0] |= willsEnd
	send(body)
}

// ownWill is the will that the session's client has at the moment.
func (s *session) ownWill() *will {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return s.will
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.will
}

// told takes over what another node says of wills.
func (hw *heldWills) told(from string, r *reader) error {
	flags, process := r.byte(), r.uint64()
	hw.mu.Lock()
	defer hw.mu.Unlock()
	nw := hw.of[from]
	if nw == nil {
		nw = &nodeWills{process: process, alive: hw.b.mesh.Alive(from), all: map[string]*will{}}
		hw.of[from] = nw
	}
	if nw.process != process { // its clients were lost with the process before
		hw.loseLocked(from, nw)
		nw.process = process
	}
	if flags&willsBegin != 0 {
		nw.before, nw.all = nw.all, map[string]*will{}
	}
	for len(r.b) > 0 && !r.bad {
		client, at, set := r.string(), r.stamp(), r.bool()
		if !set && !r.bad {
			hw.forgetLocked(client, at)
		} else if w := r.will(at); !r.bad {
			nw.all[client] = w
		}
	}
	if flags&willsEnd != 0 { // what it has not told again it has published, or dropped
		nw.before = nil
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// forgetLocked drops a will that was published, or is no longer to be.
func (hw *heldWills) forgetLocked(client string, at stamp) {
	for _, nw := range hw.of {
		for _, all := range []map[string]*will{nw.all, nw.before} {
			if w := all[client]; w != nil && w.at == at {
				delete(all, client)
			}
		}
	}
	hw.dropLostLocked(client, func(l *lostWill) bool { return l.at == at })
}

func (hw *heldWills) dropLostLocked(client string, drop func(*lostWill) bool) {
	var left []*lostWill
	for _, l := range hw.lost[client] {
		if drop(l) {
			l.timer.stop()
		} else {
			left = append(left, l)
		}
	}
	if hw.lost[client] = left; len(left) == 0 {
		delete(hw.lost, client)
	}
}

// loseLocked has all wills of a node published when they are due.
func (hw *heldWills) loseLocked(node string, nw *nodeWills) {
	turn := hw.turn(node)
	for _, all := range []map[string]*will{nw.before, nw.all} {
		for _, w := range all {
			hw.expectLocked(w, w.delay+turn)
		}
	}
	nw.all, nw.before = map[string]*will{}, nil
}

func (hw *heldWills) expectLocked(w *will, in time.Duration) {
	if hw.b.ctx.Err() != nil {
		return
	}
	l := &lostWill{will: w}
	client := w.m.origin
	hw.lost[client] = append(hw.lost[client], l)
	l.timer = hw.b.after(in, func() {
		due := false
		hw.mu.Lock()
		hw.dropLostLocked(client, func(o *lostWill) bool { due = due || o == l; return o == l })
		hw.mu.Unlock()
		if due {
			hw.b.publishWill(w)
		}
	})
}

// turn is how long this node leaves the wills of another one to those that come before it.
func (hw *heldWills) turn(node string) (d time.Duration) {
	for _, name := range hw.b.mesh.Peers() {
		if name != node && name < hw.b.cfg.Name && hw.b.mesh.Alive(name) {
			d += takeTurns
		}
	}
	return d
}

// look has the wills of nodes published that no longer run.
func (hw *heldWills) look() {
	hw.mu.Lock()
	defer hw.mu.Unlock()
	for name, nw := range hw.of {
		alive := hw.b.mesh.Alive(name)
		if nw.alive && !alive {
			hw.loseLocked(name, nw)
		}
		nw.alive = alive
	}
}

// left has the wills of a node published that is no longer a member.
func (hw *heldWills) left(name string) {
	hw.mu.Lock()
	defer hw.mu.Unlock()
	if nw := hw.of[name]; nw != nil {
		hw.loseLocked(name, nw)
		delete(hw.of, name)
	}
}

// back says that a client has connected again: a will that waits for that is void, unless the session ends by it.
func (hw *heldWills) back(client string, at stamp, clean bool) {
	hw.mu.Lock()
	defer hw.mu.Unlock()
	waits := func(w *will) bool { return w != nil && w.delay > 0 && w.at.compare(at) < 0 }
	if !clean {
		for _, nw := range hw.of {
			for _, all := range []map[string]*will{nw.all, nw.before} {
				if waits(all[client]) {
					delete(all, client)
				}
			}
		}
	}
	var due []*will
	hw.dropLostLocked(client, func(l *lostWill) bool {
		if waits(l.will) && clean {
			due = append(due, l.will)
		}
		return waits(l.will)
	})
	for _, w := range due {
		hw.expectLocked(w, hw.turn(w.at.node))
	}
}

// reset drops all.
func (hw *heldWills) reset() {
	hw.mu.Lock()
	defer hw.mu.Unlock()
	for client := range hw.lost {
		hw.dropLostLocked(client, func(*lostWill) bool { return true })
	}
	hw.of = map[string]*nodeWills{}
}
