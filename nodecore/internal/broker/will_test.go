package broker

import (
	"fmt"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// A will that is delayed is published when the session ends before, as it does with a clean start, on whichever node; and not when
// the client comes back to it.
func TestDelayedWill(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	watch := c.connect(1, "watch", nil)
	watch.subscribe(1, "will/#")
	var want []string
	for i, tt := range []struct {
		connected bool // when the client connects again
		node      int
		clean     bool
	}{{true, 0, false}, {true, 1, false}, {true, 0, true}, {true, 1, true}, {false, 0, false}, {false, 1, false}, {false, 0, true}, {false, 1, true}} {
		id, topic := fmt.Sprint("client", i), fmt.Sprint("will/", i)
		cl := c.connect(0, id, func(cp *paho.Connect) {
			lasting(true)(cp)
			delay := uint32(1000)
			cp.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("x"), QoS: 1}
			cp.WillProperties = &paho.WillProperties{WillDelayInterval: &delay}
		})
		if !tt.connected {
			before := c.nodes[0].Stats().Connections
			cl.nc.Close()
			eventually(t, "client is gone", func() bool { return c.nodes[0].Stats().Connections < before })
		}
		back := c.connect(tt.node, id, lasting(tt.clean))
		if back.ack.SessionPresent == tt.clean {
			t.Errorf("%d: session present %v", i, back.ack.SessionPresent)
		}
		if tt.clean {
			want = append(want, topic+"=x")
		}
		watch.expect(want...)
	}
}

// withWill is how a client connects that leaves a will, and a session that lives on.
func withWill(topic string, delay uint32) func(*paho.Connect) {
	return func(cp *paho.Connect) {
		lasting(true)(cp)
		cp.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true}
		cp.WillProperties = &paho.WillProperties{WillDelayInterval: &delay}
	}
}

// The wills of a killed node's clients are published by another node, once, unless the client comes back in time or has said that it
// goes; the node may be back before anybody missed it.
func TestWillOfKilledNode(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted ", restarted), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 4)
			watch := c.connect(3, "watch", nil)
			watch.subscribe(2, "will/#")
			c.connect(1, "at once", withWill("will/at-once", 0))
			c.connect(1, "delayed", withWill("will/delayed", 1))
			c.connect(1, "back", withWill("will/back", 1000))
			c.connect(1, "anew", withWill("will/anew", 1000))
			gone := c.connect(1, "gone", withWill("will/gone", 0))
			if err := gone.Disconnect(&paho.Disconnect{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all have heard of them", func() bool {
				for _, i := range []int{0, 2, 3} {
					if c.heldWills(i) != 4 {
						return false
					}
				}
				return true
			})
			c.silence(1)
			if restarted {
				c.start(1)
			}
			c.meet()
			watch.expect("will/at-once=x")
			c.connect(2, "back", lasting(false))
			c.connect(0, "anew", lasting(true))
			watch.expectAny("will/at-once=x", "will/anew=x", "will/delayed=x")
			eventually(t, "nothing is due any more", func() bool { return c.lostWills(0)+c.lostWills(2)+c.lostWills(3) == 0 })
			watch.expectAny("will/at-once=x", "will/anew=x", "will/delayed=x")
		})
	}
}

func (c *testCluster) heldWills(i int) (n int) {
	hw := &c.nodes[i].wills
	hw.mu.Lock()
	defer hw.mu.Unlock()
	for _, nw := range hw.of {
		n += len(nw.all) + len(nw.before)
	}
	return n
}

func (c *testCluster) lostWills(i int) int {
	hw := &c.nodes[i].wills
	hw.mu.Lock()
	defer hw.mu.Unlock()
	return len(hw.lost)
}

// silence kills node i in such a way that nobody hears anything of its end.
func (c *testCluster) silence(i int) {
	c.partition(i)
	eventually(c.t, "its links are down", func() bool {
		for _, n := range c.nodes {
			if n.i != i && (n.mesh.Up(c.nodes[i].name) || c.nodes[i].mesh.Up(n.name)) {
				return false
			}
		}
		return true
	})
	c.kill(i)
	c.partition()
}
