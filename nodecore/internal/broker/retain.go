package broker

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/topic"
)

const (
	buckets  = 64             // of a digest
	forget   = 24 * time.Hour // after which the mark of a removed message is dropped
	purgeGap = time.Second    // between looks for what is over
	chunkMax = 1 << 20        // bytes, about, of a list of all that a node has in one frame
)

// digest distinguishes sets of retained messages, by buckets of topics.
type digest [buckets]uint64

// retainedEntry is the last change to a topic's retained message.
type retainedEntry struct {
	at    stamp
	m     *message // nil: removed
	order uint64   // of its delivery here (liveOrder); 0: it came to this node as a retained message only
}

// end is when a change is over, in Unix milliseconds; 0 never.
func (k retainedEntry) end() int64 {
	if k.m == nil {
		return k.at.time().Add(forget).UnixMilli()
	}
	return k.m.expires
}

// retainedMessages is the cluster's retained messages as far as this node knows: of all changes to a topic, the last one wins.
type retainedMessages struct {
	b      *Broker
	asked  questions
	merged atomic.Uint64 // taken over from other nodes
	order  liveOrder

	mu   sync.RWMutex
	all  map[string]retainedEntry
	sum  digest
	live int
	due  int64 // when the first of them is over, or may be, as end says it
}

// fingerprint is what a change adds to (and, as it is added by XOR, takes from) a digest.
func fingerprint(name string, at stamp) (bucket int, sum uint64) {
	h := fnv.New64a()
	h.Write([]byte(name))
	bucket = int(h.Sum64() % buckets)
	h.Write(at.append([]byte{0}))
	return bucket, h.Sum64()
}

func (re *retainedMessages) toggleLocked(name string, k retainedEntry, n int) {
	bucket, sum := fingerprint(name, k.at)
	re.sum[bucket] ^= sum
	if k.m != nil {
		re.live += n
	}
}

// setLocked makes k the last change to a topic unless there is a later one.
func (re *retainedMessages) setLocked(name string, k retainedEntry) bool {
	old, ok := re.all[name]
	if ok && old.at.compare(k.at) >= 0 {
		return false
	}
	if ok {
		re.toggleLocked(name, old, -1)
	}
	re.all[name] = k
	re.toggleLocked(name, k, 1)
	re.expectLocked(k)
	return true
}

func (re *retainedMessages) expectLocked(k retainedEntry) {
	if end := k.end(); end != 0 && (re.due == 0 || end < re.due) {
		re.due = end
	}
}

// merge takes over a change to a topic, here and on disk, if it is the last one.
func (re *retainedMessages) merge(name string, at stamp, m *message) { re.mergeAt(name, at, m, 0) }

// mergeAt is merge with the order of the message's delivery, and reports whether it is the last change.
func (re *retainedMessages) mergeAt(name string, at stamp, m *message, order uint64) (news bool) {
	k := retainedEntry{at: at, order: order}
	if m != nil && len(m.payload) > 0 {
		k.m = m
	}
	re.b.clock.saw(at)
	re.mu.Lock()
	defer re.mu.Unlock()
	news = re.setLocked(name, k)
	if news {
		re.b.store.PutRetained(name, appendRetained(nil, k))
	}
	return news
}

func appendRetained(b []byte, k retainedEntry) []byte {
	b = k.at.append(b)
	if k.m == nil {
		return append(b, 0)
	}
	m := k.m.append(nil)
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(m)))
	return append(b, m...)
}

func (r *reader) retainedEntry() retainedEntry {
	k := retainedEntry{at: r.stamp()}
	if r.bool() {
		m, err := parseMessage(r.bytes())
		if err != nil {
			r.bad = true
			return k
		}
		k.m = m
	}
	return k
}

// match returns the messages that a new subscription gets, in the order in which they were published. What was delivered after since,
// it has got already.
func (re *retainedMessages) match(filter string, since uint64) (all []*message) {
	now := time.Now()
	re.mu.RLock()
	defer re.mu.RUnlock()
	if !strings.ContainsAny(filter, "+#") {
		if k := re.all[filter]; k.m != nil && k.order <= since && !k.m.expired(now) {
			all = append(all, k.m)
		}
		return all
	}
	var found []retainedEntry
	for name, k := range re.all {
		if k.m != nil && k.order <= since && !k.m.expired(now) && topic.Match(filter, name) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(x, y retainedEntry) int { return x.at.compare(y.at) })
	for _, k := range found {
		all = append(all, k.m)
	}
	return all
}

// purge drops what has expired, and old marks, on all nodes alike.
func (re *retainedMessages) purge() {
	now := time.Now().UnixMilli()
	re.mu.Lock()
	defer re.mu.Unlock()
	if re.due == 0 || now < re.due {
		return
	}
	re.due = 0
	for name, k := range re.all {
		if end := k.end(); end == 0 || now < end {
			re.expectLocked(k)
			continue
		}
		re.toggleLocked(name, k, -1)
		delete(re.all, name)
		re.b.store.DeleteRetained(name)
	}
}

// keepPurging drops what is over until the broker is closed.
func (re *retainedMessages) keepPurging() {
	tick := time.NewTicker(purgeGap)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			re.purge()
			re.b.repeated.purge(time.Now())
		case <-re.b.ctx.Done():
			return
		}
	}
}

func (re *retainedMessages) digest() digest {
	re.mu.RLock()
	defer re.mu.RUnlock()
	return re.sum
}

func (d digest) append(b []byte) []byte {
	for _, v := range d {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func (r *reader) digest() (d digest) {
	for i := range d {
		d[i] = r.uint64()
	}
	return d
}

// spread tells a retained message to all peers that don't get it with the message itself.
func (re *retainedMessages) spread(m *message, at stamp, told []forward, w waits) {
	var none []byte // there is nothing plain about these
	for _, name := range re.b.mesh.Peers() {
		if slices.ContainsFunc(told, func(f forward) bool { return f.peer == name }) {
			continue
		}
		f := publishFrame(m, forward{}, &at, 0, &none)
		if w != nil {
			w.more()
			f.Waiter = w
		}
		re.b.mesh.Send(name, f)
	}
}

// offer tells a peer what this node has, so that it asks for what it lacks.
func (re *retainedMessages) offer(name string) {
	re.purge()
	re.b.tell(name, frameOffer, re.digest().append(nil), nil)
}

// offered asks for what the other node has and this one lacks.
func (re *retainedMessages) offered(from string, r *reader) error {
	theirs := r.digest()
	if r.bad {
		return errMalformed
	}
	re.purge()
	if mine := re.digest(); mine != theirs && !re.asking(from) {
		re.b.tell(from, framePull, mine.append(make([]byte, 8)), nil)
	}
	return nil
}

// pulled answers a pull with all messages of the buckets that differ.
func (re *retainedMessages) pulled(from string, r *reader) error {
	id, theirs := r.uint64(), r.digest()
	if r.bad {
		return errMalformed
	}
	var chunks [][]byte
	re.mu.RLock()
	mine := re.sum
	var chunk []byte
	for name, k := range re.all {
		if bucket, _ := fingerprint(name, k.at); mine[bucket] == theirs[bucket] {
			continue
		}
		chunk = appendRetained(appendString(chunk, name), k)
		if len(chunk) > chunkMax {
			chunks = append(chunks, chunk)
			chunk = nil
		}
	}
	re.mu.RUnlock()
	for _, c := range append(chunks, chunk) {
		if len(c) > 0 {
			re.b.mesh.Send(from, peer.Frame{Kind: frameRetained, Body: c, Must: true})
		}
	}
	re.b.tell(from, framePulled, binary.BigEndian.AppendUint64(nil, id), nil)
	return nil
}

// mergeRetained takes over the messages of an answer.
func (re *retainedMessages) mergeRetained(r *reader) error {
	for len(r.b) > 0 && !r.bad {
		name, k := r.string(), r.retainedEntry()
		if !r.bad {
			re.merge(name, k.at, k.m)
			re.merged.Add(1)
		}
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// ask registers a question to a peer; its channel is closed by answered.
func (re *retainedMessages) ask(name string) (id uint64, answer <-chan struct{}) {
	q := question{peer: name, answer: make(chan struct{})}
	re.asked.Lock()
	defer re.asked.Unlock()
	re.asked.last++
	re.asked.open[re.asked.last] = q
	return re.asked.last, q.answer
}

func (re *retainedMessages) answered(id uint64) {
	re.asked.Lock()
	defer re.asked.Unlock()
	if q, ok := re.asked.open[id]; ok {
		close(q.answer)
		delete(re.asked.open, id)
	}
}

// asking says whether a question to a peer is open.
func (re *retainedMessages) asking(name string) bool {
	re.asked.Lock()
	defer re.asked.Unlock()
	for _, q := range re.asked.open {
		if q.peer == name {
			return true
		}
	}
	return false
}
