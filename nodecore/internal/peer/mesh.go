package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxHandshakes is how many connections may be in a handshake at once.
const maxHandshakes = 256

// Mesh is this node's links to all others.
type Mesh struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	slots  chan struct{}

	change sync.Mutex // one SetPeers, Reset or Close at a time

	mu       sync.Mutex // guards what follows
	self     identity
	key      []byte
	links    map[string]*link
	conns    map[net.Conn]struct{} // accepted, to be closed by Close
	draining bool                  // nothing is accepted any more
}

// Stat describes the link to one peer.
type Stat struct {
	Name    string // node name of the peer
	State   string // idle (nothing to say yet), dialing, up, down
	Queued  int    // frames not yet handled by the peer
	Bytes   int    // their size
	Sent    uint64 // frames sent, repetitions included
	Dropped uint64 // frames given up
}

// Open starts to accept links. There are no peers until SetPeers.
func Open(cfg Config) (*Mesh, error) {
	switch {
	case cfg.Name == "" || cfg.NodeID == "" || cfg.ClusterID == "":
		return nil, errors.New("open links: node name, node id and cluster id are required")
	case len(cfg.Secret) == 0:
		return nil, errors.New("open links: the cluster's secret is empty")
	case cfg.Listener == nil || cfg.Handler == nil:
		return nil, errors.New("open links: listener and handler are required")
	}
	if cfg.Hold == 0 {
		cfg.Hold = DefaultHold
	}
	if cfg.QueueMax == 0 {
		cfg.QueueMax = DefaultQueueMax
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Faults == nil {
		cfg.Faults = func(string) (out, in Fault) { return Fault{}, Fault{} }
	}
	m := &Mesh{
		cfg: cfg, log: cfg.Logger, slots: make(chan struct{}, maxHandshakes),
		links: map[string]*link{}, conns: map[net.Conn]struct{}{},
	}
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	m.setIdentity(cfg.ClusterID)
	m.wg.Go(m.accept)
	return m, nil
}

// setIdentity is called on start and on every change of cluster.
func (m *Mesh) setIdentity(cluster string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self = identity{cluster: cluster, name: m.cfg.Name, id: m.cfg.NodeID, incarnation: random()}
	m.key = linkKey(m.cfg.Secret, cluster)
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func (m *Mesh) identity() (identity, []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self, m.key
}

func (m *Mesh) link(name string) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.links[name]
}

// SetPeers sets who the other members are, those that can't be reached at the moment included. Who is no longer in the
// list has left, and what waits for it is given up; so is a peer whose id has changed, before it joins as the new one.
// It must not be called from a Handler's method.
func (m *Mesh) SetPeers(peers []Peer) {
	m.change.Lock()
	defer m.change.Unlock()
	if m.ctx.Err() != nil {
		return
	}
	want := map[string]Peer{}
	for _, p := range peers {
		if p.Name != m.cfg.Name {
			want[p.Name] = p
		}
	}
	m.mu.Lock()
	var left []*link
	for name, l := range m.links {
		if p, ok := want[name]; !ok || p.ID != l.id {
			left = append(left, l)
			delete(m.links, name)
		}
	}
	m.mu.Unlock()
	for _, l := range left {
		l.close()
		m.cfg.Handler.Left(l.name)
	}
	for _, p := range peers {
		if p.Name == m.cfg.Name {
			continue
		}
		m.mu.Lock()
		l := m.links[p.Name]
		if l == nil {
			l = newLink(m, p)
			m.links[p.Name] = l
			m.mu.Unlock()
			m.cfg.Handler.Joined(p.Name)
			continue
		}
		m.mu.Unlock()
		l.update(p)
	}
}

// Peers returns the names of all peers, sorted.
func (m *Mesh) Peers() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.links))
	for name := range m.links {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Connect opens the link to a peer, so that both meet, though there may be nothing to send yet.
func (m *Mesh) Connect(name string) {
	if l := m.link(name); l != nil {
		l.start()
	}
}

// Send queues a frame for a peer. It only blocks if the frame has a Sender, and the queue is long. A frame to somebody who is no
// peer is done at once.
func (m *Mesh) Send(name string, f Frame) {
	if l := m.link(name); l != nil {
		l.send(f)
	} else if f.Waiter != nil {
		f.Waiter.Done(false)
	}
}

// Up says whether the link to a peer is established at the moment.
func (m *Mesh) Up(name string) bool {
	l := m.link(name)
	return l != nil && l.isUp()
}

// Alive says whether membership takes a peer for running.
func (m *Mesh) Alive(name string) bool {
	l := m.link(name)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alive
}

// Reachable says whether there is no reason to think that a peer can't be reached.
func (m *Mesh) Reachable(name string) bool {
	l := m.link(name)
	return l != nil && l.reachable()
}

// Flush returns when peers with an established link have handled all that was sent so far, or ctx ends.
func (m *Mesh) Flush(ctx context.Context) {
	var open atomic.Int64
	open.Store(1)
	done := make(chan struct{})
	one := func(bool) {
		if open.Add(-1) == 0 {
			close(done)
		}
	}
	for _, name := range m.Peers() {
		if l := m.link(name); l != nil && l.isUp() {
			open.Add(1)
			l.send(Frame{Kind: kindSkip, Lossy: true, Waiter: DoneFunc(one)})
		}
	}
	one(true)
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Drain is the first half of an orderly end: nothing is received any more, so that peers don't take for handled what would be
// lost; and what was sent so far is flushed. Close is to follow.
func (m *Mesh) Drain(ctx context.Context) {
	m.stopReceiving()
	m.Flush(ctx)
}

// stopReceiving closes all incoming connections, and returns when the last frame has been handled.
func (m *Mesh) stopReceiving() error {
	err := m.cfg.Listener.Close()
	m.mu.Lock()
	m.draining = true
	for c := range m.conns {
		c.Close() // the error of its reader says all
	}
	links := slices.Collect(maps.Values(m.links))
	m.mu.Unlock()
	for _, l := range links {
		l.in.close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// FaultsChanged closes the links that are cut by a fault now; those on which nothing is sent would not notice.
func (m *Mesh) FaultsChanged() {
	for _, name := range m.Peers() {
		l := m.link(name)
		if l == nil || !l.blocked() {
			continue
		}
		l.mu.Lock()
		if l.conn != nil {
			l.conn.Close()
		}
		l.mu.Unlock()
		l.in.mu.Lock()
		if l.in.conn != nil {
			l.in.conn.Close()
		}
		l.in.mu.Unlock()
	}
}

// Stats returns the state of every link, sorted by name.
func (m *Mesh) Stats() []Stat {
	var all []Stat
	for _, name := range m.Peers() {
		if l := m.link(name); l != nil {
			all = append(all, l.stat())
		}
	}
	return all
}

// Reset gives up all links and goes on, without peers, as a member of another cluster.
func (m *Mesh) Reset(cluster string) {
	m.SetPeers(nil)
	m.setIdentity(cluster)
}

// Close gives up all links and returns when no goroutine of the mesh is left. It may be called twice.
func (m *Mesh) Close() error {
	m.change.Lock()
	defer m.change.Unlock()
	if m.ctx.Err() != nil {
		return nil
	}
	m.cancel(ErrClosed)
	err := m.stopReceiving()
	m.mu.Lock()
	links := m.links
	m.links = map[string]*link{}
	m.mu.Unlock()
	for _, l := range links {
		l.close()
	}
	m.wg.Wait()
	if err != nil {
		return fmt.Errorf("close forward listener: %w", err)
	}
	return nil
}

// accept takes connections until the listener is closed.
func (m *Mesh) accept() {
	for {
		conn, err := m.cfg.Listener.Accept()
		if err != nil {
			return
		}
		select {
		case m.slots <- struct{}{}:
		default:
			conn.Close() // a node tries again
			continue
		}
		m.mu.Lock()
		m.conns[conn] = struct{}{}
		draining := m.draining
		m.mu.Unlock()
		if draining {
			conn.Close() // stopReceiving has not seen it
		}
		m.wg.Go(func() {
			defer func() {
				conn.Close()
				m.mu.Lock()
				delete(m.conns, conn)
				m.mu.Unlock()
			}()
			m.inbound(conn)
		})
	}
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
