package broker

import (
	"context"
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"
)

// lasting makes a session outlive its connection.
func lasting(clean bool) func(*paho.Connect) {
	return func(cp *paho.Connect) {
		e := uint32(1000)
		cp.CleanStart, cp.Properties = clean, &paho.ConnectProperties{SessionExpiryInterval: &e}
	}
}

// end disconnects in order, and returns when the server has seen it.
func (c *testCluster) end(i int, cl *client) {
	c.t.Helper()
	before := c.nodes[i].Stats().Connections
	if err := cl.Disconnect(&paho.Disconnect{}); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "client is gone", func() bool { return c.nodes[i].Stats().Connections < before })
}

func TestTakeover(t *testing.T) {
	c := newCluster(t, 3)
	first := c.connect(0, "same", nil)
	first.subscribe(1, "t")
	for round := range 6 {
		next := c.connect((round+1)%3, "same", nil)
		<-first.gone
		if next.ack.SessionPresent {
			t.Error("session present after a clean start")
		}
		next.subscribe(1, "t")
		first = next
	}
	eventually(t, "one session", func() bool {
		return c.nodes[0].Stats().Sessions+c.nodes[1].Stats().Sessions+c.nodes[2].Stats().Sessions == 1
	})
	c.connect(1, "pub", nil).publish("t", 1, false, "x")
	first.expect("t=x")
}

func TestSessionWaitsForItsClient(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(0, "sub", lasting(true))
	sub.subscribe(2, "t")
	c.end(0, sub)
	pub := c.connect(1, "pub", nil)
	pub.publish("t", 0, false, "not kept")
	for i := range 50 {
		pub.publish("t", byte(1+i%2), false, fmt.Sprint(i))
	}
	sub = c.connect(0, "sub", lasting(false))
	if !sub.ack.SessionPresent {
		t.Error("no session present")
	}
	pub.publish("t", 1, false, "50")
	sub.expect(numbers("t", 51)...)
}

func TestSessionMoves(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	sub := c.connect(0, "sub", lasting(true))
	sub.subscribe(2, "t", "$share/g/u")
	pub := c.connect(2, "pub", nil)
	n := 0
	for round := range 6 {
		c.end(round%3, sub)
		for range 20 {
			pub.publish("t", byte(1+n%2), false, fmt.Sprint(n))
			n++
		}
		sub = c.connect((round+1)%3, "sub", lasting(false))
		if !sub.ack.SessionPresent {
			t.Fatalf("round %d: no session present", round)
		}
		for range 20 {
			pub.publish("t", byte(1+n%2), false, fmt.Sprint(n))
			n++
		}
		var want []string
		for i := n - 40; i < n; i++ {
			want = append(want, fmt.Sprint("t=", i))
		}
		sub.expect(want...)
	}
	pub.publish("u", 1, false, "shared")
	eventually(t, "the shared subscription moved too", func() bool { p := sub.payloads(); return p[len(p)-1] == "u=shared" })
	eventually(t, "one session, and nobody passes messages on", func() bool {
		sessions, stubs := 0, 0
		for _, n := range c.nodes {
			sessions, stubs = sessions+len(n.sessions.list()), stubs+len(n.sessions.listMoved())
		}
		return sessions == 2 && stubs == 0
	})
}

// A session under constant traffic moves between nodes without losing a message.
func TestSessionMovesUnderTraffic(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	sub := c.connect(0, "sub", lasting(true))
	sub.subscribe(1, "t")
	pub := c.connect(2, "pub", nil)
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent <- i
				return
			default:
			}
			if _, err := pub.Publish(context.Background(), &paho.Publish{Topic: "t", QoS: 1, Payload: fmt.Append(nil, i)}); err != nil {
				t.Errorf("publish %d: %v", i, err)
				sent <- i
				return
			}
		}
	}()
	all := []*client{sub}
	for i := 1; i <= 20; i++ {
		eventually(t, "some messages came", func() bool { return len(sub.payloads()) > 5 })
		sub = c.connect(i%3, "sub", lasting(false))
		all = append(all, sub)
	}
	close(stop)
	n := <-sent
	eventually(t, "every message came", func() bool {
		seen := map[string]bool{}
		for _, s := range all {
			for _, p := range s.payloads() {
				seen[p] = true
			}
		}
		return len(seen) == n
	})
}

func TestCleanStartEndsTheSessionElsewhere(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(0, "sub", lasting(true))
	sub.subscribe(1, "t")
	c.end(0, sub)
	sub = c.connect(1, "sub", lasting(true))
	if sub.ack.SessionPresent || c.nodes[0].Stats().Sessions != 0 {
		t.Errorf("session present %v, %+v", sub.ack.SessionPresent, c.nodes[0].Stats())
	}
}

// Sessions, with messages and packet ids, survive a restart of their node, and messages for them wait meanwhile.
func TestRestart(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.raw(1, "sub", false)
	sub.subscribe(2, "t")
	pub := c.connect(0, "pub", nil)
	for i := range 3 {
		pub.publish("t", 2, false, fmt.Sprint(i))
	}
	id := sub.readPublish().id
	for range 2 {
		sub.readPublish()
	}
	sub.ack(packets.Pubrec, id) // the first one is half done
	sub.readAck(packets.Pubrel)
	sub.publish("in", "x", 2, 77, false) // and so is one in the other direction
	sub.readAck(packets.Pubrec)
	c.stop(1)
	c.meet()
	sent := make(chan error, 1)
	go func() {
		_, err := pub.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 2, Payload: []byte("3")})
		sent <- err
	}()
	c.start(1)
	c.meet()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	watch := c.connect(0, "watch", nil)
	watch.subscribe(2, "in")
	sub = c.raw(1, "sub", false)
	if !sub.present {
		t.Error("no session present")
	}
	if got := sub.readAck(packets.Pubrel); got != id {
		t.Errorf("PUBREL of %d, want %d", got, id)
	}
	for i := 1; i <= 3; i++ {
		p := sub.readPublish()
		if string(p.payload) != fmt.Sprint(i) || p.dup != (i < 3) || p.id != id+uint16(i) {
			t.Errorf("got %q, dup %v, id %d", p.payload, p.dup, p.id)
		}
	}
	sub.publish("in", "x", 2, 77, true)
	sub.readAck(packets.Pubrec)
	sub.ack(packets.Pubrel, 77)
	sub.readAck(packets.Pubcomp)
	sub.publish("in", "y", 2, 77, false)
	watch.expect("in=y")
}

// A client that connects elsewhere while its node is away gets, when that comes back, what was left there, and nothing twice.
func TestSessionMovesWhileItsNodeIsAway(t *testing.T) {
	c := newCluster(t, 3)
	sub := c.connect(1, "sub", lasting(true))
	sub.subscribe(1, "t")
	c.end(1, sub)
	pub := c.connect(0, "pub", nil)
	pub.publish("t", 1, false, "0")
	c.stop(1)
	c.meet()
	sub = c.connect(2, "sub", lasting(false))
	if sub.ack.SessionPresent {
		t.Error("session present without its node")
	}
	sub.subscribe(1, "t")
	sent := make(chan error, 1)
	go func() { // the lost node is waited for
		for i := 1; i < 5; i++ {
			if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 1, Payload: fmt.Append(nil, i)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	sub.expect("t=1")
	c.start(1)
	c.meet()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	sub.expectAny(numbers("t", 5)...)
	eventually(t, "the old session is gone", func() bool { return c.nodes[1].Stats().Sessions == 0 })
	pub.publish("t", 1, false, "5")
	sub.expectAny(numbers("t", 6)...)
}

func TestQoS2IsNotPublishedTwice(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(1, "sub", nil)
	sub.subscribe(2, "t")
	pub := c.raw(0, "pub", false)
	pub.publish("t", "1", 2, 5, false)
	pub.readAck(packets.Pubrec)
	pub.publish("t", "1", 2, 5, true)
	pub.readAck(packets.Pubrec)
	pub.nc.Close()
	pub = c.raw(0, "pub", false)
	pub.publish("t", "1", 2, 5, true)
	pub.readAck(packets.Pubrec)
	pub.ack(packets.Pubrel, 5)
	pub.readAck(packets.Pubcomp)
	pub.publish("t", "2", 2, 5, false)
	pub.readAck(packets.Pubrec)
	sub.expect("t=1", "t=2")
}

// Acknowledgements come in the order of the messages, though one of them has to wait for another node.
func TestAcknowledgedInOrder(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(1, "sub", nil)
	sub.subscribe(1, "far")
	pub := c.raw(0, "pub", true)
	c.partition(1)
	pub.publish("far", "1", 1, 1, false)
	pub.publish("near", "2", 1, 2, false)
	pub.publish("far", "3", 2, 3, false)
	c.partition()
	for id := uint16(1); id <= 3; id++ {
		kind := byte(packets.Puback)
		if id == 3 {
			kind = packets.Pubrec
		}
		if got := pub.readAck(kind); got != id {
			t.Errorf("acknowledged %d, want %d", got, id)
		}
	}
	sub.expect("far=1", "far=3")
}

// No more is on the way to a client than it takes, in order, and nothing is lost when it goes in between.
func TestReceiveMaximum(t *testing.T) {
	c := newCluster(t, 1)
	sub := c.raw(0, "sub", false)
	sub.subscribe(1, "t")
	pub := c.connect(0, "pub", nil)
	for i := range inflightMax + 100 {
		pub.publish("t", 1, false, fmt.Sprint(i))
	}
	var ids []uint16
	for i := range inflightMax {
		p := sub.readPublish()
		ids = append(ids, p.id)
		if string(p.payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, p.payload)
		}
	}
	for _, id := range ids[:10] {
		sub.ack(packets.Puback, id)
	}
	for i := inflightMax; i < inflightMax+10; i++ {
		if p := sub.readPublish(); string(p.payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, p.payload)
		}
	}
	sub.nc.Close()
	sub = c.raw(0, "sub", false)
	for i := 10; i < inflightMax+10; i++ {
		p := sub.readPublish()
		if string(p.payload) != fmt.Sprint(i) || !p.dup {
			t.Fatalf("message %d is %q, dup %v", i, p.payload, p.dup)
		}
		sub.ack(packets.Puback, p.id)
	}
	for i := inflightMax + 10; i < inflightMax+100; i++ {
		if p := sub.readPublish(); string(p.payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, p.payload)
		}
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	e := uint32(1)
	sub := c.connect(0, "sub", func(cp *paho.Connect) { cp.Properties = &paho.ConnectProperties{SessionExpiryInterval: &e} })
	sub.subscribe(1, "t")
	c.end(0, sub)
	if c.nodes[0].Stats().Sessions != 1 {
		t.Error("session is gone with its connection")
	}
	eventually(t, "session and route are gone", func() bool {
		return c.nodes[0].Stats().Sessions == 0 && c.nodes[1].Stats().Routes == 0
	})
}

func TestWill(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	watch := c.connect(1, "watch", nil)
	watch.subscribe(1, "will/#")
	withWill := func(topic string, delay uint32) func(*paho.Connect) {
		return func(cp *paho.Connect) {
			e := uint32(1000)
			cp.Properties = &paho.ConnectProperties{SessionExpiryInterval: &e}
			cp.CleanStart = false
			cp.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true}
			cp.WillProperties = &paho.WillProperties{User: paho.UserProperties{{Key: "k", Value: "v"}}}
			if delay > 0 {
				cp.WillProperties.WillDelayInterval = &delay
			}
		}
	}
	lost := c.connect(0, "lost", withWill("will/lost", 0))
	lost.nc.Close()
	watch.expect("will/lost=x")
	if p := watch.got[0].Properties; p.User.Get("k") != "v" {
		t.Errorf("properties of the will: %+v", p)
	}
	c.end(0, c.connect(0, "orderly", withWill("will/never", 0)))
	c.connect(0, "taken", withWill("will/taken", 0))
	c.connect(1, "taken", nil)
	watch.expect("will/lost=x", "will/taken=x")
	back := c.connect(0, "back", withWill("will/never", 1)) // comes back, elsewhere, before the delay is over
	back.nc.Close()
	eventually(t, "client is gone", func() bool { return c.nodes[0].Stats().Connections == 0 })
	c.connect(1, "back", lasting(false))
	late := c.connect(0, "late", withWill("will/late", 1))
	late.nc.Close()
	watch.expect("will/lost=x", "will/taken=x", "will/late=x")
	c.sameRetained("wills are retained everywhere", "will/late=x", "will/lost=x", "will/taken=x")
}
