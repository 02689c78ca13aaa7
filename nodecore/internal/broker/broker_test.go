package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/eclipse/paho.golang/paho"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func numbers(topic string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s=%d", topic, i))
	}
	return all
}

// Every message arrives once, in order, at subscribers of every node, whatever the QoS.
func TestAcrossNodes(t *testing.T) {
	c := newCluster(t, 3)
	for qos := range byte(3) {
		t.Run(fmt.Sprint("qos", qos), func(t *testing.T) {
			tc := &testCluster{t: t, nodes: c.nodes}
			var subs []*client
			for i := range tc.nodes {
				s := tc.connect(i, fmt.Sprintf("sub%d-%d", qos, i), nil)
				s.subscribe(qos, fmt.Sprintf("q%d/+/x", qos))
				subs = append(subs, s)
			}
			pub := tc.connect(0, fmt.Sprintf("pub%d", qos), nil)
			topic := fmt.Sprintf("q%d/a/x", qos)
			for i := range 200 {
				pub.publish(topic, qos, false, fmt.Sprint(i))
			}
			for _, s := range subs {
				s.expect(numbers(topic, 200)...)
			}
		})
	}
}

// A message goes only to nodes that want it.
func TestOnlyWhereWanted(t *testing.T) {
	c := newCluster(t, 3)
	sub := c.connect(1, "sub", nil)
	sub.subscribe(1, "a/#")
	pub := c.connect(0, "pub", nil)
	for i := range 10 {
		pub.publish("a/b", 1, false, fmt.Sprint(i))
		pub.publish("b/a", 1, false, fmt.Sprint(i))
	}
	sub.expect(numbers("a/b", 10)...)
	if got := c.nodes[0].Stats().Forwarded; got != 10 {
		t.Errorf("forwarded %d messages, want 10", got)
	}
	if _, err := sub.Unsubscribe(t.Context(), &paho.Unsubscribe{Topics: []string{"a/#"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "routes are gone", func() bool { return c.nodes[0].Stats().Routes == 0 && c.nodes[2].Stats().Routes == 0 })
	pub.publish("a/b", 1, false, "late")
	if got := c.nodes[0].Stats().Forwarded; got != 10 {
		t.Errorf("forwarded %d messages, want 10", got)
	}
}

// A subscription is known everywhere when its SUBACK comes, and gone with its client.
func TestRoutesFollowClients(t *testing.T) {
	c := newCluster(t, 3)
	pub := c.connect(0, "pub", nil)
	for round := range 20 {
		sub := c.connect(1+round%2, fmt.Sprint("sub", round), nil)
		sub.subscribe(0, "t")
		pub.publish("t", 0, false, fmt.Sprint(round))
		sub.expect(fmt.Sprint("t=", round))
		if err := sub.Disconnect(&paho.Disconnect{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no routes are left", func() bool { return c.nodes[0].Stats().Routes == 0 })
}

func TestOverlappingSubscriptions(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(1, "sub", nil)
	id := func(n int) *paho.SubscribeProperties { return &paho.SubscribeProperties{SubscriptionIdentifier: &n} }
	for i, f := range []string{"a/#", "a/b", "+/b", "c"} {
		s := &paho.Subscribe{Properties: id(i + 1), Subscriptions: []paho.SubscribeOptions{{Topic: f, QoS: byte(i % 3)}}}
		if _, err := sub.Subscribe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		c.connect(i, fmt.Sprint("pub", i), nil).publish("a/b", 2, false, fmt.Sprint(i))
	}
	sub.expectAny("a/b=0", "a/b=1")
	for _, p := range sub.got {
		if p.QoS != 2 {
			t.Errorf("QoS %d, want the highest of the subscriptions", p.QoS)
		}
	}
}

func TestNoLocal(t *testing.T) {
	c := newCluster(t, 2)
	a := c.connect(0, "a", nil)
	if _, err := a.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1, NoLocal: true}}}); err != nil {
		t.Fatal(err)
	}
	b := c.connect(1, "b", nil)
	b.subscribe(1, "t")
	a.publish("t", 1, false, "from a")
	b.publish("t", 1, false, "from b")
	b.expectAny("t=from a", "t=from b")
	a.expect("t=from b")
}

// What MQTT 5 sends with a message arrives with it, on every node.
func TestPropertiesCrossNodes(t *testing.T) {
	c := newCluster(t, 2)
	expiry, format := uint32(100), byte(1)
	sent := &paho.PublishProperties{
		CorrelationData: []byte{0, 1, 2}, ContentType: "text/plain", ResponseTopic: "re/x", PayloadFormat: &format, MessageExpiry: &expiry,
		User: paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}},
	}
	pub := c.connect(0, "pub", nil)
	if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: "kept", QoS: 1, Retain: true, Payload: []byte("x"), Properties: sent}); err != nil {
		t.Fatal(err)
	}
	var subs []*client
	for i := range 2 {
		s := c.connect(i, fmt.Sprint("sub", i), nil)
		s.subscribe(2, "t", "kept")
		subs = append(subs, s)
	}
	if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 2, Payload: []byte("x"), Properties: sent}); err != nil {
		t.Fatal(err)
	}
	for _, s := range subs {
		s.expect("kept=x", "t=x")
		for _, p := range s.got {
			if left := *p.Properties.MessageExpiry; left > 100 || left < 60 {
				t.Errorf("%s expires in %d s", p.Topic, left)
			}
			if diff := cmp.Diff(sent, p.Properties, cmpopts.IgnoreFields(paho.PublishProperties{}, "MessageExpiry")); diff != "" {
				t.Errorf("%s: %s", p.Topic, diff)
			}
		}
	}
}

// connect3 connects an MQTT 3.1.1 client whose messages go to the channel.
func (c *testCluster) connect3(i int, id string, clean bool) (mqtt.Client, chan string) {
	c.t.Helper()
	got := make(chan string, 10000)
	o := mqtt.NewClientOptions().AddBroker("tcp://" + c.nodes[i].addr("mqtt")).SetClientID(id).SetCleanSession(clean).SetAutoReconnect(false)
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		got <- fmt.Sprintf("%s=%s,%d,%v", m.Topic(), m.Payload(), m.Qos(), m.Retained())
	})
	cl := mqtt.NewClient(o)
	if tok := cl.Connect(); !tok.WaitTimeout(30*time.Second) || tok.Error() != nil {
		c.t.Fatalf("connect %s: %v", id, tok.Error())
	}
	c.t.Cleanup(func() { cl.Disconnect(10) })
	return cl, got
}

func token(t testing.TB, tok mqtt.Token) {
	t.Helper()
	if !tok.WaitTimeout(30*time.Second) || tok.Error() != nil {
		t.Fatalf("no answer: %v", tok.Error())
	}
}

func receive(t testing.TB, ch <-chan string) string {
	t.Helper()
	select {
	case s := <-ch:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

func TestVersionsMix(t *testing.T) {
	c := newCluster(t, 2)
	v3, got := c.connect3(0, "v3", true)
	token(t, v3.Subscribe("from5/#", 2, nil))
	v5 := c.connect(1, "v5", nil)
	v5.subscribe(1, "from3")
	for qos := range byte(3) {
		token(t, v3.Publish("from3", qos, false, fmt.Sprint(qos)))
		if _, err := v5.Publish(t.Context(), &paho.Publish{
			Topic: "from5/x", QoS: qos, Payload: []byte{'0' + qos},
			Properties: &paho.PublishProperties{ContentType: "is lost on the way to version 3", User: paho.UserProperties{{Key: "a", Value: "b"}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	v5.expect("from3=0", "from3=1", "from3=2")
	for qos := range 3 {
		if g, w := receive(t, got), fmt.Sprintf("from5/x=%d,%d,false", qos, qos); g != w {
			t.Errorf("got %q, want %q", g, w)
		}
	}
}

// A message to a group goes to exactly one of its members, wherever they are, and none is left out.
func TestSharedSubscriptions(t *testing.T) {
	c := newCluster(t, 3)
	var members []*client
	for i := range 6 {
		m := c.connect(i%3, fmt.Sprint("member", i), nil)
		m.subscribe(1, "$share/g/work/#")
		members = append(members, m)
	}
	plain := c.connect(2, "plain", nil)
	plain.subscribe(1, "work/#")
	other := c.connect(1, "other group", nil)
	other.subscribe(1, "$share/h/work/+")
	pub := c.connect(0, "pub", nil)
	const n = 300
	for i := range n {
		pub.publish("work/1", 1, false, fmt.Sprint(i))
	}
	plain.expect(numbers("work/1", n)...)
	other.expect(numbers("work/1", n)...)
	all := func() (got []string) {
		for _, m := range members {
			got = append(got, m.payloads()...)
		}
		return got
	}
	eventually(t, "all messages came", func() bool { return len(all()) >= n })
	got, want := all(), numbers("work/1", n)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the group got %d messages, not each of %d once", len(got), n)
	}
	for i, m := range members {
		if len(m.payloads()) == 0 {
			t.Errorf("member %d got nothing", i)
		}
	}
	for _, m := range members[1:] { // the one that is left gets all
		if err := m.Disconnect(&paho.Disconnect{}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("%+v", n.Stats())
			}
		}
	}()
	eventually(t, "others are gone", func() bool {
		return c.nodes[0].Stats().Sessions == 2 && c.nodes[1].Stats().Sessions == 1 && c.nodes[2].Stats().Sessions == 1 &&
			c.nodes[1].Stats().Routes == c.nodes[2].Stats().Routes && c.nodes[0].Stats().Routes == 2
	})
	before := len(members[0].payloads())
	for i := range 20 {
		pub.publish("work/1", 1, false, fmt.Sprint("more", i))
	}
	eventually(t, "the last member has the rest", func() bool { return len(members[0].payloads()) == before+20 })
}

// unfinished is a group of two, of whom the lame one, on node 0, has been given five messages and acknowledged none.
func (c *testCluster) unfinished(clean bool) (lame *raw, good *client) {
	c.t.Helper()
	lame = c.raw(0, "lame", clean)
	lame.subscribe(1, "$share/g/t")
	pub := c.connect(1, "pub", nil)
	for i := range 5 {
		pub.publish("t", 1, false, fmt.Sprint(i))
	}
	for range 5 {
		lame.read()
	}
	good = c.connect(1, "good", nil)
	good.subscribe(1, "$share/g/t")
	return lame, good
}

// A message that a member of a group leaves unfinished goes to another.
func TestSharedMessagesAreNotLostWithAMember(t *testing.T) {
	c := newCluster(t, 2)
	lame, good := c.unfinished(true)
	lame.nc.Close()
	good.expect(numbers("t", 5)...)
}
