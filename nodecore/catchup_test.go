package nodecore

import (
	"context"
	"fmt"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// retain publishes n retained messages with a payload to topics r/0, r/1 …, and returns when the node has all of them.
func retain(t *testing.T, c mqtt.Client, n int, payload string) {
	t.Helper()
	for i := range n {
		c.Publish(fmt.Sprintf("r/%d", i), 0, true, payload)
	}
	if err := done(c.Publish("end", 1, false, "x")); err != nil { // behind the others
		t.Fatal(err)
	}
}

// wantRetained subscribes at a node, and wants every retained message once, with this payload.
func wantRetained(t *testing.T, n *Node, id string, count int, payload string) {
	t.Helper()
	got := make(chan string, count+10)
	c := client(t, n, id)
	add := func(_ mqtt.Client, m mqtt.Message) { got <- m.Topic() + " " + string(m.Payload()) }
	if err := done(c.Subscribe("r/#", 1, add)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < count {
		select {
		case s := <-got:
			if seen[s] {
				t.Fatalf("%q came twice", s)
			}
			seen[s] = true
		case <-ctx.Done():
			t.Fatalf("%d of %d retained messages came", len(seen), count)
		}
	}
	for i := range count {
		if s := fmt.Sprintf("r/%d %s", i, payload); !seen[s] {
			t.Fatalf("%q did not come", s)
		}
	}
	if err := done(c.Publish("r/last", 1, false, "x")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "r/last x") // and nothing before it
}

func waitReady(t *testing.T, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-n.Ready():
	case <-ctx.Done():
		t.Fatalf("%s does not become ready", n.cfg.Node.Name)
	}
}

// A node that joins by its seeds is ready when it has what the cluster had: retained messages, and the routes of all members.
func TestReadyMeansDataIsHere(t *testing.T) {
	const count = 20000
	a := open(t, testConfig(t, "a"))
	cb := testConfig(t, "b")
	cb.Cluster.Seeds = []string{target(a)}
	b := open(t, cb)
	waitReady(t, b)
	retain(t, client(t, a, "p"), count, "v")
	got := subscribe(t, b, "s", "q0")
	cc := testConfig(t, "c")
	cc.Cluster.Seeds = []string{target(a)}
	c := open(t, cc)
	waitReady(t, c)
	if n := c.broker.Stats().Retained; n != count {
		t.Errorf("ready with %d of %d retained messages", n, count)
	}
	if err := done(client(t, c, "pc").Publish("q0", 0, false, "at once")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "q0 at once")
	wantRetained(t, c, "sc", count, "v")
}

// Who connects before the node has the cluster's data is answered when it has.
func TestClientsWaitForData(t *testing.T) {
	const count = 20000
	a := open(t, testConfig(t, "a"))
	retain(t, client(t, a, "p"), count, "v")
	cb := testConfig(t, "b")
	cb.Cluster.Seeds = []string{target(a)}
	wantRetained(t, open(t, cb), "s", count, "v") // at once, ready or not
}

// A node that comes back is ready when it has what was changed while it was down.
func TestReadyAfterRestartMeansFreshData(t *testing.T) {
	const count = 20000
	a := open(t, testConfig(t, "a"))
	cb := testConfig(t, "b")
	cb.Cluster.Seeds = []string{target(a)}
	b := open(t, cb)
	waitReady(t, b)
	p := client(t, a, "p")
	retain(t, p, count, "old")
	eventually(t, func() error {
		if n := b.broker.Stats().Retained; n != count {
			return fmt.Errorf("b has %d retained messages", n)
		}
		return nil
	})
	cb = keepPorts(cb, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	retain(t, p, count, "new")
	b = open(t, cb)
	waitReady(t, b)
	wantRetained(t, b, "s", count, "new")
}

// A node that comes back alone does not wait for members that are stopped.
func TestReadyAlone(t *testing.T) {
	a := open(t, testConfig(t, "a"))
	cb := testConfig(t, "b")
	cb.Cluster.Seeds = []string{target(a)}
	b := open(t, cb)
	waitReady(t, b)
	retain(t, client(t, b, "p"), 10, "v")
	cb = keepPorts(cb, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cb)
	waitReady(t, b)
	wantRetained(t, b, "s", 10, "v")
}
