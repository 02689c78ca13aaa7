package broker

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// kept is the cluster's retained messages as node i has them, as "topic=payload".
func (n *testNode) kept() (all []string) {
	for _, m := range n.retained.match("#", math.MaxUint64) {
		all = append(all, m.topic+"="+string(m.payload))
	}
	slices.Sort(all)
	return all
}

func (c *testCluster) sameRetained(what string, want ...string) {
	c.t.Helper()
	eventually(c.t, what, func() bool {
		for _, n := range c.nodes {
			if n.Broker != nil && (!slices.Equal(n.kept(), want) || n.retained.digest() != c.nodes[0].retained.digest()) {
				return false
			}
		}
		return true
	})
}

func TestRetainedIsTheClusters(t *testing.T) {
	c := newCluster(t, 3)
	pub := c.connect(0, "pub", nil)
	for i := range 5 {
		pub.publish(fmt.Sprint("r/", i), 1, true, "old")
		pub.publish(fmt.Sprint("r/", i), 1, true, fmt.Sprint(i))
	}
	c.connect(1, "cleaner", nil).publish("r/3", 1, true, "") // knows of the message by the other's ack
	c.sameRetained("the same everywhere", "r/0=0", "r/1=1", "r/2=2", "r/4=4")
	for i := range 3 {
		s := c.connect(i, fmt.Sprint("sub", i), nil)
		s.subscribe(0, "r/+")
		s.expectAny("r/0=0", "r/1=1", "r/2=2", "r/4=4")
		for _, p := range s.got {
			if !p.Retain {
				t.Errorf("%s came without the retain flag", p.Topic)
			}
		}
	}
}

func TestRetainHandling(t *testing.T) {
	c := newCluster(t, 2)
	c.connect(0, "pub", nil).publish("r", 1, true, "x")
	s := c.connect(1, "sub", nil)
	sub := func(handling byte, asPublished bool) {
		if _, err := s.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "r", QoS: 1, RetainHandling: handling, RetainAsPublished: asPublished}}}); err != nil {
			t.Fatal(err)
		}
	}
	sub(2, false) // not at all
	sub(1, false) // not, as it exists
	sub(0, true)  // always
	s.expect("r=x")
	c.connect(0, "pub2", nil).publish("r", 1, true, "live")
	s.expect("r=x", "r=live")
	if !s.got[1].Retain {
		t.Error("retain as published, and yet the flag is gone")
	}
	sub(0, false)
	s.expect("r=x", "r=live", "r=live")
	c.connect(0, "pub3", nil).publish("r", 1, true, "again")
	s.expect("r=x", "r=live", "r=live", "r=again")
	if s.got[3].Retain {
		t.Error("the flag is there without retain as published")
	}
}

func TestRetainedSurvivesAndSpreads(t *testing.T) {
	c := newCluster(t, 2)
	pub := c.connect(0, "pub", nil)
	for i := range 3 {
		pub.publish(fmt.Sprint("r/", i), 1, true, "x")
	}
	c.stop(1)
	pub.publish("r/0", 1, true, "")
	pub.publish("r/1", 1, true, "y")
	pub.publish("r/3", 1, true, "z")
	c.start(1)
	c.meet()
	c.sameRetained("the restarted node has caught up", "r/1=y", "r/2=x", "r/3=z")
	c.stop(0)
	c.stop(1)
	c.start(0)
	if got := c.nodes[0].kept(); !slices.Equal(got, []string{"r/1=y", "r/2=x", "r/3=z"}) {
		t.Errorf("after a restart: %q", got)
	}
}

// A node that joins has all retained messages when Sync returns.
func TestSync(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	pub := c.connect(0, "pub", nil)
	big := make([]byte, 300<<10)
	var want []string
	for i := range 10 { // more than fits one frame
		pub.publish(fmt.Sprint("r/", i), 1, true, string(big))
		want = append(want, fmt.Sprint("r/", i)+"="+string(big))
	}
	if err := c.nodes[1].Reset("c1"); err != nil {
		t.Fatal(err)
	}
	if got := c.nodes[1].kept(); len(got) != 0 {
		t.Fatalf("%d messages after Reset", len(got))
	}
	c.meet()
	if err := c.nodes[1].Admission.Sync(t.Context(), c.nodes[0].name); err != nil {
		t.Fatal(err)
	}
	if got := c.nodes[1].kept(); !slices.Equal(got, want) {
		t.Errorf("%d messages after Sync", len(got))
	}
	if err := c.nodes[1].Admission.Sync(t.Context(), "stranger"); err == nil {
		t.Error("synced with a stranger")
	}
}

func TestRetainedAfterPartition(t *testing.T) {
	c := newCluster(t, 3)
	left, right := c.connect(0, "left", nil), c.connect(2, "right", nil)
	left.publish("both", 1, true, "0")
	left.publish("cleared", 1, true, "0")
	c.partition(2)
	left.publish("both", 1, true, "left")
	left.publish("left", 1, true, "1")
	right.publish("both", 1, true, "right, later")
	right.publish("right", 1, true, "1")
	right.publish("cleared", 1, true, "")
	c.partition()
	c.sameRetained("equal after healing", "both=right, later", "left=1", "right=1")
}

func TestRetainedExpires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	short, long := uint32(1), uint32(1000)
	pub := c.connect(0, "pub", nil)
	for topic, e := range map[string]*uint32{"short": &short, "long": &long} {
		if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("x"), Properties: &paho.PublishProperties{MessageExpiry: e}}); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := stamp{uint64(time.Now().Add(-forget).UnixMilli()) << 16, c.nodes[0].name}
	for _, n := range c.nodes {
		n.retained.merge("removed", yesterday, nil)
	}
	c.sameRetained("the short one is over", "long=x")
	eventually(t, "what is over is dropped", func() bool {
		for _, n := range c.nodes {
			n.retained.mu.RLock()
			left := len(n.retained.all)
			n.retained.mu.RUnlock()
			if left != 1 || n.Stats().Retained != 1 {
				return false
			}
		}
		return true
	})
}

// Whoever subscribes while retained messages are published gets each of them once: as it comes, or as a retained one.
func TestSubscribeWhileRetainedArrive(t *testing.T) {
	const count = 300
	c := newCluster(t, 2)
	for round := range 8 {
		at := round % 2 // the subscriber's node; the publisher is on the first
		var want []string
		pub := c.connect(0, fmt.Sprint("pub", round), nil)
		sub := c.connect(at, fmt.Sprint("sub", round), nil)
		var publishing sync.WaitGroup
		begun := make(chan struct{})
		publishing.Go(func() {
			for i := range count {
				pub.publish(fmt.Sprintf("w/%d/%d", round, i), byte(i%2), true, "x")
				if i == 20*round {
					close(begun)
				}
			}
		})
		<-begun
		sub.subscribe(0, fmt.Sprintf("w/%d/#", round))
		publishing.Wait()
		for i := range count {
			want = append(want, fmt.Sprintf("w/%d/%d=x", round, i))
		}
		pub.publish(fmt.Sprintf("w/%d/last", round), 1, false, "x") // behind the others
		sub.expectAny(append(want, fmt.Sprintf("w/%d/last=x", round))...)
	}
}
