package nodecore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func client(t *testing.T, n *Node, id string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + n.Addr("mqtt")).SetClientID(id).SetAutoReconnect(false))
	if err := done(c.Connect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func done(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return errors.New("no answer from the broker")
	}
	return token.Error()
}

// subscribe returns the channel of what arrives, as "topic payload".
func subscribe(t *testing.T, n *Node, id, filter string) <-chan string {
	t.Helper()
	got := make(chan string, 100)
	err := done(client(t, n, id).Subscribe(filter, 1, func(_ mqtt.Client, m mqtt.Message) {
		got <- m.Topic() + " " + string(m.Payload())
	}))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func receive(t *testing.T, from <-chan string, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case got := <-from:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatalf("%q did not arrive", want)
	}
}

func TestJoinBringsDataAndMessages(t *testing.T) {
	a, b := open(t, testConfig(t, "a")), open(t, testConfig(t, "b"))
	pa, pb := client(t, a, "pa"), client(t, b, "pb")
	for _, p := range []mqtt.Token{
		pa.Publish("keep/a", 1, true, "of a"), pb.Publish("keep/b", 1, true, "of b"),
	} {
		if err := done(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
	sees(t, a, "a b", "")
	sees(t, b, "a b", "")
	// The joiner has the cluster's data when Join returns, and its own is gone.
	got := subscribe(t, b, "sb", "keep/#")
	receive(t, got, "keep/a of a")
	if err := done(pa.Publish("keep/c", 1, false, "from a")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "keep/c from a") // and not keep/b, which would have come before
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees(t, a, "a", "")
	sees(t, b, "b", "")
	select {
	case m := <-subscribe(t, b, "sb2", "keep/#"):
		t.Errorf("a node that left still has %q", m)
	default:
	}
}

func TestForceLeaveOverRestart(t *testing.T) {
	a, cb := open(t, testConfig(t, "a")), testConfig(t, "b")
	b := open(t, cb)
	if err := b.Join(t.Context(), target(a)); err != nil {
		t.Fatal(err)
	}
	cb = keepPorts(cb, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	sees(t, a, "a", "b")
	if err := a.ForceLeave(t.Context(), "b@127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	sees(t, a, "a", "")
	b = open(t, cb)
	sees(t, b, "b", "")
	sees(t, a, "a", "")
}

func TestSeeds(t *testing.T) {
	var configs []Config
	var seeds []string
	for _, part := range []string{"a", "b", "c"} {
		c := testConfig(t, part)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.Cluster.Bind = l.Addr().String()
		l.Close()
		configs = append(configs, c)
		_, port, _ := strings.Cut(c.Cluster.Bind, ":")
		seeds = append(seeds, c.Node.Name+":"+port)
	}
	var nodes []*Node
	for i := range configs {
		c := configs[len(configs)-1-i] // the founder last
		c.Cluster.Seeds = seeds
		nodes = append(nodes, open(t, c))
	}
	for _, n := range nodes {
		sees(t, n, "a b c", "")
	}
	got := subscribe(t, nodes[0], "s", "x")
	if err := done(client(t, nodes[2], "p").Publish("x", 1, false, "hello")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "x hello")
}

// A partition made with faults: each side goes on, and all is well afterwards.
func TestFaultPartition(t *testing.T) {
	t.Parallel()
	var nodes []*Node
	for i := range 3 {
		n := open(t, testConfig(t, fmt.Sprintf("n%d", i+1)))
		if i > 0 {
			if err := n.Join(t.Context(), target(nodes[0])); err != nil {
				t.Fatal(err)
			}
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes[:2] {
		if err := n.SetFault(Fault{Peer: "n3@127.0.0.1", Direction: "both", Block: true}); err != nil {
			t.Fatal(err)
		}
	}
	sees(t, nodes[0], "n1 n2", "n3")
	sees(t, nodes[2], "n3", "n1 n2")
	got := subscribe(t, nodes[1], "s2", "keep")
	if err := done(client(t, nodes[0], "p").Publish("keep", 0, true, "v")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "keep v")
	for _, n := range nodes {
		n.ClearFaults("")
	}
	for _, n := range nodes {
		sees(t, n, "n1 n2 n3", "")
	}
	eventually(t, func() error {
		if kept := nodes[2].broker.Stats().Retained; kept != 1 {
			return fmt.Errorf("the node that was cut off has %d retained messages, want 1", kept)
		}
		return nil
	})
	receive(t, subscribe(t, nodes[2], "s3", "keep"), "keep v")
}
