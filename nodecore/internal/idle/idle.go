// Package idle holds a node's MQTT listeners open, and hangs up on whoever connects, until the
// broker is there to serve them. It speaks no MQTT. Start at Open.
package idle

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/store"
)

// Config names the listeners to hold; the rest is for the broker.
type Config struct {
	Name, NodeID, ClusterID, Dir  string
	Secret                        []byte
	Store                         *store.Store
	Forward, MQTT, MQTTS, WS, WSS net.Listener
	Faults                        peer.Faults
	Logger                        *slog.Logger
}

// Stats are all zero.
type Stats struct {
	Connections, Sessions, Subscriptions, Routes, Retained, Queued int
	Received, Sent, Forwarded, Dropped                             uint64
}

// Broker hangs up.
type Broker struct {
	listeners []net.Listener
	wg        sync.WaitGroup
	once      sync.Once
	err       error
}

// Open begins to accept.
func Open(cfg Config) (*Broker, error) {
	b := &Broker{}
	for _, l := range []net.Listener{cfg.Forward, cfg.MQTT, cfg.MQTTS, cfg.WS, cfg.WSS} {
		if l == nil {
			continue
		}
		b.listeners = append(b.listeners, l)
		b.wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		})
	}
	return b, nil
}

// SetPeers has nothing to do.
func (b *Broker) SetPeers([]peer.Peer) {}

// Sync has nothing to do.
func (b *Broker) Sync(context.Context, string) error { return nil }

// Reset has nothing to do.
func (b *Broker) Reset(string) error { return nil }

// Stats returns zeros.
func (b *Broker) Stats() Stats { return Stats{} }

// Close stops accepting.
func (b *Broker) Close() error {
	b.once.Do(func() {
		var errs []error
		for _, l := range b.listeners {
			errs = append(errs, l.Close())
		}
		b.wg.Wait()
		b.err = errors.Join(errs...)
	})
	return b.err
}
