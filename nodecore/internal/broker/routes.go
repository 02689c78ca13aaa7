package broker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/topic"
)

// route is why messages of a filter are sent to a node.
type route struct {
	durable bool // some session there outlives its connection
	online  int  // members that are connected; only counted for groups
}

// routesMax is how much of the list of all that a node wants goes into a frame, about: the peer's clients wait while it takes that over.
const routesMax = 64 << 10

// Parts of the list of all that a node wants. A change has neither.
const (
	routesBegin = 1 << iota
	routesEnd
)

// shareKey is a node with members of a group; the node is "" for this one.
type shareKey struct{ filter, peer string }

// filterCount counts, for one filter, this node's subscriptions.
type filterCount struct{ all, durable, online int }

func (w filterCount) route(shared bool) route {
	r := route{durable: w.durable > 0}
	if shared {
		r.online = w.online
	}
	return r
}

// routing is which sessions of this node, and which other nodes, want the messages of a topic.
type routing struct {
	b         *Broker
	next      atomic.Uint64 // takes turns among the nodes of a group
	announced announced

	mu     sync.RWMutex // guards what follows; nothing is taken inside but locks of peer
	subs   topic.Tree[*session, subscription]
	groups map[string]*group
	remote topic.Tree[string, route]
	shared topic.Tree[shareKey, route]
	peers  map[string]map[string]bool // filters by peer; false while the peer tells all, and has not told this one yet
}

// announced is what this node tells others about its subscriptions.
type announced struct {
	mu  sync.Mutex // held over the sending, so that others hear of changes in their order
	all map[string]filterCount
}

// group is this node's members of a shared subscription; guarded by Broker.mu.
type group struct {
	members []*session
	next    atomic.Uint32
}

// pick returns the next member: of those that are connected, and acknowledge what they get; else of those who will be back.
func (g *group) pick() *session {
	if g == nil || len(g.members) == 0 {
		return nil
	}
	start := int(g.next.Add(1))
	var full *session
	for i := range g.members {
		switch s := g.members[(start+i)%len(g.members)]; {
		case !s.subs.online.Load():
		case !s.outbox.full.Load():
			return s
		case full == nil:
			full = s
		}
	}
	if full != nil {
		return full
	}
	return g.members[start%len(g.members)]
}

// countFilter changes the counts of a filter, and tells all peers if that changes what they should know. w waits until they do.
func (ro *routing) countFilter(filter string, d filterCount, w waits) {
	group, bare, _ := topic.ParseFilter(filter)
	ro.announced.mu.Lock()
	defer ro.announced.mu.Unlock()
	was := ro.announced.all[filter]
	is := filterCount{was.all + d.all, was.durable + d.durable, was.online + d.online}
	if is.all > 0 {
		ro.announced.all[filter] = is
	} else {
		delete(ro.announced.all, filter)
	}
	if (was.all > 0) == (is.all > 0) && was.route(group != "") == is.route(group != "") {
		return
	}
	if group != "" {
		ro.mu.Lock()
		if is.all > 0 {
			ro.shared.Set(bare, shareKey{filter, ""}, is.route(true))
		} else {
			ro.shared.Delete(bare, shareKey{filter, ""})
		}
		ro.mu.Unlock()
	}
	body := appendRoute([]byte{0}, filter, is.all > 0, is.route(group != ""))
	for _, name := range ro.b.mesh.Peers() {
		ro.b.tell(name, frameRoutes, body, w)
	}
}

func appendRoute(b []byte, filter string, filterCount bool, r route) []byte {
	flags := byte(0)
	if filterCount {
		flags |= 1
	}
	if r.durable {
		flags |= 2
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(r.online))
	return appendString(b, filter)
}

// announceAll tells a peer all that is wanted here, in as many frames as it takes; it forgets what it knew before.
func (ro *routing) announceAll(name string) {
	ro.announced.mu.Lock()
	defer ro.announced.mu.Unlock()
	send := func(body []byte) { ro.b.mesh.Send(name, peer.Frame{Kind: frameRoutes, Body: body, Must: true}) }
	body := []byte{routesBegin}
	for filter, w := range ro.announced.all {
		if len(body) > routesMax {
			send(body)
			body = []byte{0}
		}
		group, _, _ := topic.ParseFilter(filter)
		body = appendRoute(body, filter, true, w.route(group != ""))
	}
	body[0] |= routesEnd
	send(body)
}

// updateRoutes takes over what another node wants. While it tells all, what was known before stays known until the end.
func (ro *routing) updateRoutes(from string, r *reader) error {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	part := r.byte()
	if part&routesBegin != 0 {
		for filter := range ro.peers[from] {
			ro.peers[from][filter] = false
		}
	}
	for len(r.b) > 0 && !r.bad {
		flags := r.byte()
		rt := route{durable: flags&2 != 0, online: int(r.uvarint() & 0xffff)}
		filter := r.string()
		group, bare, ok := topic.ParseFilter(filter)
		if r.bad || !ok {
			return errMalformed
		}
		ro.setRouteLocked(from, filter, group, bare, flags&1 != 0, rt)
	}
	if r.bad {
		return errMalformed
	}
	if part&routesEnd != 0 {
		ro.dropRoutesLocked(from, false)
		ro.b.synced.done(from)
	}
	return nil
}

func (ro *routing) setRouteLocked(from, filter, group, bare string, set bool, rt route) {
	known := ro.peers[from]
	if known == nil {
		known = map[string]bool{}
		ro.peers[from] = known
	}
	switch {
	case set && group == "":
		ro.remote.Set(bare, from, rt)
	case set:
		ro.shared.Set(bare, shareKey{filter, from}, rt)
	case group == "":
		ro.remote.Delete(bare, from)
	default:
		ro.shared.Delete(bare, shareKey{filter, from})
	}
	if set {
		known[filter] = true
	} else {
		delete(known, filter)
	}
}

func (ro *routing) dropRoutes(from string) {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	ro.dropRoutesLocked(from, true)
}

// dropRoutesLocked forgets all that a node wants, or only what it has not told again.
func (ro *routing) dropRoutesLocked(from string, all bool) {
	for filter, told := range ro.peers[from] {
		if told && !all {
			continue
		}
		if group, bare, _ := topic.ParseFilter(filter); group == "" {
			ro.remote.Delete(bare, from)
		} else {
			ro.shared.Delete(bare, shareKey{filter, from})
		}
		delete(ro.peers[from], filter)
	}
	if len(ro.peers[from]) == 0 {
		delete(ro.peers, from)
	}
}
