package member

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// saveAfter is how long changes of the roster are collected before they are
// written, for every member, and saveMax the longest: a hundred members that
// start together arrive within it, and a node of a small cluster that is killed
// soon after it started knows whom to look for.
const (
	saveAfter = 10 * time.Millisecond
	saveMax   = time.Second
)

// membership is this node's place in its cluster: who it is, whom it knows, and
// the gossip that it takes part in. The roles that act on it (transition,
// bootstrap, healer, watcher, spreader, server) share it.
type membership struct {
	cfg  Config
	log  *slog.Logger
	port *port

	ctx    context.Context // ends with Group.Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Each of these holds at most one token, put there by changed.
	changes          chan struct{} // for the caller of the package
	dirty            chan struct{} // for keepSaved
	memberLost       chan struct{} // for the healer: a member may be unreachable
	neighbourChanged chan struct{} // for the watcher
	toIntroduce      chan struct{} // for the introducer

	arrivals chan Arrival // for the caller of the package; holds the latest one that was not taken

	mu     sync.Mutex // guards what follows
	st     state      // without its roster, which is in roster
	roster *roster
	gossip *gossip // nil while the node is in no cluster
	busy   bool    // a change of clusters is under way
}

// pending reports whether the node still waits for its first cluster.
func (ms *membership) pending() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.st.Cluster == ""
}

// enter opens the gossip of the cluster in g.st. The state is on disk before
// anyone can hear of it.
func (ms *membership) enter(sync bool) error {
	ms.mu.Lock()
	ms.st.Boot++
	self, cluster := ms.selfLocked(), ms.st.Cluster
	r, secret := ms.roster, ms.cfg.Secret
	if len(secret) == 0 {
		secret = []byte(ms.st.Node) // which nobody else knows: no one can come in
	}
	ms.mu.Unlock()
	r.put(self)
	if err := ms.save(sync); err != nil {
		return err
	}
	gs, err := openGossip(gossipOptions{
		cluster: cluster, self: self, port: ms.port, roster: r,
		advertise: ms.cfg.Advertise, secret: secret,
		expected: max(len(ms.cfg.Seeds), len(r.list())), changed: ms.changed,
	})
	if err != nil {
		return err
	}
	ms.mu.Lock()
	ms.gossip = gs
	ms.mu.Unlock()
	ms.changed()
	return nil
}

// arrived reports that this node is in its cluster; the cluster is filled in here.
func (ms *membership) arrived(a Arrival) {
	ms.mu.Lock()
	defer ms.mu.Unlock() // held so that the latest arrival stays in the channel; the sends never block
	a.Cluster = ms.st.Cluster
	for {
		select {
		case ms.arrivals <- a:
			return
		default:
		}
		select {
		case <-ms.arrivals: // one that nobody has taken yet
		default:
		}
	}
}

// selfLocked is this node's own entry.
func (ms *membership) selfLocked() Member {
	return Member{
		Name: ms.cfg.Name, ID: ms.st.ID, Boot: ms.st.Boot,
		Addr: ms.cfg.Advertise.String(), Forward: ms.cfg.Forward, Node: ms.st.Node,
	}
}

// View returns what is known now.
func (ms *membership) View() View {
	ms.mu.Lock()
	v := View{Cluster: ms.st.Cluster, Self: ms.selfLocked()}
	gs, r := ms.gossip, ms.roster
	ms.mu.Unlock()
	list := r.list()
	if gs == nil { // not started: who was a member is known, and nobody is met
		v.Running = []Member{v.Self}
		for _, m := range list {
			if m.ID != v.Self.ID {
				v.Stopped = append(v.Stopped, m)
			}
		}
		return v
	}
	v.Running = make([]Member, 0, len(list))
	for _, m := range list {
		if gs.running(m.ID) {
			v.Running = append(v.Running, m)
		} else {
			v.Stopped = append(v.Stopped, m)
		}
	}
	return v
}

// changed is called whenever alive or roster changed; it never blocks.
func (ms *membership) changed() {
	for _, c := range []chan struct{}{ms.changes, ms.dirty, ms.memberLost, ms.neighbourChanged, ms.toIntroduce} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// current is the gossip and roster of the moment; the gossip may be nil.
func (ms *membership) current() (*gossip, *roster) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.gossip, ms.roster
}

// nameAt is the name of the member at an address of the cluster port, or "".
func (ms *membership) nameAt(addr netip.AddrPort) string {
	_, r := ms.current()
	list := r.list()
	i := slices.IndexFunc(list, func(m Member) bool {
		a, err := netip.ParseAddrPort(m.Addr)
		return err == nil && a.Port() == addr.Port() && a.Addr().Unmap() == addr.Addr().Unmap()
	})
	if i < 0 {
		return ""
	}
	return list[i].Name
}

// save writes the state as it is now.
func (ms *membership) save(sync bool) error {
	ms.mu.Lock()
	defer ms.mu.Unlock() // held over the write, so that an older state never overwrites a newer one
	st := ms.st
	st.rosterData = ms.roster.data()
	st.Ended = nil // at the next start, who had ended may be back long ago
	return st.save(ms.cfg.Dir, sync)
}

// keepSaved writes the roster some time after it changed.
func (ms *membership) keepSaved() {
	for {
		select {
		case <-ms.dirty:
		case <-ms.ctx.Done():
			return
		}
		_, r := ms.current()
		if wait(ms.ctx, min(saveMax, time.Duration(len(r.list()))*saveAfter)) != nil {
			return // Close saves
		}
		if err := ms.save(false); err != nil {
			ms.log.Error("save members", "error", err)
		}
	}
}

// bounded limits an operation by its caller, a time, and the life of the group.
func (ms *membership) bounded(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(ms.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// selfDeclaredDead reports whether the others take this node's life for over.
func (ms *membership) selfDeclaredDead() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.gossip != nil && ms.roster.hasEnded(ms.st.ID, ms.st.Boot)
}

// selfRemoved reports whether the cluster has removed this node.
func (ms *membership) selfRemoved() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.gossip != nil && ms.roster.isRemoved(ms.st.ID)
}

// unreachable is the members that don't run as far as this node knows: stopped
// are those whose process is known to have ended, lost all others.
func (ms *membership) unreachable() (lost, stopped []Member) {
	ms.mu.Lock()
	idle := ms.gossip == nil || ms.busy // a transition contacts the members itself
	ros := ms.roster
	ms.mu.Unlock()
	if idle || len(ms.cfg.Secret) == 0 {
		return nil, nil
	}
	for _, m := range ms.View().Stopped {
		if ros.hasEnded(m.ID, m.Boot) {
			stopped = append(stopped, m)
		} else {
			lost = append(lost, m)
		}
	}
	return lost, stopped
}
