package main

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// What nodes ask each other.
const (
	opHello  = "hello"  // I am up; the connection stays open as long as I am
	opLoaded = "loaded" // my tables are loaded: who waited for me may go on
	opAdmit  = "admit"  // let me into your cluster
	opAdd    = "add"    // Node has joined
	opDrop   = "drop"   // Node has left
	opExpel  = "expel"  // you have been thrown out
	opSurvey = "survey" // which cluster are you in, and who of it runs?
	opRetain = "retain" // keep this message
)

// Reasons of a reply that is no answer.
const (
	reasonStranger = "stranger"
	reasonBusy     = "busy"
	reasonParted   = "parted" // the network between us was cut: one side must be restarted
)

// cluster is what one node knows of the others. Membership outlives the process (schema.go); who runs is known from the
// connections that are open right now.
type cluster struct {
	self     nodeName
	started  time.Time
	dir      string // data/mnesia/NODE
	settings        // cookie, tick, autoheal, licence
	log      *nodeLog
	pace     pace
	apps     *apps
	alone    bool // a fault: it never joins

	mu       sync.Mutex // guards what follows
	schema   schema
	links    links
	retained retained
	ready    bool              // own tables are loaded
	fresh    bool              // no running member's list and messages were taken over since the start
	dropped  map[nodeName]bool // who has left since the start: another's old list does not bring it back
	joining  bool              // or leaving: membership is being changed
	entering bool              // joined, and not yet connected to all: whom it sees is all or none
	manual   bool              // a command has changed membership: static discovery is over
	licensed bool              // this node or a member that it has met has a licence for clusters
	weighing bool              // a peer that was cut off is back: which side is smaller?
	healing  bool              // being restarted, since it was on the smaller side of a cut
	healed   bool              // was restarted so, and has not been cut off since
	frozen   bool              // stopping: what is on disk stays as it is
	changed  chan struct{}
	wg       sync.WaitGroup
}

// openCluster reads what the node remembers, or begins a cluster of its own.
func (v *vm) openCluster(fail func(error)) (*cluster, error) {
	s, err := readSchema(v.mnesiaDir(), v.name)
	if err != nil {
		return nil, err
	}
	c := &cluster{
		self: v.name, started: time.Now(), dir: v.mnesiaDir(), settings: v.settings, log: v.log, pace: v.pace,
		apps: &apps{open: v.openApps, fail: fail}, alone: v.faults[faultNoJoin],
		schema: s, links: newLinks(), retained: retained{}, fresh: true, licensed: v.licensed(),
		dropped: map[nodeName]bool{}, changed: make(chan struct{}),
	}
	return c, writeSchema(c.dir, s)
}

// touch saves the schema and wakes who waits for a change. The caller holds the lock.
func (c *cluster) touch() {
	if !c.frozen {
		if err := writeSchema(c.dir, c.schema); err != nil {
			c.log.printf("error", "mnesia: %v", err)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// load greets every member that is remembered and returns when the tables are loaded: at once for a node that was
// alone when it stopped, else when one that outlived it is up and loaded, or all of those are up and waiting too. One that has
// to wait looks again only after some time.
func (c *cluster) load(ctx context.Context) error {
	for {
		c.greet(ctx)
		if c.loadNow(ctx) {
			return nil
		}
		c.log.printf("warning", "Mnesia: timed out waiting for tables, trying again")
		if err := c.pace.wait(ctx, retryTime); err != nil {
			return err
		}
	}
}

// loadNow loads the tables if that can be, and tells the peers.
func (c *cluster) loadNow(ctx context.Context) bool {
	c.mu.Lock()
	if !c.mayLoad() {
		c.mu.Unlock()
		return false
	}
	c.ready, c.fresh = true, false
	c.touch()
	peers := c.runningPeers()
	c.mu.Unlock()
	c.tell(ctx, peers, request{Op: opLoaded})
	return true
}

func (c *cluster) mayLoad() bool {
	all := true
	for _, peer := range c.schema.Outlived {
		if up := c.links.up(peer); up && c.links.loaded[peer] {
			return !c.fresh // what it has was taken over
		} else if !up {
			all = false
		}
	}
	return all
}

// mend greets, now and then, who should be connected and is not: a greeting can be lost on a busy machine.
func (c *cluster) mend(ctx context.Context) {
	for c.pace.wait(ctx, mendTime) == nil {
		c.greet(ctx)
	}
}

// waiting reports whether the node that must be up first is not.
func (c *cluster) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ready && !c.mayLoad()
}

// greet opens a connection to every member that has none, those included that it hears of on the way.
func (c *cluster) greet(ctx context.Context) {
	tried := map[nodeName]bool{c.self: true}
	for {
		r, ok := c.nextHello(tried)
		if !ok {
			return
		}
		peer := r.To
		tried[peer] = true
		conn, answer, err := dial(ctx, c.cookie, r)
		if err != nil {
			continue // it is down, and will greet us when it comes up
		}
		if answer.Error != "" || !c.welcomed(peer, r.Schema, answer, conn) {
			conn.Close()
			if answer.Error == reasonParted {
				c.wg.Go(func() { changer{c}.heal(ctx, peer) })
			}
			continue
		}
		c.wg.Go(func() { c.hold(peer, conn) })
	}
}

func (c *cluster) nextHello(tried map[nodeName]bool) (request, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joining || c.healing || c.frozen {
		return request{}, false
	}
	for _, peer := range c.schema.Members {
		if !tried[peer] && (c.fresh || !c.links.up(peer)) {
			return request{Op: opHello, From: c.self, To: peer, Schema: c.schema.ID, Loaded: c.ready, Cut: c.links.cut[peer], Healed: c.healed}, true
		}
	}
	return request{}, false
}

// welcomed takes a running member's list of members and its messages: instead of the own ones right after a start, else beside them.
func (c *cluster) welcomed(peer nodeName, schemaID string, answer reply, conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schema.ID != schemaID || answer.Schema != schemaID || c.frozen {
		return false
	}
	if c.fresh && answer.Loaded {
		c.schema.Members = []nodeName{c.self}
		c.retained = answer.messages()
		c.fresh = false
	}
	c.schema.add(slices.DeleteFunc(answer.Members, func(n nodeName) bool { return c.dropped[n] })...)
	c.licensed = c.licensed || answer.Licensed
	c.linkUp(peer, conn, answer.Loaded)
	return true
}

// linkUp notes an open connection to a peer. The caller holds the lock.
func (c *cluster) linkUp(peer nodeName, conn net.Conn, loaded bool) {
	c.links.add(peer, conn, loaded)
	c.schema.outlive(peer, true)
	c.touch()
}

// hold keeps a connection until one end is gone or silent for too long: then the peer is stopped, as far as this node knows.
func (c *cluster) hold(peer nodeName, conn net.Conn) {
	c.mu.Lock()
	listed := c.links.open[peer][conn]
	c.mu.Unlock()
	silent := listed && listenTo(conn, c.tick)
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	known, last := c.links.remove(peer, conn)
	if !known {
		return
	}
	if last && silent {
		c.links.cut[peer], c.healed = true, false
	}
	if last && !c.frozen && c.ready {
		c.schema.outlive(peer, false)
	}
	c.touch()
}

// serve answers another node. Commands from bin/emqx are answered in control.go.
func (c *cluster) serve(ctx context.Context, r request, conn net.Conn) reply {
	switch r.Op {
	case opHello:
		return c.hello(r, conn)
	case opSurvey:
		return c.survey()
	case opAdmit:
		return c.admit(ctx, r.From)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Schema != c.schema.ID {
		return reply{Error: reasonStranger}
	}
	switch r.Op {
	case opLoaded:
		c.links.loaded[r.From] = true
		c.touch()
	case opRetain:
		c.retained.set(r.Topic, r.Payload)
	case opAdd:
		c.enter(r.Node)
		c.touch()
	case opDrop:
		c.forget(r.Node)
	case opExpel:
		c.reset(newSchema(c.self))
		c.manual = true
	}
	return reply{}
}

// hello answers a member that has come up. One that was forced out while it was down, and remembers, is back in.
func (c *cluster) hello(r request, conn net.Conn) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Schema != c.schema.ID || c.frozen:
		return reply{Error: reasonStranger}
	case c.healing:
		return reply{Error: reasonBusy}
	case c.links.cut[r.From] && !r.Healed && !c.healed, r.Cut && !c.healed && !r.Healed:
		return reply{Error: reasonParted}
	}
	c.enter(r.From)
	c.linkUp(r.From, conn, r.Loaded)
	return reply{Schema: c.schema.ID, Members: slices.Clone(c.schema.Members), Loaded: c.ready, Retained: maps.Clone(c.retained), Licensed: c.licensed}
}

func (c *cluster) survey() reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready || c.frozen {
		return reply{Error: reasonBusy}
	}
	started := c.started
	if c.alone {
		started = time.Now() // discovery joins the node that has run longest: the others are to find each other
	}
	return reply{Schema: c.schema.ID, Members: append(c.runningPeers(), c.self), Started: started}
}

// admit lets a node in and tells the members that run.
func (c *cluster) admit(ctx context.Context, joiner nodeName) reply {
	c.mu.Lock()
	if c.joining || !c.ready || c.frozen || c.alone {
		c.mu.Unlock()
		return reply{Error: reasonBusy}
	}
	c.enter(joiner)
	c.touch()
	answer := reply{Schema: c.schema.ID, Members: slices.Clone(c.schema.Members), Retained: maps.Clone(c.retained), Licensed: c.licensed}
	peers := c.runningPeers()
	c.mu.Unlock()
	c.tell(ctx, peers, request{Op: opAdd, Node: joiner, Schema: answer.Schema})
	return answer
}

// tell sends a request to each of the peers; one that can't be reached learns it when it greets.
func (c *cluster) tell(ctx context.Context, peers []nodeName, r request) {
	c.mu.Lock()
	r.From = c.self
	if r.Schema == "" {
		r.Schema = c.schema.ID
	}
	c.mu.Unlock()
	for _, peer := range peers {
		if peer == r.Node && r.Op != opExpel {
			continue
		}
		r.To = peer
		if _, err := ask(ctx, c.cookie, r); err != nil {
			c.log.printf("warning", "tell %s: %v", r.Op, err)
		}
	}
}

// enter takes a member in. The caller holds the lock.
func (c *cluster) enter(peer nodeName) {
	delete(c.dropped, peer)
	c.schema.add(peer)
}

// forget drops a member and its connections. The caller holds the lock.
func (c *cluster) forget(peer nodeName) {
	c.dropped[peer] = true
	c.schema.drop(peer)
	c.links.hangUp(peer)
	c.touch()
}

// reset replaces the schema, without any message, and drops every connection: the others see this node stop. The caller holds
// the lock.
func (c *cluster) reset(s schema) {
	c.links.hangUpAll()
	c.links = newLinks()
	c.dropped, c.retained = map[nodeName]bool{}, retained{}
	if err := wipe(c.dir); err != nil {
		c.log.printf("error", "mnesia: %v", err)
	}
	c.schema = s
	c.touch()
}

// runningPeers are the members that are connected. The caller holds the lock.
func (c *cluster) runningPeers() []nodeName {
	var peers []nodeName
	for _, peer := range c.schema.Members {
		if peer != c.self && c.links.up(peer) {
			peers = append(peers, peer)
		}
	}
	return peers
}

// view is what the node says of its cluster, each list sorted.
func (c *cluster) view() (running, stopped []nodeName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, member := range c.schema.Members {
		if member == c.self || c.links.up(member) && !c.entering {
			running = append(running, member)
		} else {
			stopped = append(stopped, member)
		}
	}
	return running, stopped
}

// freeze keeps what is on disk as it is: from here on, peers that go down go down after this node.
func (c *cluster) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}

// close drops the connections and waits for who held them.
func (c *cluster) close() {
	c.freeze()
	c.mu.Lock()
	c.links.hangUpAll()
	c.mu.Unlock()
	c.wg.Wait()
}
