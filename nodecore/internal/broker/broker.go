// Package broker is the MQTT server of a node (3.1.1 and 5, over TCP, TLS, WebSocket and secure WebSocket), and what
// makes the brokers of all nodes one: routes, forwarded messages, retained messages, shared
// subscriptions and sessions that move. It is the only user of the MQTT packet codec.
//
// It doesn't know who is a member (nodecore tells it by SetPeers) nor how frames travel (package peer).
//
// Start at Open. A message's way: conn.go reads it, inbound.go takes it in, publish.go sends it to sessions and peers,
// session.go queues it and writes it out. What nodes say to each other is in frames.go, routes.go, retain.go and claim.go.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/store"
	"onemore/nodecore/internal/topic"
)

// flushTime bounds how long Close waits for the peers to take what is sent to them.
const flushTime = 2 * time.Second

// Config is what a Broker needs. Nil listeners are off, except Forward; those given are owned by the broker from Open on.
type Config struct {
	Name      string       // node name, Name@Host
	NodeID    string       // random id of the node
	ClusterID string       // id of the cluster; changed by Reset
	Secret    []byte       // cluster's secret: proves links, and makes the cluster's CA
	Dir       string       // where ca.pem is written
	Store     *store.Store // owned by the caller, who closes it after the broker
	Peers     []peer.Peer  // the other members, as SetPeers has them

	Forward net.Listener // links from other nodes (7947)
	MQTT    net.Listener // 1883
	MQTTS   net.Listener // 8883
	WS      net.Listener // 8083
	WSS     net.Listener // 8084

	Faults peer.Faults   // faults between this node and others; nil: none
	Hold   time.Duration // how long a publisher waits for a node that can't be reached; 0: peer.DefaultHold
	Logger *slog.Logger  // nil: discard
}

// Broker is one node's MQTT server.
type Broker struct {
	cfg         Config
	log         *slog.Logger
	store       *store.Store
	mesh        *peer.Mesh
	clock       clock
	certs       certs
	incarnation uint64 // random; tells this process's messages from those of others
	seq         atomic.Uint64
	turns       atomic.Uint64
	stats       counters

	ctx        context.Context // ends with Close
	cancel     context.CancelCauseFunc
	accepting  sync.WaitGroup // listeners and connections
	background sync.WaitGroup // timers and what is done later

	announced announced
	hearing   hearing
	retained  retainedMessages
	claims    claims
	asked     questions

	mu       sync.RWMutex // guards what follows; the innermost lock but those of peer and store
	closed   bool
	conns    map[*conn]struct{}
	sessions map[string]*session
	stubs    map[string]*session // sessions that have moved, while messages are passed on
	subs     topic.Tree[*session, subscription]
	groups   map[string]*group
	remote   topic.Tree[string, route]
	shared   topic.Tree[shareKey, route]
	routes   map[string]map[string]bool // filters by peer; false while the peer tells all, and has not told this one yet
}

// questions are pulls that are not answered yet.
type questions struct {
	sync.Mutex
	last uint64
	open map[uint64]chan struct{}
}

type counters struct {
	connections                        atomic.Int64
	received, sent, forwarded, dropped atomic.Uint64
}

// Open loads what is stored and serves the listeners.
func Open(cfg Config) (*Broker, error) {
	if cfg.Store == nil || cfg.Forward == nil {
		return nil, errors.New("open broker: store and forward listener are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		cfg: cfg, log: cfg.Logger, store: cfg.Store, clock: clock{node: cfg.Name}, incarnation: random(),
		conns: map[*conn]struct{}{}, sessions: map[string]*session{}, stubs: map[string]*session{},
		groups: map[string]*group{}, routes: map[string]map[string]bool{},
	}
	b.announced.all = map[string]wanted{}
	b.hearing.from = map[string]chan struct{}{}
	b.retained.all = map[string]keptMessage{}
	b.claims.open = map[uint64]*claim{}
	b.asked.open = map[uint64]chan struct{}{}
	b.certs.set(cfg, cfg.ClusterID)
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	var err error
	b.mesh, err = peer.Open(peer.Config{
		Name: cfg.Name, NodeID: cfg.NodeID, ClusterID: cfg.ClusterID, Secret: cfg.Secret,
		Listener: cfg.Forward, Handler: b, Faults: cfg.Faults, Hold: cfg.Hold, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if err := b.load(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.background.Go(b.keepPurging)
	b.SetPeers(cfg.Peers) // whom clients' messages wait to hear
	b.listen()
	return b, nil
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// SetPeers tells the other members of the cluster, those that are known but not reachable included. A member that isn't in
// the list any longer has left: nothing is kept for it. Call it with every change of membership, not from several
// goroutines at once.
func (b *Broker) SetPeers(peers []peer.Peer) { b.mesh.SetPeers(peers) }

// anything says whether this node has something that a new member should know.
func (b *Broker) anything() bool {
	b.mu.RLock()
	n := len(b.sessions)
	b.mu.RUnlock()
	b.retained.mu.RLock()
	defer b.retained.mu.RUnlock()
	return n > 0 || len(b.retained.all) > 0
}

func (b *Broker) isClosed() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.closed
}

// track notes a connection, so that it can be closed; false after Close.
func (b *Broker) track(c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[c] = struct{}{}
	return true
}

func (b *Broker) untrack(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// disconnectAll ends all connections, and returns when they have left their sessions.
func (b *Broker) disconnectAll(why packets.Code) {
	b.mu.RLock()
	all := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		all = append(all, c)
	}
	b.mu.RUnlock()
	for _, c := range all {
		c.end(why)
	}
	for _, c := range all {
		<-c.done
	}
}

// Reset makes the broker a fresh one in another cluster: clients are disconnected, sessions, retained messages and peers
// are dropped, from disk too. The listeners stay open.
func (b *Broker) Reset(clusterID string) error {
	b.mesh.Reset(clusterID)
	b.disconnectAll(packets.ErrAdministrativeAction)
	b.mu.RLock()
	all := make([]*session, 0, len(b.sessions)+len(b.stubs))
	for _, m := range []map[string]*session{b.sessions, b.stubs} {
		for _, s := range m {
			all = append(all, s)
		}
	}
	b.mu.RUnlock()
	for _, s := range all {
		s.mu.Lock()
		s.will = nil
		if s.conn != nil { // a client that came in between
			s.conn.end(packets.ErrAdministrativeAction)
		}
		s.endLocked()
		s.dissolveLocked()
		s.mu.Unlock()
	}
	b.retained.mu.Lock()
	b.retained.all, b.retained.sum, b.retained.live, b.retained.due = map[string]keptMessage{}, digest{}, 0, 0
	b.retained.mu.Unlock()
	b.certs.set(b.cfg, clusterID)
	return b.store.Reset()
}

// Stats are counters of one node, for status and metrics.
type Stats struct {
	Connections   int    // clients connected at the moment
	Sessions      int    // sessions, connected or waiting for their client
	Subscriptions int    // subscriptions of this node's sessions
	Routes        int    // filters known to be wanted on other nodes
	Retained      int    // retained messages of the cluster
	Queued        int    // messages waiting in sessions
	Received      uint64 // messages published by clients of this node
	Sent          uint64 // messages written to clients of this node
	Forwarded     uint64 // messages sent to other nodes
	Dropped       uint64 // messages given up: a full queue, too large for the client, or expired
	Links         []peer.Stat
}

// Stats returns the counters of now.
func (b *Broker) Stats() Stats {
	st := Stats{
		Connections: int(b.stats.connections.Load()),
		Received:    b.stats.received.Load(), Sent: b.stats.sent.Load(),
		Forwarded: b.stats.forwarded.Load(), Dropped: b.stats.dropped.Load(),
		Links: b.mesh.Stats(),
	}
	b.mu.RLock()
	st.Sessions = len(b.sessions)
	for _, filters := range b.routes {
		st.Routes += len(filters)
	}
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.RUnlock()
	for _, s := range all {
		s.mu.Lock()
		st.Subscriptions += len(s.subs)
		st.Queued += s.queue.Len() + s.flights.Len()
		s.mu.Unlock()
	}
	b.retained.mu.RLock()
	st.Retained = b.retained.live
	b.retained.mu.RUnlock()
	return st
}

// Close stops listening, disconnects clients, stores sessions, tells the peers, and returns when no goroutine of the broker is
// left. It may be called twice.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	err := b.closeListeners()
	b.disconnectAll(packets.ErrServerShuttingDown)
	ctx, cancel := context.WithTimeout(b.ctx, flushTime)
	b.mesh.Drain(ctx) // sessions that end with their connection have said so; what clients were told is accepted, is
	cancel()
	b.cancel(errors.New("broker is closed"))
	err = errors.Join(err, b.mesh.Close())
	b.accepting.Wait()
	b.mu.RLock()
	all := make([]*session, 0, len(b.sessions)+len(b.stubs))
	for _, m := range []map[string]*session{b.sessions, b.stubs} {
		for _, s := range m {
			all = append(all, s)
		}
	}
	b.mu.RUnlock()
	for _, s := range all {
		s.mu.Lock()
		s.stopTimersLocked()
		s.saveLocked()
		s.mu.Unlock()
	}
	b.background.Wait()
	return err
}
