package broker

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"onemore/nodecore/internal/peer"
)

// Every acknowledged message reaches its subscribers on both sides of a partition that heals, once and in order.
func TestPartitionLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	var subs []*client
	for i := range 3 {
		s := c.connect(i, fmt.Sprint("sub", i), nil)
		s.subscribe(2, "t/#")
		subs = append(subs, s)
	}
	near := c.connect(0, "near", nil)
	near.subscribe(1, "majority")
	const n = 150
	var wg sync.WaitGroup
	for i := range 3 {
		pub := c.connect(i, fmt.Sprint("pub", i), nil)
		wg.Go(func() {
			for k := range n {
				if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: fmt.Sprint("t/", i), QoS: byte(1 + i%2), Payload: fmt.Append(nil, k)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	majority := c.connect(1, "majority", nil)
	for round := range 5 {
		c.partition(2)
		majority.publish("majority", 1, false, fmt.Sprint(round)) // isn't held up by those cut off
		c.partition(round % 2)
		c.partition()
	}
	wg.Wait()
	near.expect(numbers("majority", 5)...)
	for i, s := range subs {
		eventually(t, "all messages", func() bool { return len(s.payloads()) >= 3*n })
		by := map[string][]string{}
		for _, p := range s.payloads() {
			by[p[:3]] = append(by[p[:3]], p)
		}
		for k := range 3 {
			topic := fmt.Sprint("t/", k)
			if !slices.Equal(by[topic], numbers(topic, n)) {
				t.Errorf("subscriber %d got %d messages of publisher %d, not each of %d once in order", i, len(by[topic]), k, n)
			}
		}
	}
}

// Lossy and slow links change nothing but the time it takes.
func TestBadLinks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	for i, n := range c.nodes {
		n.cut.Store(&map[string]peer.Fault{c.nodes[1-i].name: {Drop: 0.1, Delay: time.Millisecond}})
	}
	sub := c.connect(1, "sub", nil)
	sub.subscribe(1, "t")
	pub := c.connect(0, "pub", nil)
	for i := range 60 {
		pub.publish("t", byte(i%3), false, fmt.Sprint(i))
	}
	sub.expect(numbers("t", 60)...)
}

// A publisher waits for a node that is cut off, but not for ever.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	c := newClusterWith(t, 2, 300*time.Millisecond)
	gone := c.connect(1, "gone", nil)
	gone.subscribe(1, "t")
	lasts := c.connect(1, "lasts", lasting(true))
	lasts.subscribe(1, "t")
	pub := c.connect(0, "pub", nil)
	pub.publish("t", 1, false, "0")
	gone.expect("t=0")
	lasts.expect("t=0")
	c.partition(1)
	pub.publish("t", 1, false, "1") // returns when the hold is over
	pub.publish("t", 1, false, "2") // at once
	c.partition()
	lasts.expect("t=0", "t=1", "t=2") // was kept for it
	eventually(t, "links are up", func() bool { return c.nodes[0].Stats().Links[0].State == "up" })
	pub.publish("t", 1, false, "3")
	lasts.expect("t=0", "t=1", "t=2", "t=3")
}

// Nobody waits for a node that has left, or that ended in order without lasting sessions.
func TestLeavingNode(t *testing.T) {
	c := newCluster(t, 3)
	for i := 1; i < 3; i++ {
		c.connect(i, fmt.Sprint("sub", i), nil).subscribe(1, "t")
	}
	pub := c.connect(0, "pub", nil)
	c.stop(1)
	pub.publish("t", 1, false, "stopped")
	c.partition(2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pub.publish("t", 1, false, "left")
	}()
	eventually(t, "message is held", func() bool {
		for _, l := range c.nodes[0].Stats().Links {
			if l.Name == c.nodes[2].name && l.Queued > 0 {
				return true
			}
		}
		return false
	})
	c.nodes[0].SetPeers(nil)
	<-done
	if st := c.nodes[0].Stats(); st.Routes != 0 || len(st.Links) != 0 {
		t.Errorf("left over: %+v", st)
	}
}

// A subscriber that takes nothing slows its publishers down for a moment only.
func TestStalledSubscriber(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	stuck := c.raw(1, "stuck", true)
	stuck.subscribe(1, "t")
	sub := c.connect(1, "sub", nil)
	sub.subscribe(0, "t")
	pub := c.connect(0, "pub", nil)
	const n = 3 * pauseQueue
	for i := range n {
		pub.publish("t", byte(i%2), false, fmt.Sprint(i))
	}
	sub.expect(numbers("t", n)...)
}

func TestResetMakesAFreshNode(t *testing.T) {
	c := newCluster(t, 2)
	cl := c.connect(0, "client", lasting(true))
	cl.subscribe(1, "t")
	cl.publish("r", 1, true, "x")
	ca, err := c.nodes[0].Certs.CA()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[0].Reset("c2"); err != nil {
		t.Fatal(err)
	}
	<-cl.gone
	if st := c.nodes[0].Stats(); st.Sessions+st.Retained+st.Connections+st.Routes+st.Subscriptions+len(st.Links) != 0 {
		t.Errorf("after Reset: %+v", st)
	}
	c.connect(0, "client", lasting(false)).subscribe(1, "t")
	if again, err := c.nodes[0].Certs.CA(); err != nil || string(again) == string(ca) {
		t.Errorf("the CA is still the old cluster's (%v)", err)
	}
	c.stop(0)
	c.start(0)
	if st := c.nodes[0].Stats(); st.Sessions != 1 || st.Retained != 0 {
		t.Errorf("after Reset and restart: %+v", st)
	}
}
