package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onemore/nodecore/internal/faults"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// memberlist doesn't wait for its probes when it is shut down; they end by their own timers.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probe"),
	)
}

// patience bounds every wait of these tests; it is never reached in a good run.
const patience = 60 * time.Second

// testNode is a Group that can be stopped and started again.
type testNode struct {
	*Group
	cfg    Config
	addr   netip.AddrPort
	faults *faults.Table

	mu     sync.Mutex
	resets []string // clusters for which the data was dropped
}

// waitResets waits until the data was dropped so many times in all.
func (n *testNode) waitResets(t *testing.T, want int) {
	t.Helper()
	eventually(t, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.resets) != want {
			return fmt.Errorf("%s dropped its data for %v, want %d times", n.cfg.Name, n.resets, want)
		}
		return nil
	})
}

var testSecret = []byte("a secret of the tests")

// reserve gives a node a directory, a name and a port.
func reserve(t *testing.T, part string) *testNode {
	t.Helper()
	n := &testNode{faults: new(faults.Table)}
	tcp, udp := listen(t, "127.0.0.1:0")
	n.addr = tcp.Addr().(*net.TCPAddr).AddrPort()
	n.cfg = Config{
		Name: part + "@127.0.0.1", Dir: t.TempDir(), TCP: tcp, UDP: udp, Advertise: n.addr,
		Secret: testSecret, Faults: n.faults, Forward: "127.0.0.1:1",
		Reset: func(_ context.Context, cluster string) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.resets = append(n.resets, cluster)
			return nil
		},
	}
	if os.Getenv("MEMBER_TEST_LOG") != "" {
		n.cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", part)
	}
	t.Cleanup(func() {
		tcp.Close()
		udp.Close()
	})
	return n
}

// listen opens TCP and UDP on one port, which for port 0 takes a few tries.
func listen(t *testing.T, addr string) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 50 {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both TCP and UDP")
	return nil, nil
}

// start opens the node on its reserved sockets.
func (n *testNode) start(t *testing.T) *testNode {
	t.Helper()
	g, err := Open(n.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	n.Group = g
	return n
}

// kill ends the node without a word to the others.
func (n *testNode) kill(t *testing.T) {
	t.Helper()
	for p := range n.others() {
		if err := n.faults.Set(p, faults.Both, faults.Rule{Block: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.faults.Clear("")
}

func (n *testNode) others() map[string]bool {
	names := make(map[string]bool)
	v := n.View()
	for _, m := range append(v.Running, v.Stopped...) {
		if m.Name != n.cfg.Name {
			names[m.Name] = true
		}
	}
	return names
}

// restart opens the node again on the same port and directory.
func (n *testNode) restart(t *testing.T) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.cfg.TCP, n.cfg.UDP = listen(t, n.addr.String())
	n.start(t)
}

func (n *testNode) target() Target { return Target{Name: n.cfg.Name, Addr: n.addr.String()} }

// join makes n a member of the cluster of to.
func (n *testNode) join(t *testing.T, to *testNode) {
	t.Helper()
	if err := n.Join(t.Context(), to.target()); err != nil {
		t.Fatalf("join %s to %s: %v", n.cfg.Name, to.cfg.Name, err)
	}
}

// cluster starts nodes that form one cluster by explicit joins.
func cluster(t *testing.T, parts ...string) []*testNode {
	t.Helper()
	var nodes []*testNode
	for _, p := range parts {
		n := reserve(t, p).start(t)
		if len(nodes) > 0 {
			n.join(t, nodes[0])
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// eventually polls a condition; why is asked for the last reason when time is up.
func eventually(t *testing.T, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := cond()
		if err == nil {
			return
		}
		if wait(ctx, 2*time.Millisecond) != nil {
			t.Fatalf("gave up waiting: %v", err)
		}
	}
}

func short(list []Member) string {
	var parts []string
	for _, m := range list {
		part, _, _ := strings.Cut(m.Name, "@")
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// sees waits until the node's view is as given, as "a b" and "c".
func (n *testNode) sees(t *testing.T, running, stopped string) {
	t.Helper()
	eventually(t, func() error {
		v := n.View()
		if short(v.Running) == running && short(v.Stopped) == stopped {
			return nil
		}
		return errors.New(n.cfg.Name + " sees running: " + short(v.Running) + "; stopped: " + short(v.Stopped))
	})
}

func allSee(t *testing.T, nodes []*testNode, running, stopped string) {
	t.Helper()
	for _, n := range nodes {
		n.sees(t, running, stopped)
	}
}

func without(nodes []*testNode, i int) []*testNode {
	return slices.Concat(nodes[:i], nodes[i+1:])
}
