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

// wanted counts, for one filter, this node's subscriptions.
type wanted struct{ all, durable, online int }

func (w wanted) route(shared bool) route {
	r := route{durable: w.durable > 0}
	if shared {
		r.online = w.online
	}
	return r
}

// announced is what this node tells others about its subscriptions.
type announced struct {
	mu  sync.Mutex // held over the sending, so that others hear of changes in their order
	all map[string]wanted
}

// group is this node's members of a shared subscription; guarded by Broker.mu.
type group struct {
	members []*session
	next    atomic.Uint32
}

// pick returns the member whose turn it is: of those that are connected, else of those who will be back.
func (g *group) pick() *session {
	if g == nil || len(g.members) == 0 {
		return nil
	}
	start := int(g.next.Add(1))
	for i := range g.members {
		if s := g.members[(start+i)%len(g.members)]; s.online.Load() {
			return s
		}
	}
	return g.members[start%len(g.members)]
}

// want changes the counts of a filter, and tells all peers if that changes what they should know. w waits until they do.
func (b *Broker) want(filter string, d wanted, w waits) {
	group, bare, _ := topic.ParseFilter(filter)
	b.announced.mu.Lock()
	defer b.announced.mu.Unlock()
	was := b.announced.all[filter]
	is := wanted{was.all + d.all, was.durable + d.durable, was.online + d.online}
	if is.all > 0 {
		b.announced.all[filter] = is
	} else {
		delete(b.announced.all, filter)
	}
	if (was.all > 0) == (is.all > 0) && was.route(group != "") == is.route(group != "") {
		return
	}
	if group != "" {
		b.mu.Lock()
		if is.all > 0 {
			b.shared.Set(bare, shareKey{filter, ""}, is.route(true))
		} else {
			b.shared.Delete(bare, shareKey{filter, ""})
		}
		b.mu.Unlock()
	}
	body := appendRoute([]byte{0}, filter, is.all > 0, is.route(group != ""))
	for _, name := range b.mesh.Peers() {
		b.tell(name, frameRoutes, body, w)
	}
}

func appendRoute(b []byte, filter string, wanted bool, r route) []byte {
	flags := byte(0)
	if wanted {
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
func (b *Broker) announceAll(name string) {
	b.announced.mu.Lock()
	defer b.announced.mu.Unlock()
	send := func(body []byte) { b.mesh.Send(name, peer.Frame{Kind: frameRoutes, Body: body, Must: true}) }
	body := []byte{routesBegin}
	for filter, w := range b.announced.all {
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

// routesOf takes over what another node wants. While it tells all, what was known before stays known until the end.
func (b *Broker) routesOf(from string, r *reader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := r.byte()
	if part&routesBegin != 0 {
		for filter := range b.routes[from] {
			b.routes[from][filter] = false
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
		b.setRouteLocked(from, filter, group, bare, flags&1 != 0, rt)
	}
	if r.bad {
		return errMalformed
	}
	if part&routesEnd != 0 {
		b.dropRoutesLocked(from, false)
		b.hearing.done(from)
	}
	return nil
}

func (b *Broker) setRouteLocked(from, filter, group, bare string, set bool, rt route) {
	known := b.routes[from]
	if known == nil {
		known = map[string]bool{}
		b.routes[from] = known
	}
	switch {
	case set && group == "":
		b.remote.Set(bare, from, rt)
	case set:
		b.shared.Set(bare, shareKey{filter, from}, rt)
	case group == "":
		b.remote.Delete(bare, from)
	default:
		b.shared.Delete(bare, shareKey{filter, from})
	}
	if set {
		known[filter] = true
	} else {
		delete(known, filter)
	}
}

func (b *Broker) dropRoutes(from string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropRoutesLocked(from, true)
}

// dropRoutesLocked forgets all that a node wants, or only what it has not told again.
func (b *Broker) dropRoutesLocked(from string, all bool) {
	for filter, told := range b.routes[from] {
		if told && !all {
			continue
		}
		if group, bare, _ := topic.ParseFilter(filter); group == "" {
			b.remote.Delete(bare, from)
		} else {
			b.shared.Delete(bare, shareKey{filter, from})
		}
		delete(b.routes[from], filter)
	}
	if len(b.routes[from]) == 0 {
		delete(b.routes, from)
	}
}
