package peer

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxTold is how many frames one word about the end of pauses names at most; a word about their begin is about fewer.
const maxTold = 1000

// teller says to the sender of a connection how far its frames are handled, and for which of them their senders are to wait, which
// is to be heard before they go on. As a Pauser, it stands for the sender of the frame that is handled at the moment.
type teller struct {
	l    *link
	conn net.Conn
	wg   sync.WaitGroup
	wake chan struct{} // there are ended pauses, or due is set; capacity 1
	due  atomic.Uint64 // frame up to which all is to be acknowledged once it is settled; 0 none
	quit chan struct{}
	turn sync.Mutex // held over the writing, so that the end of a pause is told after its begin
	seq  uint64     // frame that is handled; the reader's

	mu    sync.Mutex     // guards what follows
	open  map[uint64]int // pauses by frame; nil once the connection is closed
	begun []uint64       // frames of which it is to be told that they have one
	ended []uint64       // likewise, that they have none any more
}

func newTeller(l *link, conn net.Conn) *teller {
	t := &teller{l: l, conn: conn, wake: make(chan struct{}, 1), quit: make(chan struct{}), open: map[uint64]int{}}
	t.wg.Go(t.run)
	return t
}

// close closes the connection too. Pauses that are open end by that, at the other side.
func (t *teller) close() {
	t.mu.Lock()
	t.open = nil
	t.mu.Unlock()
	close(t.quit)
	t.conn.Close()
	t.wg.Wait()
}

// Pause is Pauser's.
func (t *teller) Pause() (resume func()) {
	seq := t.seq
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[seq]++; t.open[seq] == 1 {
		t.begun = append(t.begun, seq)
	}
	return func() { t.resume(seq) }
}

// Position is Delivery's.
func (t *teller) Position() (stream, seq uint64) { return t.l.in.stream, t.seq }

func (t *teller) resume(seq uint64) {
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
		t.begun = slices.Delete(t.begun, i, i+1) // nobody has heard of it
		return
	}
	t.ended = append(t.ended, seq)
	signal(t.wake)
}

// ack says that all so far is handled, once that is settled.
func (t *teller) ack() error {
	last := t.l.in.last
	if t.l.m.cfg.Handler.Settled() {
		return t.settled(last)
	}
	t.due.Store(last)
	signal(t.wake)
	return nil
}

// settled says that all up to last is handled.
func (t *teller) settled(last uint64) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	var body []byte
	t.mu.Lock()
	body, t.begun = appendNumbers(nil, t.begun), t.begun[:0]
	t.mu.Unlock()
	return t.write(kindAck, last, body)
}

// run acknowledges what has to be settled first, and tells of pauses that have ended.
func (t *teller) run() {
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
		if t.tellEnded() != nil {
			t.conn.Close() // ends the reader
			return
		}
	}
}

func (t *teller) tellEnded() error {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.mu.Lock()
	if len(t.ended) == 0 {
		t.mu.Unlock()
		return nil
	}
	n := min(len(t.ended), maxTold)
	body := appendNumbers(nil, t.ended[:n])
	if t.ended = t.ended[n:]; len(t.ended) == 0 {
		t.ended = nil
	} else {
		signal(t.wake)
	}
	t.mu.Unlock()
	return t.write(kindResume, 0, body)
}

func (t *teller) write(kind byte, seq uint64, body []byte) error {
	out, _ := t.l.m.cfg.Faults(t.l.name)
	if out.Delay > 0 && !pause(t.l.ctx, out.Delay) {
		return t.l.ctx.Err()
	}
	t.conn.SetWriteDeadline(time.Now().Add(ackTimeout))
	var buf [headerLen]byte
	_, err := t.conn.Write(appendFrame(buf[:0], kind, seq, body, nil))
	return err
}
