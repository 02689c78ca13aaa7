// Package broker is the MQTT server of a node (3.1.1 and 5, over TCP, TLS, WebSocket and secure WebSocket), and what
// makes the brokers of all nodes one: routes, forwarded messages, retained messages, shared
// subscriptions and sessions that move. It is the only user of the MQTT packet codec.
//
// It doesn't know who is a member (nodecore tells it by SetPeers) nor how frames travel (package peer).
//
// A Broker has a part for each of its jobs: server (listeners and connections), registry (sessions), routing (subscriptions, here
// and elsewhere), retainedMessages, takeovers (sessions that move between nodes), heldWills (wills of other
// nodes' clients) and routeSync (nodes whose subscriptions aren't known yet). A session has subscriptions, an inbox and an outbox.
//
// Start at Open. The path of a message: conn.go reads it, inbound.go accepts it, publish.go routes it to sessions and peers,
// session.go decides whether it is queued, and outbox.go queues and writes it. Frames between nodes: frames.go, routes.go, retain.go, takeover.go.
package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
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
	"onemore/nodecore/internal/webcheck"
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

	Web         *webcheck.Checker // which pages may use WebSocket; nil: any
	LinkTLS     bool              // links between nodes are encrypted; the same in all nodes
	Wait        bool              // clients wait, at first and after every Reset, until Admit is called
	Certificate *tls.Certificate  // of the TLS listeners; nil: one by the cluster's CA
	Faults      peer.Faults       // faults between this node and others; nil: none
	Hold        time.Duration     // how long a publisher waits for a node that can't be reached; 0: peer.DefaultHold
	Logger      *slog.Logger      // nil: discard

	MaxSubscriptions int           // of a client; 0: DefaultSubscriptions
	ReceiveMaximum   int           // QoS 1 and 2 messages of a client that it may have unacknowledged; 0: DefaultReceiveMaximum
	ServerKeepAlive  time.Duration // most that a client's keep-alive time may be; 0: any, or none
}

// Defaults of Config.
const (
	DefaultSubscriptions  = 10_000
	DefaultReceiveMaximum = 1024
)

// Broker is one node's MQTT server. Each of its parts has a lock of its own.
type Broker struct {
	cfg         Config
	log         *slog.Logger
	store       *store.Store
	mesh        *peer.Mesh
	clock       clock
	incarnation uint64 // random; distinguishes this process's messages from those of others
	seq         atomic.Uint64
	stats       counters
	failing     failingPeers
	repeated    repeated
	positions   map[string]position // of peers' frames, at the start

	ctx        context.Context // ends with Close
	cancel     context.CancelCauseFunc
	background sync.WaitGroup // timers and what is done later

	Admission Admission // whether clients are let in, and what has to be fetched before
	Certs     Certs     // of the TLS listeners
	server    server
	sessions  registry
	routes    routing
	synced    routeSync
	retained  retainedMessages
	takeovers takeovers
	wills     heldWills
}

// questions are pulls that are not answered yet.
type questions struct {
	sync.Mutex
	last uint64
	open map[uint64]question
}

type question struct {
	peer   string
	answer chan struct{} // closed by the answer
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
	if cfg.MaxSubscriptions == 0 {
		cfg.MaxSubscriptions = DefaultSubscriptions
	}
	if cfg.ReceiveMaximum == 0 {
		cfg.ReceiveMaximum = DefaultReceiveMaximum
	}
	b := newBroker(cfg)
	b.Certs.set(cfg, cfg.ClusterID)
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	err := b.loadPositions()
	if err != nil {
		return nil, err
	}
	var link *tls.Config
	if cfg.LinkTLS {
		link = b.Certs.linkConfig()
	}
	b.mesh, err = peer.Open(peer.Config{
		TLS:  link,
		Name: cfg.Name, NodeID: cfg.NodeID, ClusterID: cfg.ClusterID, Secret: cfg.Secret,
		Listener: cfg.Forward, Handler: b, Faults: cfg.Faults, Hold: cfg.Hold, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if err := b.sessions.load(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.background.Go(b.retained.keepPurging)
	b.SetPeers(cfg.Peers) // from now on, acknowledgements wait for the routes of these
	b.server.listen()
	return b, nil
}

func newBroker(cfg Config) *Broker {
	b := &Broker{cfg: cfg, log: cfg.Logger, store: cfg.Store, clock: clock{node: cfg.Name}, incarnation: random()}
	b.server.b, b.Admission.b = b, b
	b.Admission.reset(cfg.ClusterID)
	if !cfg.Wait {
		b.Admission.Admit(cfg.ClusterID)
	}
	b.sessions = registry{b: b, conns: map[*conn]struct{}{}, all: map[string]*session{}, moved: map[string]*session{}}
	b.routes = routing{
		b: b, groups: map[string]*group{}, peers: map[string]map[string]bool{}, announced: announced{all: map[string]filterCount{}},
	}
	b.failing.names = map[string]bool{}
	b.synced = routeSync{b: b, from: map[string]chan struct{}{}}
	b.retained = retainedMessages{b: b, all: map[string]retainedEntry{}, asked: questions{open: map[uint64]question{}}}
	b.takeovers = takeovers{b: b, open: map[uint64]*takeover{}}
	b.wills = heldWills{b: b, of: map[string]*nodeWills{}, lost: map[string][]*lostWill{}}
	return b
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// SetPeers tells the other members of the cluster, those that are known but not reachable included. A member that isn't in
// the list any longer has left: nothing is kept for it. Call it with every change of membership, or of Config.Faults, not from
// several goroutines at once.
func (b *Broker) SetPeers(peers []peer.Peer) {
	b.mesh.SetPeers(peers)
	b.mesh.FaultsChanged()
	b.wills.look()
}

// anything says whether this node has something that a new member should know.
func (b *Broker) anything() bool {
	b.sessions.mu.RLock()
	n := len(b.sessions.all)
	b.sessions.mu.RUnlock()
	b.retained.mu.RLock()
	defer b.retained.mu.RUnlock()
	return n > 0 || len(b.retained.all) > 0
}

func (b *Broker) isClosed() bool {
	b.sessions.mu.RLock()
	defer b.sessions.mu.RUnlock()
	return b.sessions.closed
}

// Reset makes the broker a fresh one in another cluster: clients are disconnected, sessions, retained messages and peers
// are dropped, from disk too. The listeners stay open.
func (b *Broker) Reset(clusterID string) error {
	if b.cfg.Wait {
		b.Admission.reset(clusterID)
	}
	b.wills.reset()
	b.mesh.Reset(clusterID)
	b.sessions.disconnectAll(packets.ErrAdministrativeAction)
	for _, s := range append(b.sessions.list(), b.sessions.listMoved()...) {
		s.mu.Lock()
		s.will = nil
		if s.conn != nil { // a client that came in between
			s.conn.end(packets.ErrAdministrativeAction)
		}
		s.endLocked()
		s.move.stopForwardingLocked()
		s.mu.Unlock()
	}
	b.retained.mu.Lock()
	b.retained.all, b.retained.sum, b.retained.live, b.retained.due = map[string]retainedEntry{}, digest{}, 0, 0
	b.retained.mu.Unlock()
	b.Certs.set(b.cfg, clusterID)
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
	StoreFailures uint64 // attempts to store that failed
	Links         []peer.Stat
}

// StoreTrouble is why nothing can be stored at the moment; "" if it can.
func (b *Broker) StoreTrouble() string {
	if _, err := b.store.Trouble(); err != nil {
		return err.Error()
	}
	return ""
}

// Stats returns the counters of now.
func (b *Broker) Stats() Stats {
	st := Stats{
		Connections: int(b.stats.connections.Load()),
		Received:    b.stats.received.Load(), Sent: b.stats.sent.Load(),
		Forwarded: b.stats.forwarded.Load(), Dropped: b.stats.dropped.Load(),
		Links: b.mesh.Stats(),
	}
	st.StoreFailures, _ = b.store.Trouble()
	b.routes.mu.RLock()
	for _, filters := range b.routes.peers {
		st.Routes += len(filters)
	}
	b.routes.mu.RUnlock()
	all := b.sessions.list()
	st.Sessions = len(all)
	for _, s := range all {
		s.mu.Lock()
		st.Subscriptions += len(s.subs.all)
		st.Queued += s.outbox.queue.Len() + s.outbox.inflight.Len()
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
	if !b.sessions.close() {
		return nil
	}
	err := b.server.closeListeners()
	b.sessions.disconnectAll(packets.ErrServerShuttingDown)
	ctx, cancel := context.WithTimeout(b.ctx, flushTime)
	b.mesh.Drain(ctx) // sessions that end with their connection have said so; what clients were told is accepted, is
	cancel()
	b.cancel(errors.New("broker is closed"))
	err = errors.Join(err, b.mesh.Close())
	err = errors.Join(err, b.server.close())
	for _, s := range append(b.sessions.list(), b.sessions.listMoved()...) {
		s.mu.Lock()
		s.stopTimersLocked()
		s.saveLocked()
		s.mu.Unlock()
	}
	b.background.Wait()
	return err
}
