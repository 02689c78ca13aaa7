package peer

// item is a frame in a queue, or what is left of frames that were given up: those have kind kindSkip and
// no body, and stand for all sequence numbers since the item before.
type item struct {
	Frame
	seq  uint64
	size int
}

// queue holds what a peer has not yet handled, in the order of sequence numbers.
type queue struct {
	items   []item
	sent    int // items[:sent] are written to the current connection
	bytes   int
	next    uint64 // sequence number of the next frame
	dropped uint64
}

// overhead is what a queued frame costs beside its body, in bytes.
const overhead = 96

func newItem(f Frame) item {
	size := overhead
	for _, b := range f.Body {
		size += len(b)
	}
	return item{Frame: f, size: size}
}

func (q *queue) push(it item) {
	it.seq = q.next
	q.next++
	q.items = append(q.items, it)
	q.bytes += it.size
}

// first is the lowest sequence number that may still be sent.
func (q *queue) first() uint64 {
	if len(q.items) == 0 {
		return q.next
	}
	return q.items[0].seq // of a skip, the last it stands for: the receiver takes it as it is
}

// ack removes all up to seq and returns their Done functions.
func (q *queue) ack(seq uint64) (done []func(bool)) {
	n := 0
	for n < len(q.items) && q.items[n].seq <= seq {
		it := &q.items[n]
		q.bytes -= it.size
		if it.Done != nil {
			done = append(done, it.Done)
		}
		*it = item{}
		n++
	}
	q.items = q.items[n:]
	q.sent = max(0, q.sent-n)
	if len(q.items) == 0 {
		q.items = nil // an idle link holds no memory
	}
	return done
}

// take returns the next unsent items, up to about limit bytes, and counts them as sent.
func (q *queue) take(limit int) []item {
	from, size := q.sent, 0
	for q.sent < len(q.items) && size < limit {
		size += q.items[q.sent].size
		q.sent++
	}
	return q.items[from:q.sent]
}

// release takes the Done functions of those frames that are not held for an unreachable peer.
func (q *queue) release() (done []func(bool)) {
	for i := range q.items {
		if it := &q.items[i]; it.Done != nil && !it.Hold {
			done = append(done, it.Done)
			it.Done = nil
		}
	}
	return done
}

// giveUp takes all Done functions, and drops the frames that are not to be kept. lost says that one of them will be missed.
func (q *queue) giveUp(all bool) (done []func(bool), lost bool) {
	kept := make([]item, 0, len(q.items))
	q.bytes = 0
	for _, it := range q.items {
		if it.Done != nil {
			done = append(done, it.Done)
			it.Done = nil
		}
		if !it.Keep || all {
			if it.Kind != kindSkip {
				q.dropped++
				lost = lost || !it.Lossy
			}
			it = item{Frame: Frame{Kind: kindSkip, Lossy: true}, seq: it.seq, size: overhead}
			if n := len(kept); n > 0 && kept[n-1].Kind == kindSkip {
				kept[n-1].seq = it.seq
				continue
			}
		}
		kept = append(kept, it)
		q.bytes += it.size
	}
	q.items, q.sent = kept, 0
	return done, lost
}
