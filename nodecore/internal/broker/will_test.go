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
