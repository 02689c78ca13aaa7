package member

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// logBuffer collects log lines of a node.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func TestWrongSecret(t *testing.T) {
	var logs logBuffer
	a := reserve(t, "a")
	a.cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
	a.start(t)
	b := reserve(t, "b")
	b.cfg.Secret = []byte("another secret")
	b.start(t)
	before := b.View().Cluster
	err := b.Join(t.Context(), a.target())
	if !errors.Is(err, errSecret) || !strings.Contains(err.Error(), "secret differs") {
		t.Errorf("join with the wrong secret: got %v", err)
	}
	eventually(t, func() error {
		if !logs.has("secret") {
			return errors.New("the node that was asked logged nothing about the secret")
		}
		return nil
	})
	if b.View().Cluster != before || len(b.resets) != 0 {
		t.Error("the refused node has lost its own cluster")
	}
	allSee(t, []*testNode{a}, "a", "")
}

func TestNoSecret(t *testing.T) {
	a := reserve(t, "a").start(t)
	b := reserve(t, "b")
	b.cfg.Secret = nil
	b.start(t)
	if err := b.Join(t.Context(), a.target()); !refused(err, CodeOpen) {
		t.Errorf("join without a secret: got %v", err)
	}
	if err := a.Join(t.Context(), b.target()); err == nil {
		t.Error("joined a node that has no secret")
	}
}

// A node that believes to be a member, but of a cluster that is not the one at
// its members' addresses, neither gets in nor disturbs.
func TestOtherClusterAtTheAddress(t *testing.T) {
	one := cluster(t, "a", "b")
	if err := one[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := one[0].Close(); err != nil {
		t.Fatal(err)
	}
	two := reserve(t, "a") // the same name, at a's address, in a cluster of its own
	two.cfg.TCP.Close()
	two.cfg.UDP.Close()
	two.cfg.TCP, two.cfg.UDP = listen(t, one[0].addr.String())
	two.cfg.Advertise, two.addr = one[0].addr, one[0].addr
	two.start(t)
	one[1].restart(t)
	err := one[1].reconnect(t.Context(), one[1].View().Stopped[0], nil)
	if !refused(err, CodeOther) {
		t.Errorf("greet a node of another cluster: got %v", err)
	}
	two.sees(t, "a", "")
	one[1].sees(t, "b", "a")
}

func TestTwoClustersStayApart(t *testing.T) {
	one, two := cluster(t, "a", "b"), cluster(t, "x", "y")
	gs, _ := one[0].current()
	if err := gs.pushPull(two[0].View().Self); err == nil {
		t.Error("gossip of one cluster was accepted by another")
	}
	allSee(t, one, "a b", "")
	allSee(t, two, "x y", "")
}

// TestGarbage throws what no node would send at the cluster port.
func TestGarbage(t *testing.T) {
	nodes := cluster(t, "a", "b")
	addr := nodes[0].addr.String()
	var heap runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	before := heap.HeapAlloc
	for i := range 200 {
		throw(t, "tcp", addr, garbage(t, i))
		throw(t, "udp", addr, garbage(t, i))
	}
	eventually(t, func() error {
		if nodes[0].Garbage() < 100 {
			return errors.New("garbage was not noticed")
		}
		return nil
	})
	runtime.GC()
	runtime.ReadMemStats(&heap)
	if grown := int64(heap.HeapAlloc) - int64(before); grown > 32<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
	allSee(t, nodes, "a b", "")
	c := reserve(t, "c").start(t)
	c.join(t, nodes[0])
	allSee(t, append(nodes, c), "a b c", "")
}

// garbage is random bytes behind the beginnings of what a node does accept.
func garbage(t *testing.T, i int) []byte {
	t.Helper()
	starts := [][]byte{
		{}, {streamControl}, append([]byte{streamControl}, controlMagic...), {streamGossip}, {streamGossip, 255},
		append([]byte{streamGossip, 22}, "a@127.0.0.1#0123abcd.1\xf4\x04om-x"...), {labelByte, 5, 'o', 'm', '-'}, {labelByte, 0},
	}
	b := make([]byte, 1+i*3)
	rand.Read(b)
	return append(bytes.Clone(starts[i%len(starts)]), b...)
}

func throw(t *testing.T, network, addr string, b []byte) {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b); err != nil && network == "udp" {
		t.Logf("write: %v", err) // a stream may have been closed by the node already
	}
}

// Streams that say nothing may not keep others out.
func TestSilentStreams(t *testing.T) {
	a := reserve(t, "a").start(t)
	for range 64 {
		conn, err := net.Dial("tcp", a.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	b := reserve(t, "b").start(t)
	b.join(t, a)
	allSee(t, []*testNode{a, b}, "a b", "")
}

func TestHandshake(t *testing.T) {
	tests := []struct {
		name           string
		client, server string
		want           error
	}{
		{"same secret", "s", "s", nil},
		{"other secret", "s", "x", errSecret},
		{"no secret", "", "x", errSecret},
	}
	for _, tt := range tests {
		c, s := net.Pipe()
		deadline := time.Now().Add(patience)
		if err := errors.Join(c.SetDeadline(deadline), s.SetDeadline(deadline)); err != nil {
			t.Fatal(err)
		}
		type result struct {
			ch  *channel
			err error
		}
		served := make(chan result, 1)
		go func() {
			var first [1]byte
			_, err := s.Read(first[:])
			if err == nil && first[0] != streamControl {
				err = errors.New("wrong first byte")
			}
			var ch *channel
			if err == nil {
				ch, err = handshakeServer(s, []byte(tt.server))
			}
			served <- result{ch, err}
		}()
		cch, cerr := handshakeClient(c, []byte(tt.client))
		r := <-served
		if !errors.Is(cerr, tt.want) || !errors.Is(r.err, tt.want) {
			t.Errorf("%s: client got %v, server got %v, want %v", tt.name, cerr, r.err, tt.want)
		}
		if tt.want == nil && cerr == nil && r.err == nil {
			exchange(t, cch, r.ch)
		}
		c.Close()
		s.Close()
	}
}

func exchange(t *testing.T, a, b *channel) {
	t.Helper()
	for _, pair := range [][2]*channel{{a, b}, {b, a}, {a, b}} {
		sent := make(chan error, 1)
		go func() { sent <- pair[0].send(request{Op: "x", Cluster: strings.Repeat("y", 5000)}) }()
		var r request
		if err := errors.Join(pair[1].receive(&r), <-sent); err != nil || r.Op != "x" || len(r.Cluster) != 5000 {
			t.Errorf("exchange: got %q and %v", r.Op, err)
		}
	}
}

// A frame that was changed on the way is refused.
func TestTamperedFrame(t *testing.T) {
	c, s := net.Pipe()
	defer c.Close()
	defer s.Close()
	var wire bytes.Buffer
	a, err := newChannel(recorder{c, &wire}, []byte("s"), make([]byte, nonceSize), make([]byte, nonceSize), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.send(request{Op: opLeaveForTest}); err != nil {
		t.Fatal(err)
	}
	raw := wire.Bytes()
	raw[len(raw)-1] ^= 1
	go func() {
		_, _ = c.Write(raw) // the other end is closed when it has seen enough
	}()
	b, err := newChannel(s, []byte("s"), make([]byte, nonceSize), make([]byte, nonceSize), false)
	if err != nil {
		t.Fatal(err)
	}
	var r request
	if err := b.receive(&r); err == nil {
		t.Error("accepted a frame that was changed")
	}
}

const opLeaveForTest = "anything"

// recorder is a connection whose writes go to a buffer.
type recorder struct {
	net.Conn
	w *bytes.Buffer
}

func (r recorder) Write(b []byte) (int, error) { return r.w.Write(b) }

func TestCloseDuringJoin(t *testing.T) {
	a := reserve(t, "a").start(t)
	b := reserve(t, "b").start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	joined := make(chan error, 1)
	go func() { joined <- b.Join(ctx, a.target()) }()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-joined // with or without success: it has ended
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := b.Join(ctx, a.target()); err == nil {
		t.Error("joined after close")
	}
}
