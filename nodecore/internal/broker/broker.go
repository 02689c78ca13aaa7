// Package broker is the MQTT server of a node (3.1.1 and 5, over TCP, TLS, WebSocket and secure WebSocket), and what
// makes the brokers of all nodes one: routes, forwarded messages, retained messages, shared
// subscriptions and sessions that move. It is the only user of the MQTT packet codec.
//
// It doesn't know who is a member (nodecore tells it by SetPeers) nor how frames travel (package peer).
//
// Start at Open. A message's way: conn.go reads it, publish.go sends it to sessions and peers, session.go
// queues it, outbound.go writes it.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/store"
)

// Config is what a Broker needs. Nil listeners are off; those given are owned by the broker from Open on.
type Config struct {
	Name      string       // node name, Name@Host
	NodeID    string       // random id of the node
	ClusterID string       // id of the cluster; changed by Reset
	Secret    []byte       // cluster's secret: proves links, and makes the cluster's CA
	Dir       string       // where ca.pem is written
	Store     *store.Store // owned by the caller, who closes it after the broker

	Forward net.Listener // links from other nodes (7947)
	MQTT    net.Listener // 1883
	MQTTS   net.Listener // 8883
	WS      net.Listener // 8083
	WSS     net.Listener // 8084

	Faults peer.Faults  // faults between this node and others; nil: none
	Logger *slog.Logger // nil: discard
}

// Broker is one node's MQTT server.
type Broker struct{}

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
	Dropped       uint64 // messages given up: a full queue, or too large for the client
	Links         []peer.Stat
}

// Open loads what is stored and serves the listeners.
func Open(cfg Config) (*Broker, error) { return nil, errors.New("not built yet") }

// SetPeers tells the other members of the cluster, those that are known but not reachable included. A member that isn't in
// the list any longer has left: nothing is kept for it. Call it with every change of membership.
func (b *Broker) SetPeers(peers []peer.Peer) {}

// Sync returns when this node has all retained messages that the named peer has. The peer must be in the list.
func (b *Broker) Sync(ctx context.Context, name string) error { return errors.New("not built yet") }

// Reset makes the broker a fresh one in another cluster: clients are disconnected, sessions, retained messages and peers
// are dropped, from disk too. The listeners stay open.
func (b *Broker) Reset(clusterID string) error { return errors.New("not built yet") }

// CA returns the cluster's CA certificate as PEM, and writes it to ca.pem in Config.Dir. All nodes of a cluster have
// the same one.
func (b *Broker) CA() ([]byte, error) { return nil, errors.New("not built yet") }

// Stats returns the counters of now.
func (b *Broker) Stats() Stats { return Stats{} }

// Close stops listening, disconnects clients, stores sessions, tells the peers, and returns when no goroutine of the broker is
// left. It may be called twice.
func (b *Broker) Close() error { return nil }
