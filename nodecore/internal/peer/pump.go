package peer

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// outbound is one connection of the sending half of a link.
type outbound struct {
	*link
	conn   net.Conn
	br     *bufio.Reader
	broken chan struct{} // closed when the reader of acknowledgements has ended
}

// pump writes what is queued and reads acknowledgements, until the connection breaks.
func (o *outbound) pump() error {
	var ackErr error
	o.wg.Go(func() {
		ackErr = o.readAcks()
		o.conn.Close()
		close(o.broken)
	})
	err := o.writeQueue()
	o.conn.Close()
	<-o.broken
	o.mu.Lock()
	o.conn = nil
	o.mu.Unlock()
	return fmt.Errorf("%w: %w", errLost, errors.Join(err, ackErr))
}

// writeQueue writes until the connection breaks.
func (o *outbound) writeQueue() error {
	var buf []byte
	var p progress
	for {
		out, in := o.m.cfg.Faults(o.name)
		if out.Blocked || in.Blocked {
			return errBlocked
		}
		var lose func() bool // to lose a frame is to lose the connection, as far as frames are concerned
		if out.Drop > 0 {
			lose = func() bool { return rand.Float64() < out.Drop }
		}
		var n int
		var cut bool
		o.mu.Lock()
		buf, n, cut = o.q.take(buf[:0], batchBytes, lose)
		o.sent += uint64(n)
		waiting := o.q.items.Len() > 0
		o.mu.Unlock()
		if out.Delay > 0 && n > 0 && !pause(o.ctx, out.Delay) {
			return o.ctx.Err()
		}
		if n > 0 {
			o.conn.SetWriteDeadline(time.Now().Add(ackTimeout))
			if _, err := o.conn.Write(buf); err != nil {
				return err
			}
		}
		switch {
		case cut:
			return errBlocked
		case n > 0:
			continue
		case cap(buf) > 2*batchBytes, !waiting && cap(buf) > 4096:
			buf = nil // little is held while idle
		}
		if err := o.awaitWork(&p); err != nil {
			return err
		}
	}
}

// progress is since when the first frame of a queue has been the first; zero if there is none. However much is queued behind it, only its acknowledgement is progress.
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
// connection is o.broken.
func (o *outbound) awaitWork(p *progress) error {
	o.mu.Lock()
	p.note(&o.q)
	o.mu.Unlock()
	var late <-chan time.Time
	if !p.since.IsZero() {
		t := time.NewTimer(time.Until(p.since.Add(ackTimeout)))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-o.wake:
	case <-o.broken:
		return net.ErrClosed
	case <-late:
		was := *p
		o.mu.Lock()
		defer o.mu.Unlock()
		if p.note(&o.q); *p == was {
			return fmt.Errorf("nothing was handled for %v", ackTimeout)
		}
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
	return nil
}

// readAcks removes from the queue what the peer has handled. It has those senders wait of whom the peer wants no more, until it
// does, at most as long as the connection lasts.
func (o *outbound) readAcks() error {
	var buf [headerLen]byte
	var done []Waiter
	paused := map[uint64]func(){} // by frame
	defer func() {
		for _, resume := range paused {
			resume()
		}
	}()
	for {
		kind, seq, body, err := readFrame(o.br, buf[:0], 8*maxNumbers)
		if err != nil {
			return err
		}
		if _, in := o.m.cfg.Faults(o.name); in.Blocked {
			return errBlocked
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
		o.mu.Lock()
		if seq >= o.q.next {
			o.mu.Unlock()
			return fmt.Errorf("acknowledgement of frame %d, the last was %d", seq, o.q.next-1)
		}
		senders := o.q.senders(numbers(body))
		done = o.handledLocked(seq, done[:0])
		o.mu.Unlock()
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
