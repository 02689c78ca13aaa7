package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a mesh and what its handler was told.
type node struct {
	*Mesh
	stream, seq uint64 // what a process before this one has stored of a peer
	name        string
	addr        string
	cut         atomic.Pointer[map[string]Fault] // by peer, both directions

	mu     sync.Mutex
	got    map[string][]int // by sender
	events []string
	onMet  func(name string)
	on     func(i int, p Pauser) // called for every frame, before it is handled
}

// Settle, Settled and Position are Handler's: what is handled needs no storing.
func (n *node) Settle(string)                        {}
func (n *node) Settled() bool                        { return true }
func (n *node) Position(string) (stream, seq uint64) { return n.stream, n.seq }

func (n *node) Receive(from string, kind byte, body []byte, p Delivery) {
	i := int(binary.BigEndian.Uint32(body))
	if n.on != nil {
		n.on(i, p)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got[from] = append(n.got[from], i)
}

func (n *node) event(e, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e+" "+name)
}

func (n *node) Joined(name string) { n.event("joined", name) }
func (n *node) Left(name string)   { n.event("left", name) }
func (n *node) Met(name string) {
	n.event("met", name)
	if n.onMet != nil {
		n.onMet(name)
	}
}

func (n *node) received(from string) []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got[from])
}

func (n *node) count(event string) (c int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e == event {
			c++
		}
	}
	return c
}

func (n *node) fault(f map[string]Fault) { n.cut.Store(&f) }

func (n *node) peer() Peer { return Peer{Name: n.name, ID: "id-" + n.name, Addr: n.addr, Alive: true} }

// sender counts how often it was made to wait, and may go on.
type sender struct {
	pauses, resumes atomic.Int64
	ended           chan struct{}
}

func (s *sender) Pause() (resume func()) {
	s.pauses.Add(1)
	return func() { s.resumes.Add(1) }
}

func (s *sender) Ended() <-chan struct{} { return s.ended }

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func open(t *testing.T, ln net.Listener, name string, change func(*Config)) *node {
	t.Helper()
	return openNode(t, ln, &node{name: name}, change)
}

func openNode(t *testing.T, ln net.Listener, n *node, change func(*Config)) *node {
	t.Helper()
	name := n.name
	n.addr, n.got = ln.Addr().String(), map[string][]int{}
	n.fault(nil)
	cfg := Config{
		Name: name, NodeID: "id-" + name, ClusterID: "c", Secret: []byte("s"), Listener: ln, Handler: n,
		Faults: func(peer string) (out, in Fault) { f := (*n.cut.Load())[peer]; return f, f },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Mesh = m
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// pair is two nodes that know each other.
func pair(t *testing.T, change func(*Config)) (a, b *node) {
	t.Helper()
	a = open(t, listen(t, "127.0.0.1:0"), "a", change)
	b = open(t, listen(t, "127.0.0.1:0"), "b", change)
	know(a, b)
	return a, b
}

func know(nodes ...*node) {
	var peers []Peer
	for _, n := range nodes {
		peers = append(peers, n.peer())
	}
	for _, n := range nodes {
		n.SetPeers(peers)
	}
}

func number(i int) Frame {
	return Frame{Kind: 1, Head: binary.BigEndian.AppendUint32(nil, uint32(i)), Body: []byte("and more")}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}
