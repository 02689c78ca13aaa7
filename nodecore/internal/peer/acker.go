package peer

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxNumbers is how many frames one kindResume names at most; a kindAck names fewer.
const maxNumbers = 1000

// acker writes to the sending side of a connection how far its frames are handled, and which of their senders must pause: that
// comes with or before the acknowledgement. As a Pauser, it stands for the sender of the frame that is handled at the moment.
type acker struct {
	l       *link
	conn    net.Conn
	wg      sync.WaitGroup
	wake    chan struct{} // there are ended pauses, or due is set; capacity 1
	due     atomic.Uint64 // frame up to which all is to be acknowledged once it is settled; 0 none
	quit    chan struct{}
	writing sync.Mutex // held over a write, so that the end of a pause is written after its begin
	seq     uint64     // frame that is handled; the reader's

	mu    sync.Mutex     // guards what follows
	open  map[uint64]int // pauses by frame; nil once the connection is closed
	begun []uint64       // frames whose pause is not written yet
	ended []uint64       // frames whose end of a pause is not written yet
}

func newAcker(l *link, conn net.Conn) *acker {
	t := &acker{l: l, conn: conn, wake: make(chan struct{}, 1), quit: make(chan struct{}), open: map[uint64]int{}}
	t.wg.Go(t.run)
	return t
}

// close closes the connection too. Pauses that are open end by that, at the other side.
func (t *acker) close() {
	t.mu.Lock()
	t.open = nil
	t.mu.Unlock()
	close(t.quit)
	t.conn.Close()
	t.wg.Wait()
}

// Pause is Pauser's.
func (t *acker) Pause() (resume func()) {
	seq := t.seq
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[seq]++; t.open[seq] == 1 {
		t.begun = append(t.begun, seq)
	}
	return func() { t.resume(seq) }
}

// Position is Delivery's.
func (t *acker) Position() (stream, seq uint64) { return t.l.in.stream, t.seq }

func (t *acker) resume(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.open[seq]
	if n > 1 {
		t.open[seq] = n - 1
	}
	if n != 1 {
		return
	}
	delete(t.open, seq)
	if i := slices.Index(t.begun, seq); i >= 0 {
		t.begun = slices.Delete(t.begun, i, i+1) // its begin was not written yet
		return
	}
	t.ended = append(t.ended, seq)
	signal(t.wake)
}

// ack writes that all frames so far are handled, once that is settled.
func (t *acker) ack() error {
	last := t.l.in.last
	if t.l.m.cfg.Handler.Settled() {
		return t.settled(last)
	}
	t.due.Store(last)
	signal(t.wake)
	return nil
}

// settled writes that all frames up to last are handled.
func (t *acker) settled(last uint64) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	var body []byte
	t.mu.Lock()
	body, t.begun = appendNumbers(nil, t.begun), t.begun[:0]
	t.mu.Unlock()
	return t.write(kindAck, last, body)
}

// run acknowledges what has to be settled first, and writes the ends of pauses.
func (t *acker) run() {
	for {
		select {
		case <-t.wake:
		case <-t.quit:
			return
		}
		if due := t.due.Swap(0); due != 0 {
			t.l.m.cfg.Handler.Settle(t.l.name)
			if t.settled(due) != nil {
				t.conn.Close()
				return
			}
		}
		if t.writeEnded() != nil {
			t.conn.Close() // ends the reader
			return
		}
	}
}

func (t *acker) writeEnded() error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	if len(t.ended) == 0 {
		t.mu.Unlock()
		return nil
	}
	n := min(len(t.ended), maxNumbers)
	body := appendNumbers(nil, t.ended[:n])
	if t.ended = t.ended[n:]; len(t.ended) == 0 {
		t.ended = nil
	} else {
		signal(t.wake)
	}
	t.mu.Unlock()
	return t.write(kindResume, 0, body)
}

func (t *acker) write(kind byte, seq uint64, body []byte) error {
	out, _ := t.l.m.cfg.Faults(t.l.name)
	if out.Delay > 0 && !pause(t.l.ctx, out.Delay) {
		return t.l.ctx.Err()
	}
	t.conn.SetWriteDeadline(time.Now().Add(ackTimeout))
	var buf [headerLen]byte
	_, err := t.conn.Write(appendFrame(buf[:0], kind, seq, body, nil))
	return err
}
