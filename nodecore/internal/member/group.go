package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"onemore/nodecore/internal/faults"
)

// saveAfter is how long changes of the roster are collected before they are
// written, for every member and at most: a hundred members that start together
// arrive within it, and a node of a small cluster that is killed soon after it
// started knows whom to look for.
const (
	saveAfter = 10 * time.Millisecond
	saveMost  = time.Second
)

// Group is this node's place in its cluster, and its way to another.
type Group struct {
	cfg  Config
	log  *slog.Logger
	port *port

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	once    sync.Once
	err     error         // of Close
	changes chan struct{} // for the caller; holds at most one
	dirty   chan struct{} // for the saver
	lost    chan struct{} // for the healer: somebody may be missing
	ring    chan struct{} // for the watcher: it may have another neighbour
	wanted  chan *spreadOrder
	coming  chan struct{} // somebody was let in; holds at most one
	entered chan struct{} // closed when the first cluster was entered

	underWay  atomic.Int32 // nodes that were let in and are not in the gossip yet
	seedsHere atomic.Bool  // every seed was here once

	op chan struct{} // holds one token: whoever takes it may change clusters

	mu     sync.Mutex
	st     state // without notes; they are in roster
	roster *roster
	gossip *gossip // nil while the node is in no cluster
	busy   bool    // a change of clusters is under way
}

// Open reads who this node is, and decides which cluster it is in. Nothing
// goes over the network before Start.
func Open(cfg Config) (_ *Group, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, cfg.TCP.Close(), cfg.UDP.Close())
		}
	}()
	if err := CheckName(cfg.Name); err != nil {
		return nil, err
	}
	st, err := loadState(cfg.Dir, cfg.Name)
	if err != nil {
		return nil, err
	}
	founder := len(cfg.Seeds) == 0 || cfg.Seeds[0].Name == cfg.Name
	if st.Cluster == "" && founder {
		st.Cluster = newID()
	}
	return newGroup(cfg, st), nil
}

// Start enters the cluster; a node that has none yet (see View) asks the seeds
// for admission in the background. Call it once.
func (g *Group) Start() error {
	pending := g.st.Cluster == ""
	g.port.start()
	if pending {
		g.wg.Go(g.askSeeds)
	} else if err := g.enter(false); err != nil {
		return err
	}
	g.wg.Go(g.keepSaved)
	g.wg.Go(g.heal)
	g.wg.Go(g.watch)
	g.wg.Go(g.spreadOnDemand)
	return nil
}

func newGroup(cfg Config, st state) *Group {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Faults == nil {
		cfg.Faults = new(faults.Table)
	}
	g := &Group{
		cfg: cfg, log: cfg.Logger, st: st, roster: newRoster(st.notes),
		changes: make(chan struct{}, 1), dirty: make(chan struct{}, 1), lost: make(chan struct{}, 1), ring: make(chan struct{}, 1),
		wanted: make(chan *spreadOrder), coming: make(chan struct{}, 1), entered: make(chan struct{}), op: make(chan struct{}, 1),
	}
	g.st.notes = notes{}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.port = newPort(cfg, g.serve, g.nameAt)
	return g
}

// pending tells whether the node still waits for its first cluster.
func (g *Group) pending() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.st.Cluster == ""
}

// enter opens the gossip of the cluster in g.st. The state is on disk before
// anyone can hear of it.
func (g *Group) enter(sync bool) error {
	g.mu.Lock()
	g.st.Boot++
	self, cluster := g.selfLocked(), g.st.Cluster
	r, secret := g.roster, g.cfg.Secret
	if len(secret) == 0 {
		secret = []byte(g.st.Node) // which nobody else knows: no one can come in
	}
	g.mu.Unlock()
	r.put(self)
	if err := g.save(sync); err != nil {
		return err
	}
	gs, err := openGossip(gossipConfig{
		cluster: cluster, self: self, port: g.port, roster: r,
		advertise: g.cfg.Advertise, secret: secret,
		expected: max(len(g.cfg.Seeds), len(r.list())), changed: g.changed,
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.gossip = gs
	g.mu.Unlock()
	select {
	case <-g.entered:
	default:
		close(g.entered)
	}
	g.changed()
	return nil
}

// selfLocked is this node's own entry.
func (g *Group) selfLocked() Member {
	return Member{
		Name: g.cfg.Name, ID: g.st.ID, Boot: g.st.Boot,
		Addr: g.cfg.Advertise.String(), Forward: g.cfg.Forward, Node: g.st.Node,
	}
}

// View returns what is known now.
func (g *Group) View() View {
	g.mu.Lock()
	v := View{Cluster: g.st.Cluster, Self: g.selfLocked()}
	gs, r := g.gossip, g.roster
	g.mu.Unlock()
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

// Changes delivers a token after every change of the View; many changes may
// share one. There is one channel: it has one reader.
func (g *Group) Changes() <-chan struct{} { return g.changes }

// Entered is closed when the node is in a cluster for the first time since Open.
func (g *Group) Entered() <-chan struct{} { return g.entered }

// Garbage counts packets and streams on the cluster port that were neither
// this cluster's gossip nor a control stream.
func (g *Group) Garbage() uint64 { return g.port.garbage.Load() }

// changed is called whenever alive or roster changed; it never blocks.
func (g *Group) changed() {
	for _, c := range []chan struct{}{g.changes, g.dirty, g.lost, g.ring} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// current is the gossip and roster of the moment; the gossip may be nil.
func (g *Group) current() (*gossip, *roster) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gossip, g.roster
}

// nameAt is the name of the member at an address of the cluster port, or "".
func (g *Group) nameAt(addr netip.AddrPort) string {
	_, r := g.current()
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
func (g *Group) save(sync bool) error {
	g.mu.Lock()
	defer g.mu.Unlock() // held over the write, so that an older state can't overwrite a newer one
	st := g.st
	st.notes = g.roster.notes()
	st.Ended = nil // at the next start, who had ended may be back long ago
	return st.save(g.cfg.Dir, sync)
}

// keepSaved writes the roster some time after it changed.
func (g *Group) keepSaved() {
	for {
		select {
		case <-g.dirty:
		case <-g.ctx.Done():
			return
		}
		_, r := g.current()
		if wait(g.ctx, min(saveMost, time.Duration(len(r.list()))*saveAfter)) != nil {
			return // Close saves
		}
		if err := g.save(false); err != nil {
			g.log.Error("save members", "error", err)
		}
	}
}

// Close stops the node's part in the cluster: it stays a member, as one that
// is stopped. It may be called twice.
func (g *Group) Close() error {
	g.once.Do(func() {
		g.cancel()
		g.op <- struct{}{} // waits for a change of clusters to end, and lets no other begin
		gs, _ := g.current()
		var errs []error
		if gs != nil {
			errs = append(errs, gs.close(true))
		}
		errs = append(errs, g.port.close())
		g.wg.Wait()
		errs = append(errs, g.save(false))
		if err := errors.Join(errs...); err != nil {
			g.err = fmt.Errorf("close membership: %w", err)
		}
	})
	return g.err
}
