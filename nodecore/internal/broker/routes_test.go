package broker

import (
	"fmt"
	"strings"
	"testing"
)

// A node can want, and have, more than goes into one frame, and more than a link keeps.
func TestManyFiltersAndSessions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	old := c.connect(0, "moved", lasting(true)) // connects to the other node while they don't see each other
	c.end(0, old)
	c.partition(1)
	const n = 34_000 // filters of a kilobyte each, and half as many sessions
	long := strings.Repeat("x", 1000)
	far := c.nodes[1]
	c.end(1, c.connect(1, "moved", lasting(true)))
	far.sessions.mu.Lock()
	for i := range n / 2 {
		id := fmt.Sprint(i, long)
		s := newSession(far.Broker, id)
		s.stamp = far.clock.now()
		far.sessions.all[id] = s
	}
	far.sessions.mu.Unlock()
	for i := range n {
		far.routes.countFilter(fmt.Sprint(i, "/", long), filterCount{all: 1}, nil)
	}
	sub := c.connect(1, "sub", nil)
	sub.subscribe(1, "t")
	c.stop(0)
	c.partition()
	c.start(0)
	c.meet()
	eventually(t, "all filters are known", func() bool { return c.nodes[0].Stats().Routes == n+1 })
	c.connect(0, "pub", nil).publish("t", 1, false, "x")
	sub.expect("t=x")
	eventually(t, "the older session yields", func() bool { return c.nodes[0].Stats().Sessions == 1 })
}

// While a node tells anew all that it wants, what it wanted before stays known until the last word.
func TestRoutesAreReplacedAtTheEnd(t *testing.T) {
	b := newCluster(t, 2).nodes[0].Broker
	const from = "n2@127.0.0.1"
	tell := func(part byte, filters ...string) {
		body := []byte{part}
		for _, f := range filters {
			body = appendRoute(body, f, true, route{})
		}
		b.Receive(from, frameRoutes, body, nil)
	}
	expect := func(want string) {
		t.Helper()
		got := ""
		for _, name := range []string{"a", "b", "c"} {
			for range b.routes.route(nil, &message{topic: name}, 0, "") {
				got += name
			}
		}
		if got != want {
			t.Errorf("wanted are %q, want %q", got, want)
		}
	}
	tell(routesBegin|routesEnd, "a", "b")
	expect("ab")
	tell(routesBegin, "c")
	expect("abc")
	tell(0, "b")
	tell(routesEnd)
	expect("bc")
	tell(routesBegin | routesEnd)
	expect("")
}
