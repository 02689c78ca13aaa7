package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A link that breaks while a node is asked for a session doesn't mean that it has none: what comes for both sessions comes once.
func TestQuestionIsLost(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newCluster(t, 3)
			sub := c.connect(1, "sub", lasting(true))
			sub.subscribe(1, "t")
			pub := c.connect(2, "pub", nil)
			c.connect(0, "other", nil).publish("t", 1, false, "first") // the link from node 1 to node 2 is up
			sub.expect("t=first")
			eventually(t, "it is acknowledged", func() bool { return c.nodes[1].Stats().Queued == 0 })
			c.partition(1)
			sub.nc.Close()
			again := c.connect(0, "sub", lasting(false))
			again.subscribe(1, "t")
			c.partition()
			var want []string
			for i := range 30 {
				pub.publish("t", 1, false, fmt.Sprint(i))
				want = append(want, fmt.Sprint("t=", i))
			}
			eventually(t, "the older session has moved", func() bool { return c.nodes[1].session("sub") == nil })
			pub.publish("t", 1, false, "last")
			again.expect(append(want, "t=last")...)
		})
	}
}

// State of a session is void where a newer one is that comes from it, however late it arrives.
func TestLateStateIsVoid(t *testing.T) {
	c := newCluster(t, 3)
	sub := c.raw(1, "sub", false)
	sub.subscribe(2, "t")
	pub := c.connect(2, "pub", nil)
	for i := range 3 {
		pub.publish("t", 2, false, fmt.Sprint(i))
	}
	first := sub.readPublish().id
	sub.nc.Close()
	old := c.nodes[1].session("sub")
	eventually(t, "the client is away", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		return old.conn == nil
	})
	old.mu.Lock()
	late := old.exportLocked()[0].append(nil)
	old.mu.Unlock()
	sub = c.raw(0, "sub", false)
	for i := range 3 {
		p := sub.readPublish()
		if string(p.payload) != fmt.Sprint(i) || p.id != first+uint16(i) || !p.dup && i == 0 {
			t.Errorf("got %q with id %d, dup %v", p.payload, p.id, p.dup)
		}
		sub.ack(packets.Pubrec, p.id)
	}
	for i := range uint16(3) {
		sub.readAck(packets.Pubrel)
		sub.ack(packets.Pubcomp, first+i)
	}
	sub.ping()
	s := c.nodes[0].session("sub")
	s.mu.Lock()
	s.dedup = nil // it is only for a while
	s.mu.Unlock()
	if err := c.nodes[0].takeovers.handedOver(c.nodes[1].name, &reader{b: late}); err != nil {
		t.Fatal(err)
	}
	sub.ping()
}

// A node keeps a session that has moved until the other one has stored it.
func TestMovedSessionIsKeptUntilItIsStored(t *testing.T) {
	c := newCluster(t, 3)
	sub := c.raw(1, "sub", false)
	sub.subscribe(1, "t")
	sub.write([]byte{packets.Disconnect << 4, 0})
	sub.readEnd()
	c.connect(2, "pub", nil).publish("t", 1, false, "x")
	n := c.nodes[1]
	send := func([]byte) {} // to a node that is killed at this moment
	if got := n.takeovers.release(c.nodes[0].name, "sub", n.clock.now(), false, send); got != answerMoved {
		t.Fatalf("released: %d", got)
	}
	c.kill(1) // and so is this one
	c.start(1)
	c.meet()
	sub = c.raw(2, "sub", false)
	if p := sub.readPublish(); !sub.present || string(p.payload) != "x" {
		t.Errorf("session present %v, got %q", sub.present, p.payload)
	}
	eventually(t, "it is dropped here", func() bool {
		s := c.nodes[1].sessions.getMoved("sub")
		if s == nil {
			return true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.move.settled
	})
}

// A session that moved to a node which never stored it is one of its old node again.
func TestMovedSessionComesBack(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.raw(1, "sub", false)
	sub.subscribe(1, "t")
	sub.write([]byte{packets.Disconnect << 4, 0})
	sub.readEnd()
	n := c.nodes[1]
	if got := n.takeovers.release(c.nodes[0].name, "sub", n.clock.now(), false, func([]byte) {}); got != answerMoved {
		t.Fatalf("released: %d", got)
	}
	stub := n.sessions.getMoved("sub")
	stub.mu.Lock()
	stub.move.forwardForLocked(time.Millisecond)
	stub.mu.Unlock()
	eventually(t, "it is back", func() bool { return n.session("sub") != nil })
	c.connect(0, "pub", nil).publish("t", 1, false, "x")
	sub = c.raw(1, "sub", false)
	if p := sub.readPublish(); !sub.present || string(p.payload) != "x" {
		t.Errorf("session present %v, got %q", sub.present, p.payload)
	}
}

// What several nodes pass on to a session that is being taken over comes once, and not at all if its state shows it as finished.
func TestPassedOnWhileItIsTakenOver(t *testing.T) {
	c := newCluster(t, 1)
	b := c.nodes[0].Broker
	s := b.sessions.acquire("sub")
	s.connecting.Unlock()
	m := func(seq uint64) *message { return &message{topic: "t", node: 1, seq: seq, qos: 2} }
	for range 2 {
		st := sessionState{id: "sub", messages: []delivery{{m: m(1), qos: 2}, {m: m(2), qos: 2}, {m: m(3), qos: 2}}}
		if err := b.takeovers.handedOver("other", &reader{b: st.append(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	finished := &dedupWindow{ids: map[messageID]struct{}{}}
	finished.add(messageID{1, 1})
	s.move.takeOverLocked([]sessionState{{id: "sub", stamp: stamp{5, "other"}, expiry: 60, dedup: finished, messages: []delivery{{m: m(2), qos: 2, id: 7, dup: true}}}}, stamp{}, nil)
	var got []string
	for _, d := range s.outbox.queuedLocked() {
		got = append(got, fmt.Sprint(d.m.seq, " ", d.id, " ", d.dup))
	}
	if want := []string{"2 7 true", "3 0 false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
