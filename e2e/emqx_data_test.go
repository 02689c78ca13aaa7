package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testEMQXRetained: what a cluster has outlives the nodes that it began with, whoever is added and leaves, and those that stay are
// never away. The stand-in is slow here, so that a node that looks for another cluster finds one.
func testEMQXRetained(t *testing.T, e emqx) {
	need(t, "mosquitto_pub", "mosquitto_sub")
	for name, steps := range map[string][]string{
		"added":  {"up 1", "add 2", "remove 1", "restart 2", "add", "remove 3", "stop 2", "start 2", "remove 2"},
		"formed": {"up 3", "remove 1", "restart 2", "remove 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			c := &contact{host: h, server: server{port: "mqtt"}, cluster: "default"}
			h.ok(append(strings.Fields(steps[0]), "-s", e.source, "--base", ownBase(), "-e", "STANDIN_SPEED=4", "-q")...)
			c.retain(1, "kept")
			for _, step := range steps[1:] {
				c.keepsRetained(step)
			}
			_, told, code := h.run("snapshot", "save", "retained-"+name)
			if code != 0 || !strings.Contains(told, "retained messages live in the memory of the nodes") {
				t.Errorf("snapshot save does not say what it lacks: exit %d\n%s", code, told)
			}
			h.ok("snapshot", "rm", "retained-"+name)
			st, _ := h.status("default")
			h.downClean("default", st)
		})
	}
}

// keepsRetained changes the cluster and wants every node to have the message, and none but the changed to have been away.
func (c *contact) keepsRetained(step string) {
	c.t.Helper()
	before := c.openings()
	c.ok(append(strings.Fields(step), "-q")...)
	st, _ := c.status(c.cluster)
	if strings.HasPrefix(step, "stop") {
		return
	}
	c.agree(c.cluster, len(st.Nodes))
	c.host.declared(c.cluster)
	for _, n := range st.Nodes {
		if got, err := c.retained(n.Index); got != "kept" || err != nil {
			c.t.Errorf("after %q node %d has %q, %v", step, n.Index, got, err)
		}
		if was, ok := before[n.PID]; ok && was != c.openingsOf(n) {
			c.t.Errorf("after %q node %d has opened its listeners again", step, n.Index)
		}
	}
}

// testEMQXRejoin: a member that stays, and leaves the cluster and comes back while another one is removed, is told, though the numbers are
// as they should be.
func testEMQXRejoin(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	ctl := map[string]string{"emqx4": `{{.Dir}}/bin/emqx_ctl", "cluster"`, "emqx5": `{{.Dir}}/bin/emqx", "ctl", "cluster"`}[e.template]
	tpl := changed(t, e.template, `exec = ["`+ctl+`, "leave"]`, `exec = ["sh", "-c", """
set -e
"$@" leave
[ {{.Index}} = 3 ] || exit 0
cd {{(index .Nodes 1).Dir}}
.${1#{{.Dir}}} {{if eq "`+e.template+`" "emqx5"}}ctl {{end}}cluster leave
.${1#{{.Dir}}} {{if eq "`+e.template+`" "emqx5"}}ctl {{end}}cluster join {{(index .Nodes 0).Name}}
""", "sh", "`+ctl+`]`)
	h.ok("up", "3", "-s", e.source, "-t", tpl, "--base", "auto", "-q")
	st := h.agree("default", 3)
	_, told, code := h.run("remove", "3", "-q", "--timeout", patience.String())
	if want := "it was away from the cluster"; code != 1 || !strings.Contains(told, want) || !strings.Contains(told, st.Nodes[1].Name) {
		t.Errorf("remove: exit %d, want 1 and %q of %s:\n%s", code, want, st.Nodes[1].Name, told)
	}
	h.downClean("default", h.agree("default", 2))
}

// testEMQXOwnTime: where no --timeout is given, the template's own time counts.
func testEMQXOwnTime(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	tpl := changed(t, e.template, `timeout = "180s"`, `timeout = "3s"`)
	_, told, code := h.run("up", "1", "-s", e.source, "-t", tpl, "--base", "auto", "-e", "STANDIN_FAULT=never-listen", "-q")
	if want := regexp.MustCompile(`has moved on for [0-9.]+s: listener`); code != 1 || !want.MatchString(told) {
		t.Errorf("up: exit %d, want 1 and %q:\n%s", code, want, told)
	}
}

// testEMQXCut: a node that is cut off counts as running until net_ticktime is over. When the network is back it is a member again,
// with what the others have got meanwhile.
func testEMQXCut(t *testing.T, e emqx) {
	t.Parallel()
	need(t, "mosquitto_pub", "mosquitto_sub", "nft")
	if os.Getuid() != 0 {
		t.Skip("cuts the network in the kernel: needs root")
	}
	h := newHost(t)
	c := &contact{host: h, server: server{port: "mqtt"}, cluster: "default"}
	h.ok("up", "3", "-s", e.source, "--base", "auto", "-e", "EMQX_NODE__DIST_NET_TICKTIME=4s", "-q")
	h.ok("fault", "partition", "1,2", "/", "3", "-q")
	if got := c.node(1).Members; got != 3 {
		t.Errorf("just after the cut node 1 sees %d members, want 3", got)
	}
	h.until("the cut is seen", func() bool { return c.node(1).Members == 2 && c.node(3).Members == 1 })
	c.retain(1, "kept")
	h.ok("fault", "heal", "-q")
	h.until("the cluster is whole", func() bool {
		st, _ := h.status("default")
		return !slices.ContainsFunc(st.Nodes, func(n nodeStatus) bool { return n.Members != 3 })
	})
	if got, err := c.retained(3); got != "kept" {
		t.Errorf("the node that was cut off has %q, %v", got, err)
	}
	st := h.agree("default", 3)
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
