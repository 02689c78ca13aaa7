package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
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

// digest tells apart sets of retained messages, by buckets of topics.
type digest [buckets]uint64

// keptMessage is the last change to a topic's retained message.
type keptMessage struct {
	at stamp
	m  *message // nil: removed
}

// end is when a change is over, in Unix milliseconds; 0 never.
func (k keptMessage) end() int64 {
	if k.m == nil {
		return k.at.time().Add(forget).UnixMilli()
	}
	return k.m.expires
}

// retainedMessages is the cluster's retained messages as far as this node knows: of all changes to a topic, the last one wins.
type retainedMessages struct {
	mu   sync.RWMutex
	all  map[string]keptMessage
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

func (r *retainedMessages) toggleLocked(name string, k keptMessage, n int) {
	bucket, sum := fingerprint(name, k.at)
	r.sum[bucket] ^= sum
	if k.m != nil {
		r.live += n
	}
}

// setLocked makes k the last change to a topic unless there is a later one.
func (r *retainedMessages) setLocked(name string, k keptMessage) bool {
	old, ok := r.all[name]
	if ok && old.at.compare(k.at) >= 0 {
		return false
	}
	if ok {
		r.toggleLocked(name, old, -1)
	}
	r.all[name] = k
	r.toggleLocked(name, k, 1)
	r.expectLocked(k)
	return true
}

func (r *retainedMessages) expectLocked(k keptMessage) {
	if end := k.end(); end != 0 && (r.due == 0 || end < r.due) {
		r.due = end
	}
}

// retain makes m the retained message of its topic, or removes it, and returns when that was.
func (b *Broker) retain(m *message) stamp {
	at := b.clock.now()
	b.retained.merge(b, m.topic, at, m)
	return at
}

// merge takes over a change to a topic, here and on disk, if it is the last one.
func (r *retainedMessages) merge(b *Broker, name string, at stamp, m *message) {
	k := keptMessage{at: at}
	if m != nil && len(m.payload) > 0 {
		k.m = m
	}
	b.clock.saw(at)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.setLocked(name, k) {
		b.store.PutRetained(name, appendKept(nil, k))
	}
}

func appendKept(b []byte, k keptMessage) []byte {
	b = k.at.append(b)
	if k.m == nil {
		return append(b, 0)
	}
	m := k.m.append(nil)
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(m)))
	return append(b, m...)
}

func (r *reader) kept() keptMessage {
	k := keptMessage{at: r.stamp()}
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

// match returns the messages that a new subscription gets, those with the same topic root in no particular order.
func (r *retainedMessages) match(filter string) (all []*message) {
	now := time.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !strings.ContainsAny(filter, "+#") {
		if k := r.all[filter]; k.m != nil && !k.m.expired(now) {
			all = append(all, k.m)
		}
		return all
	}
	for name, k := range r.all {
		if k.m != nil && !k.m.expired(now) && topic.Match(filter, name) {
			all = append(all, k.m)
		}
	}
	return all
}

// purge drops what has expired, and old marks, on all nodes alike.
func (r *retainedMessages) purge(b *Broker) {
	now := time.Now().UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due == 0 || now < r.due {
		return
	}
	r.due = 0
	for name, k := range r.all {
		if end := k.end(); end == 0 || now < end {
			r.expectLocked(k)
			continue
		}
		r.toggleLocked(name, k, -1)
		delete(r.all, name)
		b.store.DeleteRetained(name)
	}
}

// keepPurging drops what is over until the broker is closed.
func (b *Broker) keepPurging() {
	tick := time.NewTicker(purgeGap)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.retained.purge(b)
		case <-b.ctx.Done():
			return
		}
	}
}

func (r *retainedMessages) digest() digest {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sum
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
func (b *Broker) spread(m *message, at stamp, told []forward, w waits) {
	var none []byte // there is nothing plain about these
	for _, name := range b.mesh.Peers() {
		if slices.ContainsFunc(told, func(f forward) bool { return f.peer == name }) {
			continue
		}
		f := publishFrame(m, forward{}, &at, 0, &none)
		if w != nil {
			w.more()
			f.Waiter = w
		}
		b.mesh.Send(name, f)
	}
}

// offer tells a peer what this node has, so that it asks for what it lacks.
func (b *Broker) offer(name string) {
	b.retained.purge(b)
	b.tell(name, frameOffer, b.retained.digest().append(nil), nil)
}

// offered asks for what the other node has and this one lacks.
func (b *Broker) offered(from string, r *reader) error {
	theirs := r.digest()
	if r.bad {
		return errMalformed
	}
	b.retained.purge(b)
	if mine := b.retained.digest(); mine != theirs {
		b.tell(from, framePull, mine.append(make([]byte, 8)), nil)
	}
	return nil
}

// pulled answers a pull with all messages of the buckets that differ.
func (b *Broker) pulled(from string, r *reader) error {
	id, theirs := r.uint64(), r.digest()
	if r.bad {
		return errMalformed
	}
	var chunks [][]byte
	b.retained.mu.RLock()
	mine := b.retained.sum
	var chunk []byte
	for name, k := range b.retained.all {
		if bucket, _ := fingerprint(name, k.at); mine[bucket] == theirs[bucket] {
			continue
		}
		chunk = appendKept(appendString(chunk, name), k)
		if len(chunk) > chunkMax {
			chunks = append(chunks, chunk)
			chunk = nil
		}
	}
	b.retained.mu.RUnlock()
	for _, c := range append(chunks, chunk) {
		if len(c) > 0 {
			b.mesh.Send(from, peer.Frame{Kind: frameRetained, Body: c, Must: true})
		}
	}
	b.tell(from, framePulled, binary.BigEndian.AppendUint64(nil, id), nil)
	return nil
}

// mergeRetained takes over the messages of an answer.
func (b *Broker) mergeRetained(r *reader) error {
	for len(r.b) > 0 && !r.bad {
		name, k := r.string(), r.kept()
		if !r.bad {
			b.retained.merge(b, name, k.at, k.m)
		}
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

// Sync returns when this node has all retained messages that the named peer has. The peer must be in the list.
func (b *Broker) Sync(ctx context.Context, name string) error {
	id, answer := b.ask()
	defer b.answered(id)
	given := make(chan bool, 1)
	body := b.retained.digest().append(binary.BigEndian.AppendUint64(nil, id))
	b.mesh.Send(name, peer.Frame{Kind: framePull, Body: body, Hold: true, Waiter: peer.DoneFunc(func(ok bool) {
		if !ok {
			given <- true
		}
	})})
	select {
	case <-answer:
		return nil
	case <-given:
		return fmt.Errorf("take over retained messages of %q: it can't be reached", name)
	case <-ctx.Done():
		return fmt.Errorf("take over retained messages of %q: %w", name, context.Cause(ctx))
	}
}

// ask registers a question; the channel is closed by answered.
func (b *Broker) ask() (id uint64, answer <-chan struct{}) {
	ch := make(chan struct{})
	b.asked.Lock()
	defer b.asked.Unlock()
	b.asked.last++
	b.asked.open[b.asked.last] = ch
	return b.asked.last, ch
}

func (b *Broker) answered(id uint64) {
	b.asked.Lock()
	defer b.asked.Unlock()
	if ch := b.asked.open[id]; ch != nil {
		close(ch)
		delete(b.asked.open, id)
	}
}
