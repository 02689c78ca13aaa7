package peer

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	ackEvery = 64                    // frames, at most, before they are acknowledged
	ackAfter = 50 * time.Millisecond // likewise
)

// inbound is the receiving half of a link. What was handled is remembered over connections.
type inbound struct {
	l *link

	serving sync.Mutex // held by the connection that is served
	stream  uint64     // of the sender's frames; guarded by serving, as is last
	last    uint64     // frame of that stream that was handled last

	mu     sync.Mutex
	conn   net.Conn // that is served, to be closed when another takes over
	closed bool
}

// takeOver makes conn the one connection that is served. The one before is closed and its last frame handled when
// it returns.
func (in *inbound) takeOver(conn net.Conn) error {
	in.mu.Lock()
	if in.conn != nil {
		in.conn.Close()
	}
	in.conn = conn
	in.mu.Unlock()
	in.serving.Lock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conn != conn || in.closed {
		in.serving.Unlock()
		return errors.New("another connection took over")
	}
	return nil
}

func (in *inbound) release(conn net.Conn) {
	in.mu.Lock()
	if in.conn == conn {
		in.conn = nil
	}
	in.mu.Unlock()
	in.serving.Unlock()
}

// close ends what is served, and returns when its last frame has been handled.
func (in *inbound) close() {
	in.mu.Lock()
	in.closed = true
	if in.conn != nil {
		in.conn.Close()
	}
	in.mu.Unlock()
	in.serving.Lock() // waits for the reader
	defer in.serving.Unlock()
}

// inbound serves an accepted connection. It holds one of the slots until the other side has proved to be a peer.
func (m *Mesh) inbound(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(handshakeTime))
	if cfg := m.cfg.TLS; cfg != nil {
		conn = tls.Server(conn, cfg)
	}
	br := bufio.NewReaderSize(conn, 8<<10)
	self, key := m.identity()
	var l *link
	hello, err := challenge(conn, br, key, self, func(g greeting) error {
		l = m.link(g.name)
		switch {
		case l == nil, l.id != g.id:
			return fmt.Errorf("%s is not known here as a member", g.name)
		case l.blocked():
			return errBlocked
		}
		return nil
	})
	<-m.slots
	if err != nil {
		var refused *RefusedError
		if m.ctx.Err() == nil && errors.As(err, &refused) {
			m.log.Debug("link refused", "from", conn.RemoteAddr(), "name", hello.name, "error", err)
		}
		return
	}
	conn.SetDeadline(time.Time{})
	if err := l.in.serve(conn, br, hello); err != nil && l.ctx.Err() == nil {
		m.log.Debug("link from peer ended", "peer", l.name, "error", err)
	}
}

// serve handles the frames of one connection.
func (in *inbound) serve(conn net.Conn, br *bufio.Reader, hello greeting) error {
	l := in.l
	if err := in.takeOver(conn); err != nil {
		return err
	}
	defer in.release(conn)
	var fresh [1]byte
	if in.stream != hello.stream {
		in.stream, in.last, fresh[0] = hello.stream, hello.next-1, 1
	}
	// A process that was here before may have acknowledged more than Handler.Position knows: those frames don't come again.
	in.last = max(in.last, hello.next-1)
	l.m.cfg.Handler.Settle(l.name) // what was handled before is acknowledged by the welcome
	l.meet(hello.incarnation, false)
	if _, err := conn.Write(appendFrame(nil, kindWelcome, in.last, fresh[:], nil)); err != nil {
		return err
	}
	signal(l.redial) // it can be reached
	t := newAcker(l, conn)
	defer t.close()
	var buf []byte
	handled, acked := 0, time.Now()
	for {
		kind, seq, body, err := readFrame(br, buf, MaxFrame)
		if err != nil {
			return err
		}
		if buf = body; cap(buf) > batchBytes {
			buf = nil
		}
		_, fault := l.m.cfg.Faults(l.name)
		if fault.Delay > 0 && handled == 0 && !pause(l.ctx, fault.Delay) {
			return l.ctx.Err()
		}
		if err := in.handle(t, kind, seq, body); err != nil {
			return err
		}
		handled++
		if br.Buffered() > 0 && handled < ackEvery && time.Since(acked) < ackAfter {
			continue
		}
		if err := t.ack(); err != nil {
			return err
		}
		handled, acked = 0, time.Now()
	}
}

// handle passes a frame on if it is the next one.
func (in *inbound) handle(t *acker, kind byte, seq uint64, body []byte) error {
	l := in.l
	_, fault := l.m.cfg.Faults(l.name)
	switch {
	case l.blocked():
		return errBlocked
	case fault.Drop > 0 && rand.Float64() < fault.Drop:
		return errBlocked // sent again over the next connection
	case seq <= in.last:
		return nil // sent again, though handled
	case kind == kindSkip:
		in.last = seq
		return nil
	case seq != in.last+1:
		return fmt.Errorf("frame %d follows frame %d", seq, in.last)
	case kind >= KindOwn:
		return fmt.Errorf("frame of kind %#x", kind)
	}
	t.seq = seq
	l.m.cfg.Handler.Receive(l.name, kind, body, t)
	in.last = seq
	return nil
}
