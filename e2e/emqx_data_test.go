package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// testEMQXRetained: what a cluster has outlives the node that it began with, whoever was added and leaves, and the nodes that
// stay are never away. The stand-in is slow here, so that a node that looks for another cluster finds one.
func testEMQXRetained(t *testing.T, e emqx) {
	t.Parallel()
	need(t, "mosquitto_pub", "mosquitto_sub")
	h := newHost(t)
	c := &contact{host: h, server: server{port: "mqtt"}, cluster: "default"}
	h.ok("up", "1", "-s", e.source, "--base", "auto", "-e", "STANDIN_SPEED=4", "-q")
	h.ok("add", "2", "-q")
	h.agree("default", 3)
	c.retain(1, "kept")
	for round, change := range [][]string{{"remove", "1"}, {"restart", "2"}, {"add"}, {"remove", "3"}, {"stop", "2"}, {"start", "2"}, {"remove", "2"}} {
		before := c.openings()
		h.ok(append(change, "-q")...)
		st, _ := h.status("default")
		if change[0] == "stop" {
			continue
		}
		h.agree("default", len(st.Nodes))
		h.declared("default")
		for _, n := range st.Nodes {
			if got, err := c.retained(n.Index); got != "kept" || err != nil {
				t.Errorf("after %v (change %d) node %d has %q, %v", change, round, n.Index, got, err)
			}
			if was, ok := before[n.PID]; ok && was != c.openingsOf(n) {
				t.Errorf("after %v (change %d) node %d has opened its listeners again", change, round, n.Index)
			}
		}
	}
	st := h.agree("default", 1)
	h.downClean("default", st)
}

// retain publishes a retained message at a node.
func (c *contact) retain(node int, text string) {
	c.t.Helper()
	host, port := c.at(c.node(node))
	if _, err := c.client("mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-r", "-t", "e2e", "-m", text); err != nil {
		c.t.Fatal(err)
	}
}

// retained reads the retained message at a node.
func (c *contact) retained(node int) (string, error) {
	c.t.Helper()
	host, port := c.at(c.node(node))
	return c.client("mosquitto_sub", "-h", host, "-p", port, "-t", "e2e", "-C", "1", "-W", "5")
}

// openings says how often each process has opened its listeners: a node that changes its cluster closes and opens them.
func (c *contact) openings() map[int]int {
	c.t.Helper()
	st, _ := c.status(c.cluster)
	counts := map[int]int{}
	for _, n := range st.Nodes {
		if n.PID != 0 {
			counts[n.PID] = c.openingsOf(n)
		}
	}
	return counts
}

func (c *contact) openingsOf(n nodeStatus) int {
	c.t.Helper()
	return strings.Count(c.ok("-c", c.cluster, "logs", fmt.Sprint(n.Index)), "Start ")
}
