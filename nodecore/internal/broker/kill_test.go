package broker

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"
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
