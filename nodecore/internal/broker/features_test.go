package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"
)

// A SUBSCRIBE that is on its way before another connection's PUBLISH is handled before it.
func TestOrderBetweenConnections(t *testing.T) {
	c := newCluster(t, 1)
	const rounds = 150
	lost := 0
	for i := range rounds {
		sub, pub := c.raw(0, fmt.Sprint("s", i), true), c.raw(0, fmt.Sprint("p", i), true)
		topic := fmt.Sprint("o/", i)
		sub.send(packets.Subscribe<<4|2, []byte{0, 9}, text(topic), []byte{0})
		for began := time.Now(); time.Since(began) < 200*time.Microsecond; { // a program that is busy, as tests are
		}
		pub.publish(topic, "x", 0, 0, false)
		pub.ping()
		got := false
		for range 2 { // the first answer may go before the message
			sub.write([]byte{packets.Pingreq << 4, 0})
			for head := byte(0); head>>4 != packets.Pingresp; {
				head, _ = sub.read()
				got = got || head>>4 == packets.Publish
			}
		}
		if !got {
			lost++
		}
		sub.nc.Close()
		pub.nc.Close()
	}
	if lost > 0 {
		t.Errorf("%d of %d messages were not delivered", lost, rounds)
	}
}

func TestSubscriptionLimit(t *testing.T) {
	c := newCluster(t, 1)
	r := c.raw5(0, "greedy", true)
	const n = DefaultSubscriptions + 5
	body := []byte{0, 1, 0}
	for i := range n {
		body = append(append(body, text(fmt.Sprint("f/", i))...), 0)
	}
	r.send(packets.Subscribe<<4|2, body)
	head, ack := r.read()
	want := append(bytes.Repeat([]byte{0}, DefaultSubscriptions), bytes.Repeat([]byte{packets.ErrQuotaExceeded.Code}, 5)...)
	if head>>4 != packets.Suback || !bytes.Equal(ack[3:], want) {
		t.Errorf("%d subscriptions are granted, want %d", bytes.Count(ack[3:], []byte{0}), DefaultSubscriptions)
	}
	r.send(packets.Subscribe<<4|2, []byte{0, 2, 0}, text("f/0"), []byte{0})
	if _, ack := r.read(); ack[3] != 0 {
		t.Errorf("replacing a subscription is answered with %#x", ack[3])
	}
	if got := c.nodes[0].Stats().Subscriptions; got != DefaultSubscriptions {
		t.Errorf("%d subscriptions", got)
	}
}

func TestReservedTopicIsRefused(t *testing.T) {
	c := newCluster(t, 1)
	r := c.raw5(0, "c", true)
	for qos, kind := range map[byte]byte{1: packets.Puback, 2: packets.Pubrec} {
		r.send(packets.Publish<<4|qos<<1, text("$SYS/x"), []byte{0, qos, 0, 'x'})
		if head, body := r.read(); head>>4 != kind || len(body) < 3 || body[2] != packets.ErrTopicNameInvalid.Code {
			t.Errorf("QoS %d is answered with %x %x", qos, head, body)
		}
	}
}

// A mosquitto bridge says so in the protocol version. It gets retain flags as they were published, and nothing back.
func TestBridge(t *testing.T) {
	c := newCluster(t, 1)
	r := c.open(0)
	r.send(packets.Connect<<4, []byte{0, 4, 'M', 'Q', 'T', 'T', 0x84, 2, 0, 60}, text("bridge"))
	r.connack()
	r.subscribe(0, "t")
	r.publish("t", "own", 0, 0, false)
	r.ping()
	c.connect(0, "pub", nil).publish("t", 0, true, "x")
	head, _ := r.read()
	if head>>4 != packets.Publish || head&1 == 0 {
		t.Errorf("got %x, want a PUBLISH with its retain flag", head)
	}
}

func TestAuthenticationDataNeedsAMethod(t *testing.T) {
	c := newCluster(t, 1)
	r := c.open(0)
	r.send(packets.Connect<<4, connect5("c", true, []byte{packets.PropAuthenticationData, 0, 1, 'x'}))
	if head, body := r.read(); head>>4 != packets.Connack || body[1] != packets.ErrProtocolViolation.Code {
		t.Errorf("answered with %x %x", head, body)
	} else if !bytes.Contains(body, []byte(packets.ErrProtocolViolation.Reason)) {
		t.Errorf("no reason string in %x", body)
	}
	r = c.open(0)
	r.send(packets.Connect<<4, connect5("c", true, []byte{packets.PropAuthenticationData, 0, 1, 'x', packets.PropRequestProblemInfo, 0}))
	if _, body := r.read(); bytes.Contains(body, []byte(packets.ErrProtocolViolation.Reason)) {
		t.Errorf("a reason string for a client that wants none: %x", body)
	}
}

func TestRetainedComeInOrder(t *testing.T) {
	c := newCluster(t, 2)
	pub := c.connect(0, "pub", nil)
	var want []string
	for i := range 50 {
		topic := fmt.Sprint("r/", i*37%50)
		pub.publish(topic, 1, true, "x")
		want = append(want, topic+"=x")
	}
	for i := range c.nodes {
		sub := c.connect(i, "sub", nil)
		sub.subscribe(0, "r/+")
		sub.expect(want...)
	}
}

// A member of a group that acknowledges nothing gets what may be on the way to it at once, and no more.
func TestLameMember(t *testing.T) {
	c := newCluster(t, 1)
	lame := c.raw5(0, "lame", true, packets.PropReceiveMaximum, 0, 10)
	lame.send(packets.Subscribe<<4|2, []byte{0, 1, 0}, text("$share/g/t"), []byte{1})
	if head, _ := lame.read(); head>>4 != packets.Suback {
		t.Fatalf("%x is no SUBACK", head)
	}
	good := c.connect(0, "good", func(cp *paho.Connect) {})
	good.subscribe(1, "$share/g/t")
	pub := c.connect(0, "pub", nil)
	for i := range 100 {
		pub.publish("t", 1, false, fmt.Sprint(i))
	}
	eventually(t, "the other member has the rest", func() bool { return len(good.payloads()) >= 85 })
}

// A client that takes topic aliases gets the topic once, and each connection has its own.
func TestServerAliases(t *testing.T) {
	c := newCluster(t, 1)
	pub := c.connect(0, "pub", nil)
	for range 2 {
		sub := c.raw5(0, "sub", true, packets.PropTopicAliasMaximum, 0, 1)
		sub.send(packets.Subscribe<<4|2, []byte{0, 1, 0}, text("t/#"), []byte{0})
		if head, _ := sub.read(); head>>4 != packets.Suback {
			t.Fatalf("%x is no SUBACK", head)
		}
		for _, want := range []string{"\x00\x03t/1\x03\x23\x00\x01x", "\x00\x00\x03\x23\x00\x01x", "\x00\x03t/2\x00x"} {
			topic := "t/1"
			if want[1] == 3 {
				topic = want[2:5]
			}
			pub.publish(topic, 0, false, "x")
			if _, body := sub.read(); string(body) != want {
				t.Errorf("got %q, want %q", body, want)
			}
		}
		sub.nc.Close()
	}
}
