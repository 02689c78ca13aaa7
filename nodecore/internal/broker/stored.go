package broker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"onemore/nodecore/internal/peer"
)

// troubleTime is how long an acceptance waits for a peer to hear that it can't be stored.
const troubleTime = time.Second

// failingPeers are the nodes that can't store what they accept.
type failingPeers struct {
	count atomic.Int32
	mu    sync.Mutex
	names map[string]bool
	told  map[string]bool // peers that know that this node can't
}

// set takes note of what a peer says, or that it is gone.
func (f *failingPeers) set(name string, failing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case failing && !f.names[name]:
		f.names[name] = true
		f.count.Add(1)
	case !failing && f.names[name]:
		delete(f.names, name)
		f.count.Add(-1)
	}
}

// any says whether some other node can't store what it accepts.
func (f *failingPeers) any() bool { return f.count.Load() > 0 }

// toldFailing says whether a peer knows already whether this node can't store, and takes note that it will.
func (f *failingPeers) toldFailing(name string, failing bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told[name] == failing {
		return true
	}
	if f.told == nil {
		f.told = map[string]bool{}
	}
	if f.told[name] = failing; !failing {
		delete(f.told, name)
	}
	return false
}

// Settle is peer.Handler's: it returns when what was received from a peer so far is stored. If it can't be, the peer knows.
func (b *Broker) Settle(from string) {
	err := b.store.Wait(b.store.Number())
	if b.failing.toldFailing(from, err != nil) {
		return
	}
	heard := make(chan struct{})
	b.mesh.Send(from, peer.Frame{Kind: frameStore, Body: appendBool(nil, err != nil), Must: true, Waiter: peer.DoneFunc(func(bool) { close(heard) })})
	t := time.NewTimer(troubleTime)
	defer t.Stop()
	select {
	case <-heard:
	case <-t.C:
	case <-b.ctx.Done():
	}
}

// Settled is peer.Handler's: whether there is nothing to wait for.
func (b *Broker) Settled() bool { return b.store.Settled() }

// Position is peer.Handler's: how far the frames of a peer were handled before this process started.
func (b *Broker) Position(from string) (stream, last uint64) {
	p := b.positions[from]
	return p.stream, p.last
}

// position is a frame of a peer.
type position struct{ stream, last uint64 }

// storing handles a frame that may change the store. What it changes is stored together with the frame's number, so that a frame is
// never handled twice, though this process is killed before the peer hears that it was.
func (b *Broker) storing(from string, p peer.Delivery, handle func() error) (err error) {
	b.store.Together(func() {
		before := b.store.Number()
		if err = handle(); b.store.Number() == before {
			return
		}
		stream, seq := p.Position()
		b.store.PutLink(from, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, stream), seq))
	})
	return err
}

// loadPositions reads what storing has kept.
func (b *Broker) loadPositions() error {
	b.positions = map[string]position{}
	return b.store.Links(func(node string, value []byte) error {
		r := reader{b: value}
		if p := (position{r.uint64(), r.uint64()}); !r.bad {
			b.positions[node] = p
		}
		return nil
	})
}
