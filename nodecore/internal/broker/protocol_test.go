package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/topic"
)

// Topics and filters with too many levels are refused, whoever names them.
func TestTooManyLevels(t *testing.T) {
	c := newCluster(t, 2)
	deepest := strings.Repeat("/", topic.MaxLevels-1)
	sub3, sub5 := c.raw(1, "sub3", true), c.raw5(1, "sub5", true)
	sub3.send(packets.Subscribe<<4|2, []byte{0, 9}, text(deepest), []byte{1}, text(deepest+"/"), []byte{1})
	if _, body := sub3.read(); body[2] != 1 || body[3] != 0x80 {
		t.Errorf("SUBACK %x in MQTT 3.1.1", body)
	}
	sub5.send(packets.Subscribe<<4|2, []byte{0, 9, 0}, text(deepest), []byte{1}, text(deepest+"/"), []byte{1})
	if _, body := sub5.read(); body[3] != 1 || body[4] != packets.ErrTopicFilterInvalid.Code {
		t.Errorf("SUBACK %x in MQTT 5", body)
	}
	pub := c.raw5(0, "pub", true)
	pub.send(packets.Publish<<4, text(deepest), []byte{0, 'x'})
	if p := sub3.readPublish(); p.topic != deepest {
		t.Errorf("got a message to %q", p.topic)
	}
	pub.send(packets.Publish<<4, text(deepest+"/"), []byte{0, 'x'})
	if got := pub.readEnd(); got != packets.ErrTopicNameInvalid.Code {
		t.Errorf("a publisher is told %x", got)
	}
	will := c.open(0)
	will.send(packets.Connect<<4, []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 2 | 4, 0, 60, 0}, text("will"), []byte{0}, text(deepest+"/"), text("x"))
	if got := will.readEnd(); got != packets.ErrTopicNameInvalid.Code {
		t.Errorf("a client with such a will is told %x", got)
	}
}

// What MQTT 5 doesn't allow ends the connection, and the client is told why.
func TestProtocolErrors(t *testing.T) {
	const violation, malformed = 0x82, 0x81
	c := newCluster(t, 1)
	for name, props := range map[string][]byte{
		"receive maximum 0":             {packets.PropReceiveMaximum, 0, 0},
		"maximum packet size 0":         {packets.PropMaximumPacketSize, 0, 0, 0, 0},
		"request problem information 2": {packets.PropRequestProblemInfo, 2},
		"receive maximum twice":         {packets.PropReceiveMaximum, 0, 9, packets.PropReceiveMaximum, 0, 9},
	} {
		r := c.open(0)
		r.send(packets.Connect<<4, connect5("c", true, props))
		if got := r.readEnd(); got != violation {
			t.Errorf("%s: the client is told %x, want %x", name, got, violation)
		}
	}
	for _, tt := range []struct {
		name string
		head byte
		body []byte
		want byte
	}{
		{"subscription identifier 0", packets.Subscribe<<4 | 2, []byte{0, 1, 2, packets.PropSubscriptionIdentifier, 0, 0, 1, 't', 1}, violation},
		{"two subscription identifiers", packets.Subscribe<<4 | 2, []byte{0, 1, 4, 11, 1, 11, 2, 0, 1, 't', 1}, violation},
		{"reserved option", packets.Subscribe<<4 | 2, []byte{0, 1, 0, 0, 1, 't', 0x41}, malformed},
		{"retain handling 3", packets.Subscribe<<4 | 2, []byte{0, 1, 0, 0, 1, 't', 0x31}, violation},
		{"subscription identifier of a message", packets.Publish << 4, []byte{0, 1, 't', 2, packets.PropSubscriptionIdentifier, 1}, violation},
		{"property of another packet", packets.Publish << 4, []byte{0, 1, 't', 3, packets.PropReceiveMaximum, 0, 1}, malformed},
	} {
		r := c.raw5(0, "c", true)
		r.send(tt.head, tt.body)
		if got := r.readEnd(); got != tt.want {
			t.Errorf("%s: the client is told %x, want %x", tt.name, got, tt.want)
		}
	}
	all := c.raw5(0, "c", true, packets.PropRequestProblemInfo, 1, packets.PropReceiveMaximum, 0, 1, packets.PropUser, 0, 1, 'k', 0, 0,
		packets.PropUser, 0, 1, 'k', 0, 0, packets.PropTopicAliasMaximum, 0, 0)
	all.ping()
}

// A message that was sent before it expired is sent again until it is acknowledged; one that wasn't is not.
func TestExpiresUnderWay(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	connect := func(clean bool) *raw {
		return c.raw5(0, "sub", clean, packets.PropSessionExpiryInterval, 0, 0, 3, 232, packets.PropReceiveMaximum, 0, 1)
	}
	sub := connect(true)
	sub.send(packets.Subscribe<<4|2, []byte{0, 9, 0}, text("t"), []byte{1})
	sub.read()
	pub := c.connect(0, "pub", nil)
	expiry := uint32(1)
	for _, payload := range []string{"sent", "waits"} {
		if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 1, Payload: []byte(payload), Properties: &paho.PublishProperties{MessageExpiry: &expiry}}); err != nil {
			t.Fatal(err)
		}
	}
	pub.publish("t", 1, false, "lasts")
	sub.readPublish()
	sub.nc.Close()
	s := c.nodes[0].session("sub")
	eventually(t, "both have expired", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.conn == nil && s.outbox.queue.At(0).m.expired(time.Now())
	})
	sub = connect(false)
	for _, want := range []string{"sent", "lasts"} {
		p := sub.readPublish()
		if !strings.HasSuffix(string(p.payload), want) || p.dup != (want == "sent") {
			t.Errorf("got %q, dup %v, want %q", p.payload, p.dup, want)
		}
		sub.ack(packets.Puback, p.id)
	}
}

// How many QoS 2 messages may wait for their PUBREL is something that only MQTT 5 clients are told.
func TestUnreleased(t *testing.T) {
	c := newCluster(t, 1)
	const n = DefaultReceiveMaximum + 1
	r3, r5 := c.raw(0, "r3", true), c.raw5(0, "r5", true)
	for id := uint16(1); id <= n; id++ {
		r3.publish("t", "x", 2, id, false)
		if got := r3.readAck(packets.Pubrec); got != id {
			t.Fatalf("PUBREC of %d, want %d", got, id)
		}
	}
	for id := uint16(1); id <= n; id++ {
		r3.ack(packets.Pubrel, id)
		r3.readAck(packets.Pubcomp)
	}
	for id := uint16(1); id < n; id++ {
		r5.send(packets.Publish<<4|2<<1, text("t"), []byte{byte(id >> 8), byte(id), 0})
		r5.readAck(packets.Pubrec)
	}
	r5.send(packets.Publish<<4|2<<1, text("t"), []byte{n >> 8, n & 255, 0})
	if got := r5.readEnd(); got != packets.ErrReceiveMaximum.Code {
		t.Errorf("the MQTT 5 client is told %x", got)
	}
}

// A client that asks for its will when it disconnects gets it, with or without properties.
func TestDisconnectWithWill(t *testing.T) {
	c := newCluster(t, 1)
	watch := c.connect(0, "watch", nil)
	watch.subscribe(1, "will")
	var want []string
	for i, end := range [][]byte{{4}, {0}, {}, {4, 0}, {4, 6, packets.PropReasonString, 0, 3, 'w', 'h', 'y'}} {
		payload := strings.Repeat("x", i+1)
		r := c.open(0)
		r.send(packets.Connect<<4, []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 2 | 4, 0, 60, 0}, text("c"), []byte{0}, text("will"), text(payload))
		r.connack()
		r.send(packets.Disconnect<<4, end)
		r.readEnd()
		if len(end) > 0 && end[0] == 4 {
			want = append(want, "will="+payload)
		}
		watch.expect(want...)
	}
}
