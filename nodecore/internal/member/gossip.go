package member

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// pushPullWorkers is how many members are exchanged with at a time.
	pushPullWorkers = 4
	// probeEvery is how often a node checks on one of the others. Together with
	// the suspicion time it decides how long a node may hang before it counts as
	// stopped: 3 to 5 s among three, 6 to 12 s among a hundred. One that ends is
	// noticed at once, by its bye or by who watches it.
	probeEvery = 500 * time.Millisecond
	// gossipEvery is how often news are passed on. Who comes is spread by more
	// direct means, so this is about who fails.
	gossipEvery = 200 * time.Millisecond
	// manyMembers is from where on every piece of news is repeated less often: the
	// gossip of a hundred nodes that arrive at once is mostly about what a spread
	// tells anyway.
	manyMembers = 16
	// reclaimAfter is when a dead life's entry may be taken over; lives have
	// names of their own, so this only ever matters after a clash of boots.
	reclaimAfter = time.Second
)

// leaveMark starts the message which says that a node is stopping, or that its
// process was seen to have ended.
var leaveMark = []byte("bye ")

// newMark starts the message that names members which have just joined.
var newMark = []byte("new ")

// gossip is one boot of this node in one cluster: a memberlist and what it
// reports. It is memberlist's Delegate, EventDelegate and AliveDelegate; those
// methods are called under memberlist's lock and never call back into it.
type gossip struct {
	cluster string
	self    Member
	list    *memberlist.Memberlist
	roster  *roster
	changed func() // something in alive or the roster changed; must not block
	log     *slog.Logger

	mu    sync.Mutex
	alive map[string]uint64 // highest boot of every id that is alive, by the gossip, or by a batch of joins
	met   map[string]uint64 // the same by the gossip alone
}

// openGossip enters the cluster's gossip, knowing nobody yet.
func openGossip(cfg gossipOptions) (*gossip, error) {
	g := &gossip{
		cluster: cfg.cluster, self: cfg.self, roster: cfg.roster, changed: cfg.changed, log: cfg.port.log,
		alive: make(map[string]uint64), met: make(map[string]uint64),
	}
	name, label := gossipName(g.self), "om-"+g.cluster
	t := newTransport(cfg.port, name, label, cfg.advertise)
	mc := memberlist.DefaultLocalConfig()
	mc.Name = name
	mc.Label = label
	mc.SecretKey = mac(cfg.secret, "gossip key", []byte(g.cluster))
	mc.Transport = t
	mc.AdvertiseAddr, mc.AdvertisePort = t.ip.String(), t.num
	mc.ProbeInterval, mc.GossipInterval = probeEvery, gossipEvery
	mc.SuspicionMult, mc.SuspicionMaxTimeoutMult = 6, 2
	mc.AwarenessMaxMultiplier = 3
	if cfg.expected > manyMembers {
		mc.RetransmitMult = 1
	}
	mc.EnableCompression = false
	mc.HandoffQueueDepth = 65536
	mc.DeadNodeReclaimTime = reclaimAfter
	mc.Delegate, mc.Events, mc.Alive = g, g, g
	mc.Logger = gossipLogger(g.log)
	list, err := memberlist.Create(mc)
	if err != nil {
		t.cancel()
		return nil, fmt.Errorf("enter gossip of cluster %q: %w", g.cluster, err)
	}
	g.list = list
	cfg.port.gossip.Store(t)
	return g, nil
}

// gossipLogger passes memberlist's lines on where someone wants to see them.
// They are for debugging: what people need to know this package says itself.
func gossipLogger(l *slog.Logger) *log.Logger {
	if !l.Enabled(context.Background(), slog.LevelDebug) {
		return log.New(io.Discard, "", 0)
	}
	return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
}

// close ends this life. Members that can be told are told, without waiting for
// an answer: they would find out, but later.
func (g *gossip) close(bye bool) error {
	if bye {
		g.broadcastEnd(g.self)
	}
	if err := g.list.Shutdown(); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// broadcastEnd tells all live members that the process of one has ended.
func (g *gossip) broadcastEnd(over Member) {
	msg := append(bytes.Clone(leaveMark), gossipName(over)...)
	for _, m := range g.liveMembers() {
		to := memberlist.Address{Addr: m.Addr, Name: gossipName(m)}
		if err := g.list.SendToAddress(to, msg); err != nil {
			g.log.Debug("announce end of member", "member", over.Name, "to", m.Name, "error", err)
		}
	}
}

// pushPull exchanges the whole state with a member (memberlist's push-pull).
func (g *gossip) pushPull(m Member) error {
	n, err := g.list.Join([]string{gossipName(m) + "/" + m.Addr})
	if err != nil {
		return fmt.Errorf("exchange state with member %q: %w", m.Name, err)
	}
	if n != 1 {
		return fmt.Errorf("exchange state with member %q: no answer", m.Name)
	}
	return nil
}

// pushPullAll exchanges the state with every live member, so that all know of
// each other: gossip by itself would take seconds. Members that don't answer are
// left to the gossip.
func (g *gossip) pushPullAll(ctx context.Context) {
	work := make(chan Member)
	var wg sync.WaitGroup
	for range pushPullWorkers {
		wg.Go(func() {
			for m := range work {
				if err := g.pushPull(m); err != nil {
					g.log.Debug("spread members", "to", m.Name, "error", err)
				}
			}
		})
	}
	for _, m := range g.liveMembers() {
		if ctx.Err() != nil {
			break
		}
		work <- m
	}
	close(work)
	wg.Wait()
}

// liveMembers is every other running member, in the order of names.
func (g *gossip) liveMembers() []Member {
	all := g.roster.list()
	list := make([]Member, 0, len(all))
	for _, m := range all {
		if m.ID != g.self.ID && g.running(m.ID) {
			list = append(list, m)
		}
	}
	return list
}

// running reports whether a member is alive, as far as this node can know.
func (g *gossip) running(id string) bool {
	if id == g.self.ID {
		return true
	}
	g.mu.Lock()
	boot, ok := g.alive[id]
	g.mu.Unlock()
	return ok && !g.roster.hasEnded(id, boot)
}

// markEnded records that a process of a member has ended; false if that was known.
func (g *gossip) markEnded(m Member) bool {
	if !g.roster.end(m.ID, m.Boot) {
		return false
	}
	g.changed()
	return true
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(int) []byte { return g.self.meta() }

// NotifyMsg implements memberlist.Delegate. Whoever can send these has the cluster's key.
func (g *gossip) NotifyMsg(b []byte) {
	if list, ok := bytes.CutPrefix(b, newMark); ok {
		var members []Member
		if err := json.Unmarshal(list, &members); err != nil {
			g.log.Warn("read new members", "error", err)
		}
		g.learn(members)
		return
	}
	name, ok := bytes.CutPrefix(b, leaveMark)
	if !ok {
		return
	}
	if m, err := parseGossipName(string(name)); err == nil && m.ID != g.self.ID && g.markEnded(m) {
		g.log.Info("member stopped", "member", m.Name)
	}
}

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate: what memberlist itself doesn't
// tell is who is a member but stopped, and who was removed.
func (g *gossip) LocalState(bool) []byte {
	n := g.roster.data()
	var quiet []Member
	for _, m := range n.Members {
		if !g.running(m.ID) {
			quiet = append(quiet, m)
		}
	}
	n.Members = quiet
	b, err := n.encode()
	if err != nil {
		g.log.Warn("tell roster", "error", err)
	}
	return b
}

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState(b []byte, _ bool) {
	var n rosterData
	if err := json.Unmarshal(b, &n); err != nil {
		g.log.Warn("read roster of a member", "error", err)
		return
	}
	if g.roster.merge(n) {
		g.changed()
	}
}

// NotifyAlive implements memberlist.AliveDelegate: it keeps out who was removed.
func (g *gossip) NotifyAlive(n *memberlist.Node) error {
	m, err := parseGossipName(n.Name)
	if err != nil {
		return err
	}
	if m.ID != g.self.ID && g.roster.isRemoved(m.ID) {
		return fmt.Errorf("node %q was removed from the cluster", m.Name)
	}
	return nil
}

// NotifyJoin implements memberlist.EventDelegate; it is called for this node too.
func (g *gossip) NotifyJoin(n *memberlist.Node) {
	m, err := parseGossipName(n.Name)
	if err != nil {
		return
	}
	m.Addr = n.Address()
	m.setMeta(n.Meta)
	g.mu.Lock()
	g.met[m.ID] = max(g.met[m.ID], m.Boot)
	news := g.aliveLocked(m)
	g.mu.Unlock()
	if g.roster.put(m) || news {
		g.changed()
	}
}

// aliveLocked notes that a member is alive, and reports whether that is news.
func (g *gossip) aliveLocked(m Member) bool {
	if boot, ok := g.alive[m.ID]; ok && boot >= m.Boot {
		return false
	}
	g.alive[m.ID] = m.Boot
	return true
}

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.NotifyJoin(n) }

// NotifyLeave implements memberlist.EventDelegate. The end of an earlier life
// says nothing about a later one.
func (g *gossip) NotifyLeave(n *memberlist.Node) {
	m, err := parseGossipName(n.Name)
	if err != nil {
		return
	}
	g.mu.Lock()
	if g.alive[m.ID] == m.Boot {
		delete(g.alive, m.ID)
		delete(g.met, m.ID)
	}
	g.mu.Unlock()
	g.changed()
}

// gossipOptions is what one life in one cluster is made of.
type gossipOptions struct {
	cluster   string
	self      Member
	port      *port
	roster    *roster
	advertise netip.AddrPort
	secret    []byte
	expected  int // members that there will probably be
	changed   func()
}
