package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"onemore/nodecore/internal/peer"
)

const (
	admitTime = 5 * time.Second // for which a CONNECT waits for Admit before it is refused
	syncIdle  = 2 * time.Second // without a word from a peer whose data is fetched
)

// Admission is whether clients are let in. With Config.Wait they are not until the node has the data of its cluster: they
// would miss retained messages, or be disconnected by the node's joining.
type Admission struct {
	b *Broker

	mu      sync.Mutex // guards what follows
	cluster string
	open    bool
	opened  chan struct{} // closed while open
}

// reset ends the admission: the node is a member of another cluster now.
func (a *Admission) reset(cluster string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster = cluster
	if a.opened == nil || a.open {
		a.open, a.opened = false, make(chan struct{})
	}
}

// Admit lets clients in if the node is in this cluster still; see Config.Wait.
func (a *Admission) Admit(cluster string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open && a.cluster == cluster {
		a.open = true
		close(a.opened)
	}
}

func (a *Admission) isOpen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// await returns whether clients are let in, at the latest after admitTime, or when ended is closed.
func (a *Admission) await(ended <-chan struct{}) bool {
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

// Holders names the nodes that hold something which a node that joins should have: this one first, if it has retained
// messages or sessions, and those with subscribers. While this node fetches data itself, that may be any node.
func (a *Admission) Holders() (names []string) {
	b := a.b
	if b.anything() {
		names = append(names, b.cfg.Name)
	}
	if a.isOpen() {
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

// Sync returns when this node has all retained messages that the named peer has, knows its routes, and has given up the
// sessions that are newer there: a peer that this node meets tells these before it answers. The peer must be in the list. Without
// progress it gives up after syncIdle.
func (a *Admission) Sync(ctx context.Context, name string) error {
	b := a.b
	id, answer := b.retained.ask(name)
	defer b.retained.answered(id)
	unreached := make(chan bool, 1)
	body := b.retained.digest().append(binary.BigEndian.AppendUint64(nil, id))
	b.mesh.Send(name, peer.Frame{Kind: framePull, Body: body, Hold: true, Waiter: peer.DoneFunc(func(ok bool) {
		if !ok {
			unreached <- true
		}
	})})
	idle := time.NewTicker(syncIdle)
	defer idle.Stop()
	for merged := b.retained.merged.Load(); ; {
		select {
		case <-answer:
			return nil
		case <-unreached:
			return fmt.Errorf("fetch data of %q: it can't be reached", name)
		case <-idle.C:
			if now := b.retained.merged.Load(); now != merged {
				merged = now
				continue
			}
			return fmt.Errorf("fetch data of %q: it does not answer", name)
		case <-ctx.Done():
			return fmt.Errorf("fetch data of %q: %w", name, context.Cause(ctx))
		}
	}
}

// Merged counts the retained messages that were taken over from other nodes.
func (a *Admission) Merged() uint64 { return a.b.retained.merged.Load() }
