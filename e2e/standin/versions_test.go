package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestListenerOff: enabled is 5.0's word; from 5.1 on it is enable, and the old one is taken too.
func TestListenerOff(t *testing.T) {
	for _, test := range []struct {
		version, line string
		open          bool
	}{
		{"5.0", "listeners.wss.default.enabled = false\n", false},
		{"5.0", "listeners.wss.default.enable = false\n", true},
		{"5.8", "listeners.wss.default.enable = false\n", false},
		{"5.8", "listeners.wss.default.enabled = false\n", false},
		{"6.0", "listeners.wss.default.enable = false\n", false},
	} {
		n := newNodes(t, test.version, 1)[0]
		n.appendTo("etc/emqx.conf", test.line)
		n.up()
		if isOpen(n.ports["wss"]) != test.open || !isOpen(n.ports["ws"]) {
			t.Errorf("%s with %s: open %v, want %v", test.version, test.line, !test.open, test.open)
		}
	}
}

// TestLicense: from 5.9 on the second node refuses to start, unless it or its peer has a licence for clusters.
func TestLicense(t *testing.T) {
	for _, test := range []struct {
		version string
		keys    [2]string
		runs    bool
	}{
		{"5.8", [2]string{}, true},
		{"5.10", [2]string{}, false},
		{"5.10", [2]string{"evaluation", "evaluation"}, true},
		{"6.0", [2]string{"evaluation"}, true},
	} {
		nodes := newNodes(t, test.version, 2)
		static(nodes)
		for i, key := range test.keys {
			if key != "" {
				nodes[i].set("EMQX_LICENSE__KEY", key)
			}
		}
		nodes[0].up()
		second := nodes[1].foreground()
		if test.runs {
			second.waitFor("is running now!")
			settled(t, nodes, 2)
			continue
		}
		if code := second.exit(); code != 1 || !strings.Contains(second.text(), "SINGLE_NODE_LICENSE, make sure") {
			t.Errorf("%s %q: exit %d:\n%s", test.version, test.keys, code, second.text())
		}
	}
}

// TestGuardedStats: 5.8 can ask for a login before it tells its numbers; `ctl cluster status --json` needs none.
func TestGuardedStats(t *testing.T) {
	n := newNodes(t, "5.8", 1)[0]
	n.set("EMQX_PROMETHEUS__ENABLE_BASIC_AUTH", "true")
	n.up()
	if code, _ := n.get(n.ports["dashboard"], "/api/v5/prometheus/stats", ""); code != http.StatusUnauthorized {
		t.Errorf("stats: %d", code)
	}
	if got := n.ctl("cluster", "status", "--json"); !strings.HasPrefix(got.out, `{"running_nodes":["`) {
		t.Errorf("status: %+v", got)
	}
}

// TestLocalStorage: durable storage that is one node's goes with no cluster.
func TestLocalStorage(t *testing.T) {
	for _, strategy := range []string{"static", "singleton"} {
		n := newNodes(t, "5.8", 1)[0]
		n.set("EMQX_DURABLE_STORAGE__MESSAGES__BACKEND", "builtin_local")
		n.set("EMQX_CLUSTER__DISCOVERY_STRATEGY", strategy)
		if strategy == "singleton" {
			n.up()
			continue
		}
		if got := n.run("emqx", "foreground"); got.code != 1 || !strings.Contains(got.err, "builtin_local needs cluster.discovery_strategy = singleton") {
			t.Errorf("%s: %+v", strategy, got)
		}
	}
}
