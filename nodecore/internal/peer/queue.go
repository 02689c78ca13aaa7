package peer

import (
	"sort"

	"onemore/nodecore/internal/ring"
)

// item is a frame in a queue, or what is left of frames that were dropped: those have kind kindSkip and
// no body, and stand for all sequence numbers since the item before.
type item struct {
	Frame
	seq uint64
}

// overhead is what a queued frame costs beside its content, in bytes.
const overhead = 112

// size is what a frame counts for.
func (f *Frame) size() int {
	if f.Must {
		return 0
	}
	return overhead + len(f.Head) + len(f.Body)
}

// queue holds what a peer has not yet handled, in the order of sequence numbers.
type queue struct {
	items   ring.Queue[item]
	sent    int // so many items, from the head, are written to the current connection
	bytes   int
	next    uint64 // sequence number of the next frame
	dropped uint64
}

func (q *queue) push(f Frame) {
	it := item{Frame: f, seq: q.next}
	q.next++
	q.items.Push(it)
	q.bytes += it.size()
}

// first is the lowest sequence number that may still be sent.
func (q *queue) first() uint64 {
	if q.items.Len() == 0 {
		return q.next
	}
	return q.items.At(0).seq // of a skip, the last it stands for: the receiver takes it as it is
}

// ack removes all up to seq and adds those who wait for them to done.
func (q *queue) ack(seq uint64, done []Waiter) []Waiter {
	for q.items.Len() > 0 && q.items.At(0).seq <= seq {
		it := q.items.Pop()
		q.bytes -= it.size()
		if it.Waiter != nil {
			done = append(done, it.Waiter)
		}
		q.sent = max(0, q.sent-1)
	}
	return done
}

// senders returns those who are the senders of these frames.
func (q *queue) senders(seqs []uint64) map[uint64]Sender {
	if len(seqs) == 0 {
		return nil
	}
	all := map[uint64]Sender{}
	for _, seq := range seqs {
		i := sort.Search(q.items.Len(), func(i int) bool { return q.items.At(i).seq >= seq })
		if i < q.items.Len() && q.items.At(i).seq == seq && q.items.At(i).Sender != nil {
			all[seq] = q.items.At(i).Sender
		}
	}
	return all
}

// take appends the next unsent items to buf, until it has about limit bytes, and counts them as sent. cut says that lose
// wanted one to be lost on its way.
func (q *queue) take(buf []byte, limit int, lose func() bool) (b []byte, n int, cut bool) {
	for q.sent < q.items.Len() && len(buf) < limit {
		if lose != nil && lose() {
			return buf, n, true
		}
		it := q.items.At(q.sent)
		buf = appendFrame(buf, it.Kind, it.seq, it.Head, it.Body)
		q.sent++
		n++
	}
	return buf, n, false
}

// releaseWaiters takes all waiters, or those of frames without Hold.
func (q *queue) releaseWaiters(all bool) (done []Waiter) {
	q.items.All(func(it *item) bool {
		if it.Waiter != nil && (all || !it.Hold) {
			done = append(done, it.Waiter)
			it.Waiter = nil
		}
		return true
	})
	return done
}

// expire takes all waiters, and drops the frames without Keep. lost says that the peer will miss one of them.
func (q *queue) expire(all bool) (done []Waiter, lost bool) {
	var kept ring.Queue[item]
	q.bytes = 0
	q.items.All(func(it *item) bool {
		if it.Waiter != nil {
			done = append(done, it.Waiter)
			it.Waiter = nil
		}
		if !it.Keep || all {
			if it.Kind != kindSkip {
				q.dropped++
				lost = lost || !it.Lossy
			}
			it.Frame = Frame{Kind: kindSkip, Lossy: true}
			if n := kept.Len(); n > 0 && kept.At(n-1).Kind == kindSkip {
				kept.At(n - 1).seq = it.seq
				return true
			}
		}
		kept.Push(*it)
		q.bytes += it.size()
		return true
	})
	q.items, q.sent = kept, 0
	return done, lost
}
