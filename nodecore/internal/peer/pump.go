package peer

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// pump writes what is queued and reads acknowledgements, until the connection breaks.
func (l *link) pump(conn net.Conn, br *bufio.Reader) error {
	broken := make(chan struct{})
	var ackErr error
	l.wg.Go(func() {
		ackErr = l.readAcks(br)
		conn.Close()
		close(broken)
	})
	err := l.writeQueue(conn, broken)
	conn.Close()
	<-broken
	l.mu.Lock()
	l.conn = nil
	l.mu.Unlock()
	return fmt.Errorf("%w: %w", errLost, errors.Join(err, ackErr))
}

// writeQueue writes until the connection breaks.
func (l *link) writeQueue(conn net.Conn, broken <-chan struct{}) error {
	var buf []byte
	var p progress
	for {
		out, in := l.m.cfg.Faults(l.name)
		if out.Blocked || in.Blocked {
			return errCut
		}
		var lose func() bool // to lose a frame is to lose the connection, as far as frames are concerned
		if out.Drop > 0 {
			lose = func() bool { return rand.Float64() < out.Drop }
		}
		var n int
		var cut bool
		l.mu.Lock()
		buf, n, cut = l.q.take(buf[:0], batchBytes, lose)
		l.sent += uint64(n)
		waiting := l.q.items.Len() > 0
		l.mu.Unlock()
		if out.Delay > 0 && n > 0 && !pause(l.ctx, out.Delay) {
			return l.ctx.Err()
		}
		if n > 0 {
			conn.SetWriteDeadline(time.Now().Add(ackTimeout))
			if _, err := conn.Write(buf); err != nil {
				return err
			}
		}
		switch {
		case cut:
			return errCut
		case n > 0:
			continue
		case cap(buf) > 2*batchBytes, !waiting && cap(buf) > 4096:
			buf = nil // little is held while idle
		}
		if err := l.awaitWork(broken, &p); err != nil {
			return err
		}
	}
}

// progress is since when the first frame of a queue has been the first; zero if there is none. However much is added behind it,
// a peer that doesn't handle it has handled nothing.
type progress struct {
	first uint64
	since time.Time
}

func (p *progress) note(q *queue) {
	switch {
	case q.items.Len() == 0:
		p.since = time.Time{}
	case p.since.IsZero() || p.first != q.first():
		p.first, p.since = q.first(), time.Now()
	}
}

// awaitWork returns when there may be something to write, with an error if acknowledgements don't come, or the
// connection is broken.
func (l *link) awaitWork(broken <-chan struct{}, p *progress) error {
	l.mu.Lock()
	p.note(&l.q)
	l.mu.Unlock()
	var late <-chan time.Time
	if !p.since.IsZero() {
		t := time.NewTimer(time.Until(p.since.Add(ackTimeout)))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-l.wake:
	case <-broken:
		return net.ErrClosed
	case <-late:
		was := *p
		l.mu.Lock()
		defer l.mu.Unlock()
		if p.note(&l.q); *p == was {
			return fmt.Errorf("nothing was handled for %v", ackTimeout)
		}
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	return nil
}

// readAcks removes from the queue what the peer has handled. It has those senders wait of whom the peer wants no more, until it
// does, at most as long as the connection lasts.
func (l *link) readAcks(br *bufio.Reader) error {
	var buf [headerLen]byte
	var done []Waiter
	paused := map[uint64]func(){} // by frame
	defer func() {
		for _, resume := range paused {
			resume()
		}
	}()
	for {
		kind, seq, body, err := readFrame(br, buf[:0], 8*maxTold)
		if err != nil {
			return err
		}
		if _, in := l.m.cfg.Faults(l.name); in.Blocked {
			return errCut
		}
		switch kind {
		case kindAck:
		case kindResume:
			for _, seq := range numbers(body) {
				if resume := paused[seq]; resume != nil {
					resume()
					delete(paused, seq)
				}
			}
			continue
		default:
			return fmt.Errorf("frame of kind %#x instead of an acknowledgement", kind)
		}
		l.mu.Lock()
		if seq >= l.q.next {
			l.mu.Unlock()
			return fmt.Errorf("acknowledgement of frame %d, the last was %d", seq, l.q.next-1)
		}
		senders := l.q.senders(numbers(body))
		done = l.handledLocked(seq, done[:0])
		l.mu.Unlock()
		for seq, s := range senders {
			paused[seq] = s.Pause()
		}
		call(done, true)
		if cap(done) > 1024 {
			done = nil
		}
		clear(done)
	}
}
