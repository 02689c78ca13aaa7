package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	connectTime = 10 * time.Second // for the TLS handshake and CONNECT
	writeTime   = 30 * time.Second // a client that takes nothing for so long is gone
	closeTime   = time.Second      // for the DISCONNECT to a client whose connection is ended
	acceptMax   = 512              // of these are on their way to other nodes at once, and so will come to a client there that has enough
	beyondMax   = 64 << 10         // bytes of such messages that are taken although there are enough of them
	aliasMax    = 64               // topic aliases of a client
	batchBytes  = 32 << 10         // written at once
)

// conn is one network connection of a client.
type conn struct {
	b  *Broker
	nc net.Conn
	reading
	writer
	s            *session
	connected    bool // CONNECT was accepted
	version      byte
	keepalive    time.Duration // 0: none
	bridge       bool          // see bridgeBit
	noReasons    bool          // the client wants no reason strings
	limitedAlive bool          // keepalive is the server's, not the client's
	maxPacket    uint32        // largest packet that the client takes; 0 any
	aliases      map[uint16]string
	sendAliases  map[string]uint16 // topics that the client knows by number; the writer's
	maxAliases   uint16            // of sendAliases, as the client has it
	topic        string            // of the last PUBLISH; the next one often has the same
	pause        <-chan struct{}   // of the last PUBLISH, see paused
	beyond       int               // bytes that were taken during it
	done         chan struct{}     // closed when the connection has left its session
	ended        chan struct{}     // closed by end

	mu      sync.Mutex    // guards what follows; nothing is taken inside
	will    *will         // nil after an orderly end
	closing bool          // the writer closes after the next batch
	pauses  int           // of those to whom its messages go
	resumed chan struct{} // closed when there are none any more; nil if there are none
	cause   error
}

// newConn makes a connection that is known to the server; nil after Close.
func (sv *server) newConn(nc net.Conn) *conn {
	c := &conn{b: sv.b, nc: nc, done: make(chan struct{}), ended: make(chan struct{})}
	c.reading.c, c.writer.c = c, c
	c.quiet.Store(true)
	c.writing.Store(writerRuns) // nobody else may write until it is connected
	if !sv.b.sessions.track(c) {
		nc.Close()
		return nil
	}
	nc.SetDeadline(time.Now().Add(connectTime))
	return c
}

// serve handles a client's connection, on a goroutine of its own, until it ends.
func (sv *server) serve(nc net.Conn) {
	if c := sv.newConn(nc); c != nil {
		c.finish(c.handle())
	}
}

// finish ends a connection that can't be read any more, for that reason.
func (c *conn) finish(err error) {
	defer close(c.done)
	defer c.b.sessions.untrack(c)
	c.endTurn()
	c.state.Store(again) // what comes now, as the end of the connection, has no turn
	c.replaceLater(nil)
	c.in.release()
	if !c.connected {
		c.nc.Close()
		c.b.log.Debug("client not accepted", "error", err)
		return
	}
	c.end(code(err))
	c.stopWriter()
	c.nc.Close()
	c.b.stats.connections.Add(-1)
	c.b.log.Debug("client disconnected", "client", c.s.id, "cause", c.cause, "error", err)
	c.leave()
}

// code returns the reason code that an error stands for, if it is one that a client can be told.
func code(err error) packets.Code {
	var c packets.Code
	switch {
	case errors.As(err, &c):
		return c
	case errors.Is(err, os.ErrDeadlineExceeded):
		return packets.ErrKeepAliveTimeout
	}
	return packets.CodeDisconnect
}

// begin handles the first packet.
func (c *conn) begin(head byte, body []byte) error {
	if head>>4 != packets.Connect {
		return packets.ErrProtocolViolationRequireFirstConnect
	}
	pk, err := decode(head, body, 0)
	var why packets.Code
	if errors.As(err, &why) && pk.ProtocolVersion == 5 && string(pk.Connect.ProtocolName) == "MQTT" {
		c.version = 5
		return c.refuse(why)
	}
	if err == nil {
		err = c.connect(pk)
	}
	if err != nil {
		return err
	}
	c.connected = true
	c.nc.SetDeadline(time.Time{})
	c.b.stats.connections.Add(1)
	if pk.Connect.Clean { // there is the CONNACK only, which the client has room for
		c.write()
	} else {
		c.b.server.workers.run(task{c, true})
	}
	return nil
}

// handle handles packets until the connection breaks, or the client ends it, which is errEnded. With a connection of the poller it is
// errParked when nothing more has come.
func (c *conn) handle() error {
	for {
		head, body, ok, err := c.in.next(c.limit())
		switch {
		case err != nil:
			return err
		case ok:
			if c.turn != nil {
				c.turn.await()
			}
			err = c.packet(head, body)
			c.endTurn()
		default:
			err = c.fill()
		}
		if err != nil {
			return err
		}
	}
}

// limit is the size of the largest packet that may come.
func (c *conn) limit() int {
	if c.connected {
		return MaxPacket
	}
	return maxConnect
}

// packet handles one packet.
func (c *conn) packet(head byte, body []byte) error {
	if !c.connected {
		return c.begin(head, body)
	}
	if quiet := head>>4 == packets.Subscribe || head>>4 == packets.Unsubscribe; quiet != c.quiet.Load() {
		c.quiet.Store(quiet)
	}
	switch head >> 4 {
	case packets.Publish:
		p, err := decodePublish(head, body, c.version, c.topic)
		if err != nil {
			return err
		}
		c.topic = p.topic
		return c.publish(p)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		a, err := decodeAck(head, body)
		if err == nil {
			c.acknowledge(a)
		}
		return err
	case packets.Disconnect:
		return c.disconnect(head, body)
	}
	return c.control(head, body)
}

// control handles the packets that are rare.
func (c *conn) control(head byte, body []byte) error {
	pk, err := decode(head, body, c.version)
	if err != nil {
		return err
	}
	switch pk.FixedHeader.Type {
	case packets.Subscribe:
		return c.subscribe(pk)
	case packets.Unsubscribe:
		return c.unsubscribe(pk)
	case packets.Pingreq:
		c.s.write(c, func(b []byte) []byte { return append(b, packets.Pingresp<<4, 0) })
		return nil
	}
	return packets.ErrProtocolViolation
}

// disconnect handles the client's orderly end.
func (c *conn) disconnect(head byte, body []byte) error {
	d, err := decodeDisconnect(head, body, c.version)
	if err != nil {
		return err
	}
	if d.expires && !c.s.setExpiry(d.expiry) {
		return packets.ErrProtocolViolationZeroNonZeroExpiry
	}
	if d.reason != packets.CodeDisconnectWillMessage.Code {
		c.mu.Lock()
		w := c.will
		c.will = nil
		c.mu.Unlock()
		c.b.wills.tell(w, false)
	}
	c.end(packets.CodeDisconnect)
	return errEnded
}

// end closes the connection, after telling the client why if there is something to tell. It doesn't wait; it may be called by
// anybody, and more than once.
func (c *conn) end(why packets.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = why
	close(c.ended)
	if why.Code < packets.ErrUnspecifiedError.Code || c.version != 5 || c.s == nil {
		c.nc.Close()
		return
	}
	c.closing = true
	c.nc.SetDeadline(time.Now().Add(closeTime))
	c.kick()
}

// reasonString is the property that says in words why something is refused, if the client wants that and it can't be too large.
func reasonString(c *conn, why packets.Code) (p packets.Properties) {
	if why.Code >= packets.ErrUnspecifiedError.Code && !c.noReasons && c.maxPacket == 0 {
		p.ReasonString = why.Reason
	}
	return p
}

// fits says whether the client takes a message of this size.
func (d delivery) fits(c *conn) bool {
	return c.maxPacket == 0 || uint64(d.m.size()) < uint64(c.maxPacket) ||
		len(appendPublish(nil, d.m, d, 0, c.version)) <= int(c.maxPacket)
}

// cancelDelayedWill drops a will that has a delay, as the client has come back to its session elsewhere.
func (c *conn) cancelDelayedWill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.will != nil && c.will.delay > 0 {
		c.will = nil
	}
}

// leave takes the connection out of its session, and ends the session if it doesn't outlive it.
func (c *conn) leave() {
	s := c.s
	s.mu.Lock()
	c.mu.Lock()
	w := c.will
	c.mu.Unlock()
	if s.conn != c {
		s.mu.Unlock()
		c.b.publishWill(w)
		return
	}
	s.conn, s.outbox.replies, s.away = nil, nil, time.Now()
	s.inbox.acks.Clear()
	s.inbox.unacked = 0
	s.outbox.resumePublishersLocked()
	if s.inbox.room != nil {
		close(s.inbox.room)
		s.inbox.room = nil
	}
	s.subs.setOnlineLocked(false)
	switch {
	case s.gone: // the will is due
	case !s.durable():
		s.endLocked()
	default:
		if w != nil && w.delay > 0 {
			s.will, w = w, nil
		}
		s.saveLocked()
		s.startTimersLocked()
	}
	s.mu.Unlock()
	c.b.publishWill(w)
}
