package broker

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"
)

// A client that was connected when its node was killed has the whole of its session's time to come back.
func TestKilledWhileConnected(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	brief := func(clean bool) func(*paho.Connect) {
		return func(cp *paho.Connect) {
			e := uint32(1)
			cp.CleanStart, cp.Properties = clean, &paho.ConnectProperties{SessionExpiryInterval: &e}
		}
	}
	c.connect(0, "sub", brief(true)).subscribe(1, "t")
	c.end(0, c.connect(0, "other", brief(true)))
	eventually(t, "a session that began later has expired", func() bool { return c.nodes[0].Stats().Sessions == 1 })
	c.kill(0)
	c.start(0)
	if sub := c.connect(0, "sub", brief(false)); !sub.ack.SessionPresent {
		t.Error("no session present")
	}
}

// What a client has of QoS 2 messages when its node is killed, in both directions, the node knows when it is back.
func TestKilledAmidQoS2(t *testing.T) {
	c := newCluster(t, 1)
	sub := c.raw(0, "sub", false)
	sub.subscribe(2, "t")
	pub := c.raw(0, "pub", false)
	var ids []uint16
	for i, payload := range []string{"whole", "half", "sent"} {
		pub.publish("t", payload, 2, uint16(i+1), false)
		pub.readAck(packets.Pubrec)
		ids = append(ids, sub.readPublish().id)
	}
	pub.ack(packets.Pubrel, 1)
	pub.readAck(packets.Pubcomp)
	for _, id := range ids[:2] {
		sub.ack(packets.Pubrec, id)
		sub.readAck(packets.Pubrel)
	}
	sub.ack(packets.Pubcomp, ids[0])
	sub.ping()
	if err := c.nodes[0].store.Flush(); err != nil { // a PUBCOMP promises nothing
		t.Fatal(err)
	}
	c.kill(0)
	c.start(0)
	sub = c.raw(0, "sub", false)
	if got := sub.readAck(packets.Pubrel); got != ids[1] {
		t.Errorf("PUBREL of %d, want %d", got, ids[1])
	}
	if p := sub.readPublish(); string(p.payload) != "sent" || p.id != ids[2] || !p.dup {
		t.Errorf("got %q with id %d, dup %v", p.payload, p.id, p.dup)
	}
	pub = c.raw(0, "pub", false)
	pub.publish("t", "half", 2, 2, true)
	pub.readAck(packets.Pubrec)
	pub.ack(packets.Pubrel, 2)
	pub.readAck(packets.Pubcomp)
	pub.publish("t", "new", 2, 1, false)
	pub.readAck(packets.Pubrec)
	p := sub.readPublish()
	if string(p.payload) != "new" || p.id <= ids[2]+skippedIDs {
		t.Errorf("got %q with id %d; %d are in use, and more may be", p.payload, p.id, ids)
	}
	for _, id := range []uint16{ids[2], p.id} {
		sub.ack(packets.Pubrec, id)
		sub.readAck(packets.Pubrel)
	}
	for _, id := range []uint16{ids[1], ids[2], p.id} {
		sub.ack(packets.Pubcomp, id)
	}
	sub.ping()
	if err := c.nodes[0].store.Messages(func(client string, seq uint64, value []byte) error {
		if client == "sub" {
			t.Errorf("record %d, %x, is left", seq, value)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A QoS 2 message that not all nodes have accepted when its node ends is published when the client sends it again.
func TestEndsBeforeQoS2IsAccepted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	sub := c.connect(1, "sub", lasting(true))
	sub.subscribe(2, "t")
	pub := c.raw(0, "pub", false)
	c.partition(1)
	pub.publish("t", "x", 2, 7, false)
	pub.ping()
	c.stop(0)
	c.partition()
	c.start(0)
	c.meet()
	pub = c.raw(0, "pub", false)
	pub.publish("t", "x", 2, 7, true)
	pub.readAck(packets.Pubrec)
	sub.expect("t=x")
}
