package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// How long a message that is to be acknowledged waits until this process knows the routes of another node.
const (
	syncAlive = 10 * time.Second // of a member that runs, as far as is known
	syncGone  = 2 * time.Second  // of one that is not met: it may be stopped
)

// routeSync is which nodes have not sent their routes since this process started, or since they joined: their subscribers would
// miss what is acknowledged meanwhile.
type routeSync struct {
	b     *Broker
	count atomic.Int32 // of from
	mu    sync.Mutex
	from  map[string]chan struct{} // closed when the routes are here, or no longer waited for
}

func (rs *routeSync) expect(name string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.from[name] == nil {
		rs.from[name] = make(chan struct{})
		rs.count.Add(1)
	}
}

// done ends the waiting for a node.
func (rs *routeSync) done(name string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if heard := rs.from[name]; heard != nil {
		close(heard)
		delete(rs.from, name)
		rs.count.Add(-1)
	}
}

// open returns who is waited for.
func (rs *routeSync) open() map[string]<-chan struct{} {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make(map[string]<-chan struct{}, len(rs.from))
	for name, heard := range rs.from {
		all[name] = heard
	}
	return all
}

// awaitRoutes returns when this node knows what the others want, as far as they can be asked; false if ended was closed before. Links
// open when there is something to say: to ask is that.
func (rs *routeSync) awaitRoutes(ended <-chan struct{}) bool {
	if rs.count.Load() == 0 {
		return true
	}
	began := time.Now()
	all := rs.open()
	for name := range all {
		rs.b.mesh.Connect(name)
	}
	for name, heard := range all {
		if !rs.awaitRoutesOf(name, heard, ended, began) {
			return false
		}
	}
	return true
}

func (rs *routeSync) awaitRoutesOf(name string, heard, ended <-chan struct{}, began time.Time) bool {
	t := time.NewTimer(time.Until(began.Add(syncGone)))
	defer t.Stop()
	for alive := false; ; alive = true {
		select {
		case <-heard:
			return true
		case <-ended:
			return false
		case <-t.C:
		}
		if alive || !rs.b.mesh.Alive(name) {
			rs.b.log.Warn("member does not say what it wants", "member", name)
			rs.done(name)
			return true
		}
		t.Reset(time.Until(began.Add(syncAlive)))
	}
}
