package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// static gives all nodes each other as seeds.
func static(nodes []*node) {
	for _, n := range nodes {
		n.seeds(nodes...)
	}
}

// seeds tells a node whom it looks for.
func (n *node) seeds(others ...*node) {
	names := make([]string, len(others))
	for i, o := range others {
		names[i] = string(o.name)
	}
	list := strings.Join(names, ",")
	if _, old := n.ports["management"]; old {
		n.set("EMQX_CLUSTER__DISCOVERY", "static")
		n.set("EMQX_CLUSTER__STATIC__SEEDS", list)
		return
	}
	n.set("EMQX_CLUSTER__DISCOVERY_STRATEGY", "static")
	n.set("EMQX_CLUSTER__STATIC__SEEDS", "["+list+"]")
}

// settled waits until each node sees want running members.
func settled(t *testing.T, nodes []*node, want int) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, fmt.Sprintf("%s to see %d nodes", n.name, want), func() bool { return n.count() == want }, func() string {
			return n.ctl("cluster", "status").out
		})
	}
}

func upAll(nodes []*node) []*running {
	var all []*running
	for _, n := range nodes {
		all = append(all, n.foreground())
	}
	for _, r := range all {
		r.waitFor("is running now!")
	}
	return all
}

// TestStatic: nodes started at once find each other, and again when all are started once more.
func TestStatic(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		nodes := newNodes(t, version, 4)
		static(nodes)
		for _, way := range []string{"new", "again"} {
			all := upAll(nodes)
			settled(t, nodes, len(nodes))
			for _, r := range all {
				if code := r.term(); code != 0 {
					t.Errorf("%s: exit code %d", way, code)
				}
			}
		}
	})
}

// TestStaticMany starts more nodes than there are processors, so that they find each other half-way.
func TestStaticMany(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			nodes := newNodes(t, "5.0", 6)
			static(nodes)
			upAll(nodes)
			settled(t, nodes, len(nodes))
		})
	}
}

// TestCommands is a cluster made and undone by command, each text and exit code as measured.
func TestCommands(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		nodes := newNodes(t, version, 3)
		upAll(nodes)
		a, b, c := nodes[0], nodes[1], nodes[2]
		steps := []struct {
			on   *node
			args []string
			says string
		}{
			{a, []string{"cluster", "leave"}, "Failed to leave the cluster: node_not_in_cluster\n"},
			{a, []string{"cluster", "join", string(a.name)}, "Ignore.\n"},
			{a, []string{"cluster", "join", "x@127.0.0.1"}, "Failed to join the cluster: {node_down,'x@127.0.0.1'}\n"},
			{b, []string{"cluster", "join", string(a.name)}, "Join the cluster successfully.\nCluster status: #{running_nodes =>"},
			{b, []string{"cluster", "join", string(a.name)}, fmt.Sprintf("Failed to join the cluster: {already_in_cluster,'%s'}\n", a.name)},
			{c, []string{"cluster", "join", string(b.name)}, "Join the cluster successfully.\nCluster status: #{running_nodes =>"},
			{c, []string{"cluster", "leave"}, "Leave the cluster successfully.\nCluster status: #{running_nodes => ['" + string(c.name)},
			{a, []string{"cluster", "force-leave", string(a.name)}, "Ignore.\n"},
			{a, []string{"cluster", "force-leave", string(c.name)}, "Failed to remove the node from cluster: {node_not_in_cluster,"},
			{a, []string{"cluster", "force-leave", string(b.name)}, "Remove the node from cluster successfully.\nCluster status: "},
			{a, []string{"cluster", "status"}, fmt.Sprintf("Cluster status: #{running_nodes => ['%s'],\n                  stopped_nodes => []}\n", a.name)},
		}
		sees := []int{1, 1, 1, 2, 2, 3, 2, 2, 2, 1, 1} // how many nodes node a sees after each step
		for i, step := range steps {
			got := step.on.ctl(step.args...)
			if got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, step.says) {
				t.Fatalf("step %d %v: %+v", i, step.args, got)
			}
			settled(t, nodes[:1], sees[i])
		}
		if version == "5.0" {
			want := fmt.Sprintf(`{"running_nodes":["%s"],"stopped_nodes":[]}`+"\n", a.name)
			if got := a.ctl("cluster", "status", "--json"); got.out != want {
				t.Errorf("json: %s", got.out)
			}
		}
	})
}

// TestWrongCookie looks like a node that is down, to the joiner and in static discovery.
func TestWrongCookie(t *testing.T) {
	nodes := newNodes(t, "4.4", 2)
	static(nodes)
	nodes[1].set("EMQX_NODE__COOKIE", "another")
	all := upAll(nodes)
	got := nodes[1].ctl("cluster", "join", string(nodes[0].name))
	if want := fmt.Sprintf("Failed to join the cluster: {node_down,'%s'}\n", nodes[0].name); got.out != want || got.code != 0 {
		t.Errorf("join: %+v", got)
	}
	all[0].waitFor("rejected. Invalid challenge reply.")
	settled(t, nodes, 1)
}

func (n *node) mnesia() string { return filepath.Join(n.dir, "data", "mnesia", string(n.name)) }

// TestJoinWipes: what the joiner had on disk is gone.
func TestJoinWipes(t *testing.T) {
	nodes := newNodes(t, "4.4", 2)
	upAll(nodes)
	file := filepath.Join(nodes[1].mnesia(), "retained.DCD")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes[1].ctl("cluster", "join", string(nodes[0].name))
	settled(t, nodes, 2)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the joiner's data is still there: %v", err)
	}
}

// TestSilentLeave: a member that joins another node stays in its old cluster as stopped, restarts or not.
func TestSilentLeave(t *testing.T) {
	nodes := newNodes(t, "4.4", 3)
	all := upAll(nodes)
	a, b, c := nodes[0], nodes[1], nodes[2]
	b.ctl("cluster", "join", string(a.name))
	settled(t, nodes[:2], 2)
	b.ctl("cluster", "join", string(c.name))
	settled(t, nodes[1:], 2)
	stopped := fmt.Sprintf("stopped_nodes => ['%s']}", b.name)
	if got := a.ctl("cluster", "status"); !strings.Contains(got.out, stopped) {
		t.Errorf("got %s", got.out)
	}
	all[0].term()
	a.up()
	if got := a.ctl("cluster", "status"); !strings.Contains(got.out, stopped) || a.count() != 1 {
		t.Errorf("after a restart: %s", got.out)
	}
	settled(t, nodes[1:], 2)
}

// TestForceLeaveStopped: the node is back when it starts, unless its data was wiped.
func TestForceLeaveStopped(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprint("wiped ", wiped), func(t *testing.T) {
			nodes := newNodes(t, "4.4", 2)
			all := upAll(nodes)
			nodes[1].ctl("cluster", "join", string(nodes[0].name))
			settled(t, nodes, 2)
			all[1].term()
			settled(t, nodes[:1], 1)
			if got := nodes[0].ctl("cluster", "force-leave", string(nodes[1].name)); !strings.Contains(got.out, "stopped_nodes => []") {
				t.Fatalf("force-leave: %+v", got)
			}
			want := 2
			if wiped {
				want = 1
				if err := os.RemoveAll(nodes[1].mnesia()); err != nil {
					t.Fatal(err)
				}
			}
			nodes[1].up()
			settled(t, nodes, want)
		})
	}
}

// TestFirstStopped: the node that was stopped first waits for the one that outlived it.
func TestFirstStopped(t *testing.T) {
	nodes := newNodes(t, "5.0", 2)
	all := upAll(nodes)
	nodes[1].ctl("cluster", "join", string(nodes[0].name))
	settled(t, nodes, 2)
	all[1].term()
	settled(t, nodes[:1], 1)
	all[0].term()
	if got := nodes[1].run("emqx", "start"); got.code != startNeverBooted {
		t.Errorf("start of the node that was stopped first: %+v", got)
	}
	if isOpen(nodes[1].ports["tcp"]) {
		t.Error("it listens before its tables are loaded")
	}
	nodes[0].up()
	settled(t, nodes, 2)
}

// TestKilledAll: after a crash of all, all must come back together.
func TestKilledAll(t *testing.T) {
	nodes := newNodes(t, "4.4", 3)
	static(nodes)
	all := upAll(nodes)
	settled(t, nodes, 3)
	for _, r := range all {
		if err := r.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range all {
		r.exit()
	}
	upAll(nodes)
	settled(t, nodes, 3)
}

// TestAdded: a node that was away while another came in learns of it, and the other of its return.
func TestAdded(t *testing.T) {
	nodes := newNodes(t, "5.0", 3)
	all := upAll(nodes)
	a, b, c := nodes[0], nodes[1], nodes[2]
	b.ctl("cluster", "join", string(a.name))
	settled(t, nodes[:2], 2)
	all[1].term()
	c.ctl("cluster", "join", string(a.name))
	b.up()
	settled(t, nodes, 3)
}

// TestLeftBehind: of two that found each other, one has moved on to a third: the other follows.
func TestLeftBehind(t *testing.T) {
	nodes := newNodes(t, "4.4", 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	static(nodes) // c is not up yet, so a and b go on looking
	a.up()        // the older one
	b.up()
	settled(t, nodes[:2], 2)
	c.unset("EMQX_CLUSTER__DISCOVERY")
	c.up()
	if got := a.ctl("cluster", "join", string(c.name)); !strings.HasPrefix(got.out, "Join") {
		t.Fatalf("join: %+v", got)
	}
	settled(t, []*node{a, b, c}, 3)
}

func TestPair(t *testing.T) {
	tests := []struct {
		count int
		want  string
	}{
		{0, "running_nodes => []"},
		{1, "running_nodes => ['emqx1@127.0.0.1']"},
		{3, "running_nodes =>\n                      ['emqx1@127.0.0.1','emqx1@127.0.0.1','emqx1@127.0.0.1']"},
		{4, "running_nodes =>\n                      ['emqx1@127.0.0.1','emqx1@127.0.0.1','emqx1@127.0.0.1',\n                       'emqx1@127.0.0.1']"},
	}
	for _, test := range tests {
		var nodes []nodeName
		for range test.count {
			nodes = append(nodes, "emqx1@127.0.0.1")
		}
		if diff := cmp.Diff(test.want, pair("running_nodes", nodes, 18)); diff != "" {
			t.Errorf("%d nodes: %s", test.count, diff)
		}
	}
}

// TestPatience: the wait of a `start` that fails can be shortened.
func TestPatience(t *testing.T) {
	for version, variable := range map[string]string{"4.4.19": "WAIT_FOR_ERLANG", "5.0.26": "EMQX_WAIT_FOR_START"} {
		s := &script{release: release{version: version}, pace: 1}
		whole, seconds := s.patience()
		s.env = environment{variable + "=10"}
		if least, asked := s.patience(); asked != 10 || least != whole*10/time.Duration(seconds) {
			t.Errorf("%s: %v for %d s, unshortened %v for %d s", version, least, asked, whole, seconds)
		}
	}
}

func TestPace(t *testing.T) {
	for text, want := range map[string]time.Duration{"": bootTime, "2": bootTime / 2, "0.5": 2 * bootTime} {
		p, err := paceFrom(environment{"STANDIN_SPEED=" + text})
		if err != nil || p.of(bootTime) != want {
			t.Errorf("speed %q: %v, %v", text, p.of(bootTime), err)
		}
	}
	for _, text := range []string{"0", "-1", "fast"} {
		if _, err := paceFrom(environment{"STANDIN_SPEED=" + text}); err == nil {
			t.Errorf("speed %q was taken", text)
		}
	}
}
