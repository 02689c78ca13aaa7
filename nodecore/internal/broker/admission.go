package broker

import (
	"sync"
	"time"
)

// admitTime is how long a CONNECT waits for Admit before it is refused.
const admitTime = 5 * time.Second

// admission is whether clients are let in. With Config.Wait they are not until the node has the data of its cluster: they
// would miss retained messages, or be disconnected by the node's joining.
type admission struct {
	mu      sync.Mutex // guards what follows
	cluster string
	open    bool
	opened  chan struct{} // closed while open
}

// reset ends the admission: the node is a member of another cluster now.
func (a *admission) reset(cluster string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = cluster
	if a.opened == nil || a.open {
		a.open, a.opened = false, make(chan struct{})
	}
}

// admit lets clients in if the node is in this cluster still.
func (a *admission) admit(cluster string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open && a.cluster == cluster {
		a.open = true
		close(a.opened)
	}
}

func (a *admission) isOpen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// await returns whether clients are let in, at the latest after admitTime, or when ended is closed.
func (a *admission) await(ended <-chan struct{}) bool {
	a.mu.Lock()
	opened := a.opened
	a.mu.Unlock()
	select {
	case <-opened:
		return true
	default:
	}
	t := time.NewTimer(admitTime)
	defer t.Stop()
	select {
	case <-opened:
		return true
	case <-ended:
	case <-t.C:
	}
	return false
}

// Admit lets clients in, if the broker is in this cluster still; see Config.Wait.
func (b *Broker) Admit(cluster string) { b.admission.admit(cluster) }

// Holders names the nodes that hold something which a node that joins should have: this one first, if it has retained
// messages or sessions, and those with subscribers. While this node fetches data itself, that may be any node.
func (b *Broker) Holders() (names []string) {
	if b.anything() {
		names = append(names, b.cfg.Name)
	}
	if b.admission.isOpen() {
		return append(names, b.routes.holders()...)
	}
	for _, name := range b.mesh.Peers() {
		if b.mesh.Alive(name) {
			names = append(names, name)
		}
	}
	return names
}

// holders is the peers that have routes.
func (ro *routing) holders() (names []string) {
	ro.mu.RLock()
	defer ro.mu.RUnlock()
	for name, filters := range ro.peers {
		if len(filters) > 0 {
			names = append(names, name)
		}
	}
	return names
}
