package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is one kind of server as its own clients see it: the facts that a template does not have.
type server struct {
	name     string
	programs []string // without which the test is skipped
	args     []string // of up
	second   int      // nodes of the cluster that runs beside
	first    int      // nodes that the smallest cluster has; 0: one
	port     string   // the listener that clients use
	separate bool     // its nodes don't know each other, so none says how many it sees
	fixed    bool     // its clusters keep the nodes that they were made with

	// carry writes a value at one node with the server's own client and returns what another node then has.
	carry func(c *contact, from, to nodeStatus, value string) (string, error)
	// keep reads at a node what carry wrote last; nil where nothing is kept.
	keep func(c *contact, at nodeStatus) (string, error)
	// listing is what a node itself, or its group, lists as the members; member is how it writes one of them.
	listing func(c *contact, at nodeStatus) (string, error)
	member  func(n nodeStatus) string
}

// contact is a cluster of a test, seen from outside.
type contact struct {
	*host
	server
	cluster string
}

// patience bounds every wait of this list. A loaded machine boots an Erlang node in half a minute.
const patience = 3 * time.Minute

// TestConformance takes a real cluster of every server through the whole life of one. A server that is not installed is
// skipped, unless ONEMORE_REQUIRE_SERVERS is set.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some forty servers")
	}
	for _, s := range servers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			need(t, s.programs...)
			conform(t, s)
		})
	}
}

// conform is the list.
func conform(t *testing.T, s server) {
	h := newHost(t)
	a, b := &contact{h, s, "a"}, &contact{h, s, "b"}
	upAtOnce(t, a, b)
	beside := b.full(s.second)
	st := a.full(3)
	h.declared("a")
	h.declared("b")
	disjoint(t, st, beside)
	a.carries(1, 3)
	if s.fixed {
		conformFixed(a)
		b.full(s.second)
		h.downClean("a", st)
		h.downClean("b", beside)
		return
	}

	a.change("add")
	a.lists(1, 4, true)
	a.carries(1, 4)

	gone := a.node(2)
	a.change("remove", "2")
	a.full(3)
	for _, i := range []int{1, 3, 4} {
		a.forgets(i, gone)
	}
	a.carries(4, 1)

	a.change("stop", "3")
	a.change("start", "3")
	a.carries(1, 3)

	a.change("kill", "4")
	if st, _ := h.status("a"); st.State != "degraded" {
		t.Errorf("after a kill the cluster is %s, want degraded", st.State)
	}
	a.change("start", "4")
	before := a.full(3)
	value := a.carries(1, 4)

	a.change("stop")
	a.change("start")
	after := a.full(3)
	for i, n := range before.Nodes {
		if !maps.Equal(n.Listeners, after.Nodes[i].Listeners) {
			t.Errorf("node %d has the ports %v after a stop and a start, want %v", n.Index, after.Nodes[i].Listeners, n.Listeners)
		}
	}
	a.keeps(3, value)
	h.declared("a")

	a.change("stop")
	a.change("add") // to a cluster that is stopped
	grown := a.full(4)
	a.carries(3, 2) // the added node took the free number
	b.full(s.second)
	h.downClean("a", grown)
	h.downClean("b", beside)
}

// conformFixed is the part of the list in which no node comes or goes.
func conformFixed(a *contact) {
	a.change("stop", "2")
	a.change("start", "2")
	a.carries(1, 2)
	a.change("kill", "3")
	a.change("start", "3")
	a.change("stop")
	a.change("start")
	a.full(3)
	a.carries(3, 1)
	a.declared("a")
}

// upAtOnce starts two clusters of the same server at the same moment.
func upAtOnce(t *testing.T, a, b *contact) {
	t.Helper()
	var wg sync.WaitGroup
	for c, n := range map[*contact]int{a: 3, b: b.second} {
		wg.Go(func() {
			args := slices.Concat([]string{"-c", c.cluster, "up", fmt.Sprint(n), "--base", "auto", "--timeout", patience.String()}, c.args)
			if out, errs, code := c.run(args...); code != 0 {
				t.Errorf("onemore %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// change runs a command that waits until the cluster has settled.
func (c *contact) change(command string, nodes ...string) {
	c.t.Helper()
	args := append([]string{"-c", c.cluster, command}, nodes...)
	c.ok(append(args, "--timeout", patience.String())...)
}

func (c *contact) full(n int) clusterStatus {
	c.t.Helper()
	if c.separate {
		return c.running(c.cluster, n, -1)
	}
	return c.host.full(c.cluster, n)
}

func (c *contact) node(index int) nodeStatus {
	c.t.Helper()
	st, _ := c.status(c.cluster)
	i := slices.IndexFunc(st.Nodes, func(n nodeStatus) bool { return n.Index == index })
	if i < 0 {
		c.t.Fatalf("cluster %s has no node %d", c.cluster, index)
	}
	return st.Nodes[i]
}

// disjoint fails the test when two clusters share an address.
func disjoint(t *testing.T, a, b clusterStatus) {
	t.Helper()
	seen := map[string]string{}
	for _, st := range []clusterStatus{a, b} {
		for _, n := range st.Nodes {
			for listener, addr := range n.Listeners {
				if other, taken := seen[addr]; taken {
					t.Errorf("%s is given to %s and to %s of node %d of cluster %s", addr, other, listener, n.Index, st.ID)
				}
				seen[addr] = fmt.Sprintf("%s of node %d of cluster %s", listener, n.Index, st.ID)
			}
		}
	}
}

// carries fails the test unless a value that is written at one node is read at another. It returns the value.
func (c *contact) carries(from, to int) string {
	c.t.Helper()
	value := fmt.Sprintf("v%d", time.Now().UnixNano())
	got, err := c.carry(c, c.node(from), c.node(to), value)
	if err != nil || got != value {
		c.t.Errorf("%q was written at node %d and read at node %d as %q (%v)", value, from, to, got, err)
	}
	return value
}

// keeps fails the test unless a node still has the value that was carried last.
func (c *contact) keeps(node int, value string) {
	c.t.Helper()
	if c.keep == nil {
		return
	}
	if got, err := c.keep(c, c.node(node)); err != nil || got != value {
		c.t.Errorf("node %d has %q (%v) after a stop and a start of all, want %q", node, got, err, value)
	}
}

// lists fails the test unless a node's own listing has another node, or lacks it.
func (c *contact) lists(at, node int, want bool) {
	c.t.Helper()
	text, err := c.listing(c, c.node(at))
	if word := c.member(c.node(node)); err != nil || strings.Contains(text, word) != want {
		c.t.Errorf("node %d lists (%v):\n%s\nwith %q: want %v", at, err, text, word, want)
	}
}

// forgets fails the test when a node still lists one that has left.
func (c *contact) forgets(at int, gone nodeStatus) {
	c.t.Helper()
	text, err := c.listing(c, c.node(at))
	if err != nil || text == "" || strings.Contains(text, c.member(gone)) {
		c.t.Errorf("node %d lists (%v):\n%s\nwith %q, which has left", at, err, text, c.member(gone))
	}
}

// TestConformanceGrown: what a cluster has outlives the node that it began with, whichever way the others joined.
func TestConformanceGrown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some twenty servers")
	}
	for _, s := range servers() {
		for _, join := range []string{"", "config", "command"} {
			if s.fixed || join != "" && s.name != "rabbitmq" && s.name != "onemore" { // which have both
				continue
			}
			t.Run(strings.TrimSpace(s.name+" "+join), func(t *testing.T) {
				t.Parallel()
				need(t, s.programs...)
				c := &contact{newHost(t), s, "g"}
				first := cmp.Or(s.first, 1)
				args := append([]string{"-c", "g", "up", fmt.Sprint(first), "--base", "auto", "--timeout", patience.String()}, s.args...)
				if join != "" {
					args = append(args, "--join", join)
				}
				c.ok(args...)
				c.change("add", "2")
				value := c.carries(1, first+1)
				c.change("remove", "1")
				c.full(first + 1)
				c.keeps(2, value)
				c.carries(first+1, 2)
				c.downClean("g", c.full(first+1))
			})
		}
	}
}
