package broker

import (
	"maps"
	"slices"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// registry is the connections and sessions of this node.
type registry struct {
	b *Broker

	mu     sync.RWMutex // guards what follows; nothing is taken inside
	closed bool
	conns  map[*conn]struct{}
	all    map[string]*session
	moved  map[string]*session // sessions that are at another node, while messages are passed on
}

// get returns a client's session; nil if there is none here.
func (rg *registry) get(client string) *session {
	rg.mu.RLock()
	defer rg.mu.RUnlock()
	return rg.all[client]
}

// getMoved returns a client's session that has moved, and that messages are passed on for; nil if there is none.
func (rg *registry) getMoved(client string) *session {
	rg.mu.RLock()
	defer rg.mu.RUnlock()
	return rg.moved[client]
}

// list returns all sessions but those that have moved.
func (rg *registry) list() []*session {
	rg.mu.RLock()
	defer rg.mu.RUnlock()
	return slices.Collect(maps.Values(rg.all))
}

// listMoved returns the sessions that have moved.
func (rg *registry) listMoved() []*session {
	rg.mu.RLock()
	defer rg.mu.RUnlock()
	return slices.Collect(maps.Values(rg.moved))
}

// move notes that a session is at another node now, and returns one that moved before.
func (rg *registry) move(s *session) (old *session) {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	delete(rg.all, s.id)
	old = rg.moved[s.id]
	rg.moved[s.id] = s
	return old
}

// moveBack makes a session that has moved one of this node again, unless the client has a newer one here.
func (rg *registry) moveBack(s *session) bool {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	if rg.all[s.id] != nil || rg.moved[s.id] != s || rg.closed {
		return false
	}
	delete(rg.moved, s.id)
	rg.all[s.id] = s
	return true
}

// remove takes a session out that has ended.
func (rg *registry) remove(s *session) {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	if rg.all[s.id] == s {
		delete(rg.all, s.id)
	}
	if rg.moved[s.id] == s {
		delete(rg.moved, s.id)
	}
}

// close lets no more connections and sessions in; false if it was called before.
func (rg *registry) close() bool {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	was := rg.closed
	rg.closed = true
	return !was
}

// track notes a connection, so that it can be closed; false after Close.
func (rg *registry) track(c *conn) bool {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	if rg.closed {
		return false
	}
	rg.conns[c] = struct{}{}
	return true
}

func (rg *registry) untrack(c *conn) {
	rg.mu.Lock()
	defer rg.mu.Unlock()
	delete(rg.conns, c)
}

// disconnectAll ends all connections, and returns when they have left their sessions.
func (rg *registry) disconnectAll(why packets.Code) {
	rg.mu.RLock()
	all := slices.Collect(maps.Keys(rg.conns))
	rg.mu.RUnlock()
	for _, c := range all {
		c.end(why)
	}
	for _, c := range all {
		<-c.done
	}
}

// acquire returns the client's session, new or not, with its connecting lock held and no connection. It is nil after Close.
func (rg *registry) acquire(id string) *session {
	for {
		rg.mu.Lock()
		if rg.closed {
			rg.mu.Unlock()
			return nil
		}
		s := rg.all[id]
		if s == nil {
			s = newSession(rg.b, id)
			s.fresh = true
			rg.all[id] = s
		}
		rg.mu.Unlock()
		s.connecting.Lock()
		s.mu.Lock()
		gone, old := s.gone, s.conn
		s.mu.Unlock()
		if !gone && old == nil {
			return s
		}
		if old != nil {
			old.end(packets.ErrSessionTakenOver)
			<-old.done
		}
		s.connecting.Unlock()
	}
}

// stopForwarding ends the passing on of messages for a session that has come back.
func (rg *registry) stopForwarding(id string) {
	rg.mu.RLock()
	stub := rg.moved[id]
	rg.mu.RUnlock()
	if stub != nil {
		stub.mu.Lock()
		defer stub.mu.Unlock()
		stub.move.stopForwardingLocked()
	}
}
