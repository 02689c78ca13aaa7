package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// How long a message that is to be acknowledged waits until this process has heard what another node wants.
const (
	hearAlive = 10 * time.Second // of a member that runs, as far as is known
	hearGone  = 2 * time.Second  // of one that is not met: it may be stopped
)

// hearing is which nodes this process has not heard since it started, or since they joined: what they want is not known, and
// what is acknowledged meanwhile would never reach their subscribers.
type hearing struct {
	count atomic.Int32 // of those not heard
	mu    sync.Mutex
	from  map[string]chan struct{} // closed when heard, or no longer waited for
}

func (h *hearing) expect(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.from[name] == nil {
		h.from[name] = make(chan struct{})
		h.count.Add(1)
	}
}

// done ends the waiting for a node.
func (h *hearing) done(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if heard := h.from[name]; heard != nil {
		close(heard)
		delete(h.from, name)
		h.count.Add(-1)
	}
}

// open returns who is waited for.
func (h *hearing) open() map[string]<-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string]<-chan struct{}, len(h.from))
	for name, heard := range h.from {
		all[name] = heard
	}
	return all
}

// hear returns when this node knows what the others want, as far as they can be asked; false if ended was closed before. Links
// open when there is something to say: to ask is that.
func (b *Broker) hear(ended <-chan struct{}) bool {
	if b.hearing.count.Load() == 0 {
		return true
	}
	began := time.Now()
	all := b.hearing.open()
	for name := range all {
		b.mesh.Connect(name)
	}
	for name, heard := range all {
		if !b.hearOne(name, heard, ended, began) {
			return false
		}
	}
	return true
}

func (b *Broker) hearOne(name string, heard, ended <-chan struct{}, began time.Time) bool {
	t := time.NewTimer(time.Until(began.Add(hearGone)))
	defer t.Stop()
	for alive := false; ; alive = true {
		select {
		case <-heard:
			return true
		case <-ended:
			return false
		case <-t.C:
		}
		if alive || !b.mesh.Alive(name) {
			b.log.Warn("member does not say what it wants", "member", name)
			b.hearing.done(name)
			return true
		}
		t.Reset(time.Until(began.Add(hearAlive)))
	}
}
