package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"go.uber.org/goleak"

	"onemore/nodecore/internal/peer"
	"onemore/nodecore/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNode is a broker with all its listeners, which can be stopped and started again.
type testNode struct {
	*Broker
	i     int
	name  string
	dir   string
	store *store.Store
	addrs sync.Map // by listener; none before the first start
	cut   atomic.Pointer[map[string]peer.Fault]
	hold  time.Duration
}

// addr is where a listener was opened last; "" if it never was.
func (n *testNode) addr(listener string) string {
	a, _ := n.addrs.Load(listener)
	s, _ := a.(string)
	return s
}

func (n *testNode) session(id string) *session { return n.sessions.get(id) }

// testCluster is some nodes that know each other.
type testCluster struct {
	t     testing.TB
	nodes []*testNode
}

func newCluster(t testing.TB, n int) *testCluster {
	t.Helper()
	return newClusterWith(t, n, 0)
}

// newClusterWith is newCluster with a time for which publishers wait for a node.
func newClusterWith(t testing.TB, n int, hold time.Duration) *testCluster {
	t.Helper()
	c := &testCluster{t: t}
	for i := range n {
		node := &testNode{i: i, name: fmt.Sprintf("n%d@127.0.0.1", i+1), dir: t.TempDir(), hold: hold}
		node.cut.Store(&map[string]peer.Fault{})
		c.nodes = append(c.nodes, node)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	c.meet()
	return c
}

// start starts node i, at the addresses that it had before if they are free.
func (c *testCluster) start(i int) {
	c.t.Helper()
	n := c.nodes[i]
	var err error
	if n.store, err = store.Open(n.dir, store.Options{}); err != nil {
		c.t.Fatal(err)
	}
	ls := map[string]net.Listener{}
	for _, l := range []string{"forward", "mqtt", "mqtts", "ws", "wss"} {
		addr := n.addr(l)
		if addr == "" {
			addr = "127.0.0.1:0"
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil { // somebody's outgoing connection has the port
			ln, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			c.t.Fatal(err)
		}
		ls[l] = ln
		n.addrs.Store(l, ln.Addr().String())
	}
	n.Broker, err = Open(Config{
		Name: n.name, NodeID: "id-" + n.name, ClusterID: "c1", Secret: []byte("secret"), Dir: n.dir, Store: n.store,
		Forward: ls["forward"], MQTT: ls["mqtt"], MQTTS: ls["mqtts"], WS: ls["ws"], WSS: ls["wss"], Hold: n.hold,
		Faults: func(name string) (out, in peer.Fault) { f := (*n.cut.Load())[name]; return f, f },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// stop stops node i; it may be stopped already.
func (c *testCluster) stop(i int) {
	if c.nodes[i].Broker == nil {
		return
	}
	if err := errors.Join(c.nodes[i].Broker.Close(), c.nodes[i].Broker.Close(), c.nodes[i].store.Close()); err != nil {
		c.t.Error(err)
	}
	c.nodes[i].Broker = nil
}

// kill stops node i and leaves on its disk what is there now, as if its process were killed.
func (c *testCluster) kill(i int) {
	c.t.Helper()
	n := c.nodes[i]
	dir := c.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		c.t.Fatal(err)
	}
	c.stop(i)
	n.dir = dir
}

// meet tells all running nodes of each other.
func (c *testCluster) meet() {
	var all []peer.Peer
	for _, n := range c.nodes {
		all = append(all, peer.Peer{Name: n.name, ID: "id-" + n.name, Addr: n.addr("forward"), Alive: n.Broker != nil})
	}
	for _, n := range c.nodes {
		if n.Broker != nil {
			n.SetPeers(all)
		}
	}
}

// partition cuts the nodes of one side off from all others; without any, it heals.
func (c *testCluster) partition(side ...int) {
	for _, n := range c.nodes {
		cut := map[string]peer.Fault{}
		for _, o := range c.nodes {
			if slices.Contains(side, n.i) != slices.Contains(side, o.i) {
				cut[o.name] = peer.Fault{Blocked: true}
			}
		}
		n.cut.Store(&cut)
		if n.Broker != nil {
			n.mesh.FaultsChanged()
		}
	}
}

// client is an MQTT 5 client that notes what it gets.
type client struct {
	*paho.Client
	t    testing.TB
	nc   net.Conn
	ack  *paho.Connack
	mu   sync.Mutex
	got  []*paho.Publish
	gone chan struct{} // closed when the server or network ended the connection
}

// connect connects an MQTT 5 client to node i.
func (c *testCluster) connect(i int, id string, change func(*paho.Connect)) *client {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.nodes[i].addr("mqtt"))
	if err != nil {
		c.t.Fatal(err)
	}
	cl, err := connectOver(c.t, nc, id, change)
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

func connectOver(t testing.TB, nc net.Conn, id string, change func(*paho.Connect)) (*client, error) {
	cl := &client{t: t, nc: nc, gone: make(chan struct{})}
	gone := sync.OnceFunc(func() { close(cl.gone) })
	cl.Client = paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: packets.NewThreadSafeConn(nc), PacketTimeout: 30 * time.Second,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			cl.mu.Lock()
			defer cl.mu.Unlock()
			cl.got = append(cl.got, p.Packet)
			return true, nil
		}},
		OnServerDisconnect: func(*paho.Disconnect) { gone() },
		OnClientError:      func(error) { gone() },
	})
	cp := &paho.Connect{ClientID: id, KeepAlive: 60, CleanStart: true}
	if change != nil {
		change(cp)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	cl.ack, err = cl.Connect(ctx, cp)
	if err != nil {
		nc.Close()
		return cl, err
	}
	t.Cleanup(func() {
		cl.Disconnect(&paho.Disconnect{})
		<-cl.Done()
		nc.Close()
	})
	return cl, nil
}

func (c *client) subscribe(qos byte, filters ...string) {
	c.t.Helper()
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos})
	}
	if _, err := c.Subscribe(c.t.Context(), s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) publish(topic string, qos byte, retain bool, payload string) {
	c.t.Helper()
	if _, err := c.Publish(c.t.Context(), &paho.Publish{Topic: topic, QoS: qos, Retain: retain, Payload: []byte(payload)}); err != nil {
		c.t.Fatalf("publish %q: %v", payload, err)
	}
}

// payloads returns what came so far, as "topic=payload".
func (c *client) payloads() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []string{}
	for _, p := range c.got {
		all = append(all, p.Topic+"="+string(p.Payload))
	}
	return all
}

// expect waits until as many messages have come as are wanted, and compares.
func (c *client) expect(want ...string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d messages", len(want)), func() bool { return len(c.payloads()) >= len(want) })
	if got := c.payloads(); !slices.Equal(got, want) {
		c.t.Errorf("got %d messages %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

// expectAny is expect without an order.
func (c *client) expectAny(want ...string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d messages", len(want)), func() bool { return len(c.payloads()) >= len(want) })
	got := c.payloads()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("got %.300q, want %.300q", got, want)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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

// clientOver is an HTTP client with just this connection.
func clientOver(nc net.Conn) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nc, nil }}}
}
