package broker

import (
	"bufio"
	"errors"
	"net"
	"os"
	"runtime"
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
	b            *Broker
	nc           net.Conn
	br           *bufio.Reader
	s            *session
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
	quit         chan struct{}     // closed when the reader has ended
	done         chan struct{}     // closed when the connection has left its session
	ended        chan struct{}     // closed by end

	mu      sync.Mutex    // guards what follows; nothing is taken inside
	will    *will         // nil after an orderly end
	closing bool          // the writer closes after the next batch
	pauses  int           // of those to whom its messages go
	resumed chan struct{} // closed when there are none any more; nil if there are none
	cause   error
}

// serve handles a client's connection until it ends.
func (sv *server) serve(nc net.Conn) {
	c := &conn{b: sv.b, nc: nc, br: bufio.NewReaderSize(nc, 4096), quit: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{})}
	defer close(c.done)
	defer nc.Close()
	if !sv.b.sessions.track(c) {
		return
	}
	defer sv.b.sessions.untrack(c)
	nc.SetDeadline(time.Now().Add(connectTime))
	pk, err := c.readConnect()
	if err == nil {
		err = c.connect(pk)
	}
	if err != nil {
		sv.b.log.Debug("client not accepted", "remote", nc.RemoteAddr(), "client", pk.Connect.ClientIdentifier, "error", err)
		return
	}
	nc.SetDeadline(time.Time{})
	sv.b.stats.connections.Add(1)
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	err = c.readLoop()
	c.end(code(err))
	close(c.quit)
	signal(c.s.wake)
	writer.Wait()
	nc.Close()
	sv.b.stats.connections.Add(-1)
	sv.b.log.Debug("client disconnected", "client", c.s.id, "cause", c.cause, "error", err)
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

// readConnect reads the first packet.
func (c *conn) readConnect() (packets.Packet, error) {
	head, body, err := readPacket(c.br, maxConnect)
	if err != nil {
		return packets.Packet{}, err
	}
	if head>>4 != packets.Connect {
		return packets.Packet{}, packets.ErrProtocolViolationRequireFirstConnect
	}
	pk, err := decode(head, body, 0)
	var why packets.Code
	if errors.As(err, &why) && pk.ProtocolVersion == 5 && string(pk.Connect.ProtocolName) == "MQTT" {
		c.version = 5
		return pk, c.refuse(why)
	}
	return pk, err
}

// readLoop handles packets until the connection breaks, or the client ends it, which is no error.
func (c *conn) readLoop() error {
	for {
		waits := !whole(c.br)
		if c.keepalive > 0 && waits { // the packets before may have had to wait long
			c.nc.SetReadDeadline(time.Now().Add(c.keepalive))
		}
		head, body, err := readPacket(c.br, MaxPacket)
		if err != nil {
			return err
		}
		switch head >> 4 {
		case packets.Publish:
			if waits { // of connections that become readable at once, the scheduler runs the last one first: let the others go before
				runtime.Gosched()
			}
			var p publish
			if p, err = decodePublish(head, body, c.version, c.topic); err == nil {
				c.topic = p.topic
				err = c.publish(p)
			}
		case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
			var a ack
			if a, err = decodeAck(head, body); err == nil {
				c.acknowledge(a)
			}
		case packets.Disconnect:
			return c.disconnect(head, body)
		default:
			err = c.control(head, body)
		}
		if err != nil {
			return err
		}
	}
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
	return nil
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
	signal(c.s.wake)
}

// finalPacket appends the DISCONNECT; ok if the connection is closing.
func (c *conn) finalPacket(buf []byte) (b []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		return buf, false
	}
	why, _ := c.cause.(packets.Code)
	return encode(buf, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: why.Code, Properties: reasonString(c, why)}, c.version), true
}

// reasonString is the property that says in words why something is refused, if the client wants that and it can't be too large.
func reasonString(c *conn, why packets.Code) (p packets.Properties) {
	if why.Code >= packets.ErrUnspecifiedError.Code && !c.noReasons && c.maxPacket == 0 {
		p.ReasonString = why.Reason
	}
	return p
}

// settle waits until what the output promises is stored, and appends the acknowledgements. If it can't be stored, they say so, or
// the connection ends.
func (c *conn) settle(out *output) {
	err := c.b.store.Wait(out.need)
	end := err != nil && out.gated
	for i := range out.acks {
		a := &out.acks[i]
		refusable := a.kind == packets.Puback || a.kind == packets.Pubrec
		if err != nil && refusable {
			a.reason = packets.ErrQuotaExceeded.Code
		}
		end = end || err != nil && !refusable || a.reason == packets.ErrQuotaExceeded.Code && c.version < 5
	}
	if end {
		out.buf = out.buf[:0]
		c.end(packets.ErrQuotaExceeded)
		return
	}
	for _, a := range out.acks {
		if a.kind == packets.Pubrec && a.reason >= packets.ErrUnspecifiedError.Code {
			c.s.inbox.refuse(a.id)
		}
		out.buf = appendAck(out.buf, a, c.version)
	}
}

// writeLoop writes what the session has for the client until the connection ends.
func (c *conn) writeLoop() {
	var out output
	for {
		c.s.outbox.fill(c, &out, batchBytes)
		c.settle(&out)
		buf, finalPacket := c.finalPacket(out.buf)
		out.buf = buf
		if len(buf) > 0 {
			if !finalPacket {
				c.nc.SetWriteDeadline(time.Now().Add(writeTime))
			}
			if _, err := c.nc.Write(buf); err != nil {
				c.end(packets.CodeDisconnect) // ends the reader
				c.nc.Close()
				return
			}
		}
		if finalPacket {
			c.nc.Close()
			return
		}
		if len(buf) > 0 {
			continue
		}
		select {
		case <-c.s.wake:
		case <-c.quit:
			return
		}
	}
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
