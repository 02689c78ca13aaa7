package broker

import (
	"fmt"
	"testing"
)

// A clean start ends a session: what its group sent to it goes to another member.
func TestSharedMessagesAreNotLostWithACleanStart(t *testing.T) {
	c := newCluster(t, 2)
	_, good := c.unfinished(false)
	c.raw(0, "lame", true)
	good.expect(numbers("t", 5)...)
}

// leaveAmid unsubscribes the member of a group at node 0 whose turn it is while messages are on their way to it.
func (c *testCluster) leaveAmid(filter string, publish func()) {
	c.t.Helper()
	n := c.nodes[0]
	n.routes.mu.RLock()
	g := n.routes.groups[filter]
	members := append([]*session(nil), g.members...)
	n.routes.mu.RUnlock()
	for _, s := range members {
		s.mu.Lock()
	}
	before := g.next.Load()
	done := make(chan struct{})
	go func() {
		defer close(done)
		publish()
	}()
	eventually(c.t, "a member is picked", func() bool { return g.next.Load() > before })
	members[int(before+1)%len(members)].subs.unsubscribeLocked(filter)
	for _, s := range members {
		s.mu.Unlock()
	}
	<-done
}

// A message that a member of a group was to have, which leaves at this moment, goes to another member, here or on another node.
func TestSharedMessagesAreNotLostWithASubscription(t *testing.T) {
	c := newCluster(t, 2)
	near := []*client{c.connect(0, "near0", nil), c.connect(0, "near1", nil)}
	for _, m := range near {
		m.subscribe(1, "$share/g/t")
	}
	pub := c.connect(0, "pub", nil)
	c.leaveAmid("$share/g/t", func() { pub.publish("t", 1, false, "0") })
	eventually(t, "the other member has it", func() bool { return len(near[0].payloads())+len(near[1].payloads()) == 1 })
	far := c.connect(1, "far", nil)
	far.subscribe(1, "$share/g/t")
	c.leaveAmid("$share/g/t", func() {
		for i := range 4 { // two of them are this node's
			pub.publish("t", 1, false, fmt.Sprint(i))
		}
	})
	far.expectAny(numbers("t", 4)...)
}
