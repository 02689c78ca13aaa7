package nodecore

import (
	"net"
	"net/http"
	"sync"
)

// connLimit bounds an HTTP server's connections. When there are too many, the
// one that has been idle for longest is closed, so that idle ones never keep
// others out; only if all are busy, the new one is.
type connLimit struct {
	max int

	mu   sync.Mutex // guards what follows
	open int
	tick uint64
	idle map[net.Conn]uint64 // when it became idle, in ticks
}

func newConnLimit(max int) *connLimit { return &connLimit{max: max, idle: make(map[net.Conn]uint64)} }

// state is the server's ConnState.
func (c *connLimit) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		if victim := c.add(conn); victim != nil {
			victim.Close() // the server notices, and says StateClosed
		}
	case http.StateIdle:
		c.setIdle(conn)
	case http.StateActive:
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.idle, conn)
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.idle, conn)
		c.open--
	}
}

func (c *connLimit) setIdle(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	c.idle[conn] = c.tick
}

// add counts a connection, and returns one that must be closed for it, or nil.
func (c *connLimit) add(conn net.Conn) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	if c.open > c.max {
		victim = conn
		oldest := c.tick + 1
		for other, since := range c.idle {
			if since < oldest {
				victim, oldest = other, since
			}
		}
	}
	if victim != conn {
		c.tick++
		c.idle[conn] = c.tick
	}
	delete(c.idle, victim)
	return victim
}
