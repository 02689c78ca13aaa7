package member

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onemore/nodecore/internal/faults"
)

func TestAloneAtFirst(t *testing.T) {
	n := reserve(t, "a").start(t)
	v := n.View()
	if v.Cluster == "" || short(v.Running) != "a" || len(v.Stopped) != 0 {
		t.Errorf("fresh node: got %+v", v)
	}
	id, cluster := v.Self.ID, v.Cluster
	n.restart(t)
	v = n.View()
	if v.Self.ID != id || v.Cluster != cluster {
		t.Errorf("after restart: got id %s cluster %s, want %s %s", v.Self.ID, v.Cluster, id, cluster)
	}
}

// TestKnownBeforeStart: whoever asks a node that has not met anybody yet is told who was a member.
func TestKnownBeforeStart(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	n := nodes[1]
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.cfg.TCP, n.cfg.UDP = listen(t, n.addr.String())
	g, err := Open(n.cfg)
	if err != nil {
		t.Fatal(err)
	}
	v := g.View()
	if short(v.Running) != "b" || short(v.Stopped) != "a c" {
		t.Errorf("before the start running are %q, stopped %q; want b, a c", short(v.Running), short(v.Stopped))
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestNameBelongsToData(t *testing.T) {
	n := reserve(t, "a").start(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.cfg.TCP, n.cfg.UDP = listen(t, n.addr.String())
	n.cfg.Name = "b@127.0.0.1"
	_, err := Open(n.cfg)
	if err == nil || !strings.Contains(err.Error(), "a@127.0.0.1") || !strings.Contains(err.Error(), "b@127.0.0.1") {
		t.Errorf("start under another name: got %v", err)
	}
}

func TestDamagedState(t *testing.T) {
	n := reserve(t, "a")
	if err := os.WriteFile(filepath.Join(n.cfg.Dir, stateFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(n.cfg); err == nil {
		t.Error("opened with a damaged state file")
	}
}

func TestJoinIsSeenAtOnce(t *testing.T) {
	nodes := cluster(t, "a", "b", "c", "d")
	// Join returns when every member lists the new one: the last joiner's own
	// view and the members' views must agree without any waiting.
	for _, n := range nodes {
		if got := short(n.View().Running); got != "a b c d" {
			t.Errorf("%s sees %q right after the last join", n.cfg.Name, got)
		}
	}
	nodes[0].waitResets(t, 0)
	nodes[1].waitResets(t, 1)
	if got, want := nodes[1].resets[0], nodes[0].View().Cluster; got != want {
		t.Errorf("data dropped for cluster %q, want %q", got, want)
	}
}

func TestJoinRefusals(t *testing.T) {
	nodes := cluster(t, "a", "b")
	stranger := reserve(t, "b").start(t)
	wrong := nodes[0].target()
	wrong.Name = "z@127.0.0.1"
	nobody := reserve(t, "n")
	nobody.cfg.TCP.Close()
	tests := []struct {
		name string
		node *testNode
		to   Target
		code Code
	}{
		{"itself", nodes[0], nodes[0].target(), CodeSelf},
		{"already a member", nodes[1], nodes[0].target(), CodeAlready},
		{"name is taken", stranger, nodes[0].target(), CodeTaken},
		{"another node at the address", stranger, wrong, CodeName},
		{"nobody there", stranger, nobody.target(), ""},
	}
	for _, tt := range tests {
		before := tt.node.View().Cluster
		err := tt.node.Join(t.Context(), tt.to)
		if err == nil || tt.code != "" && !refused(err, tt.code) {
			t.Errorf("%s: got %v, want code %q", tt.name, err, tt.code)
		}
		if tt.node.View().Cluster != before {
			t.Errorf("%s: the node changed clusters all the same", tt.name)
		}
	}
	allSee(t, nodes, "a b", "")
}

func TestJoinAnotherClusterLeavesTheFirst(t *testing.T) {
	one := cluster(t, "a", "b", "c")
	two := cluster(t, "x", "y")
	one[2].join(t, two[0])
	allSee(t, one[:2], "a b", "")
	allSee(t, append(two, one[2]), "c x y", "")
}

func TestLeave(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	old := nodes[1].View()
	if err := nodes[1].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes[1].sees(t, "b", "")
	allSee(t, without(nodes, 1), "a c", "")
	if v := nodes[1].View(); v.Cluster == old.Cluster || v.Self.ID == old.Self.ID {
		t.Errorf("after leave the node is still %s in %s", v.Self.ID, v.Cluster)
	}
	if err := nodes[1].Leave(t.Context()); !refused(err, CodeUnknown) {
		t.Errorf("leave alone: got %v", err)
	}
	for _, n := range nodes {
		n.restart(t)
	}
	nodes[1].sees(t, "b", "")
	allSee(t, without(nodes, 1), "a c", "")
	nodes[1].join(t, nodes[0])
	allSee(t, nodes, "a b c", "")
}

// A node that leaves while nobody can be told is still forgotten by those who
// come back and ask for it.
func TestLeaveWhileOthersAreStopped(t *testing.T) {
	nodes := cluster(t, "a", "b")
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	nodes[1].sees(t, "b", "a")
	if err := nodes[1].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes[0].restart(t)
	nodes[0].sees(t, "a", "")
}

func TestForceLeaveLasts(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, "a", "b", "c")
	nodes[2].kill(t)
	nodes[0].sees(t, "a b", "c")
	if err := nodes[0].ForceLeave(t.Context(), "c@127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	allSee(t, nodes[:2], "a b", "")
	nodes[2].restart(t)
	nodes[2].sees(t, "c", "")
	allSee(t, nodes[:2], "a b", "")
	nodes[2].waitResets(t, 2) // for the join and for the removal
	nodes[2].join(t, nodes[1])
	allSee(t, nodes, "a b c", "")
}

func TestForceLeaveOfRunningNode(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	if err := nodes[0].ForceLeave(t.Context(), "b@127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	allSee(t, without(nodes, 1), "a c", "")
	nodes[1].sees(t, "b", "")
	if err := nodes[0].ForceLeave(t.Context(), "b@127.0.0.1"); !refused(err, CodeUnknown) {
		t.Errorf("force-leave of a stranger: got %v", err)
	}
	if err := nodes[0].ForceLeave(t.Context(), "a@127.0.0.1"); !refused(err, CodeSelf) {
		t.Errorf("force-leave of itself: got %v", err)
	}
}

func TestStoppedComesBack(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	allSee(t, without(nodes, 1), "a c", "b")
	nodes[1].restart(t)
	allSee(t, nodes, "a b c", "")
}

func TestKilledComesBack(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	nodes[0].kill(t)
	allSee(t, nodes[1:], "b c", "a")
	nodes[0].restart(t)
	allSee(t, nodes, "a b c", "")
}

// A node that is taken for stopped, but isn't, doesn't stay so.
func TestWronglyEnded(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	gs, _ := nodes[0].current()
	for _, m := range nodes[0].View().Running {
		if m.Name == nodes[2].cfg.Name && !gs.markEnded(m) {
			t.Error("a running member's end was no news")
		}
	}
	allSee(t, nodes, "a b c", "")
}

// A join doesn't wait for members that are known to have stopped.
func TestJoinAfterAStop(t *testing.T) {
	nodes := cluster(t, "a", "b")
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	nodes[0].sees(t, "a", "b")
	c := reserve(t, "c").start(t)
	c.join(t, nodes[0])
	if v := c.View(); short(v.Running) != "a c" || short(v.Stopped) != "b" {
		t.Errorf("right after the join: running %q, stopped %q", short(v.Running), short(v.Stopped))
	}
}

// A kill and start that is faster than any detection must not confuse anyone.
func TestQuickRestart(t *testing.T) {
	nodes := cluster(t, "a", "b", "c")
	for range 3 {
		nodes[1].kill(t)
		nodes[1].restart(t)
		nodes[1].sees(t, "a b c", "")
	}
	allSee(t, nodes, "a b c", "")
	eventually(t, func() error {
		if got, want := nodes[0].View().Running[1].Boot, nodes[1].View().Self.Boot; got != want {
			return fmt.Errorf("boot of the restarted node as seen by another: got %d, want %d", got, want)
		}
		return nil
	})
}

func TestAllRestartTogether(t *testing.T) {
	nodes := cluster(t, "a", "b", "c", "d")
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		n.restart(t)
	}
	allSee(t, nodes, "a b c d", "")
}

// cut separates nodes on both sides, as a network that loses everything.
func cut(t *testing.T, left, right []*testNode) {
	t.Helper()
	for _, l := range left {
		for _, r := range right {
			for _, pair := range [][2]*testNode{{l, r}, {r, l}} {
				if err := pair[0].faults.Set(pair[1].cfg.Name, faults.Both, faults.Rule{Block: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, "a", "b", "c")
	cut(t, nodes[:2], nodes[2:])
	allSee(t, nodes[:2], "a b", "c")
	nodes[2].sees(t, "c", "a b")
	for _, n := range nodes {
		n.faults.Clear("")
	}
	allSee(t, nodes, "a b c", "")
}

// A member that is removed while it is cut off learns of it afterwards.
func TestRemovedBehindAPartition(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, "a", "b", "c")
	cut(t, nodes[:2], nodes[2:])
	nodes[0].sees(t, "a b", "c")
	if err := nodes[0].ForceLeave(t.Context(), "c@127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	allSee(t, nodes[:2], "a b", "")
	for _, n := range nodes {
		n.faults.Clear("")
	}
	nodes[2].sees(t, "c", "")
	allSee(t, nodes[:2], "a b", "")
}

// gate is a listener that hangs while it is closed, as the one of a process that is stopped.
type gate struct {
	net.Listener
	mu sync.Mutex // held while it is closed
}

func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	g.mu.Lock()
	defer g.mu.Unlock()
	return conn, err
}

// A member that hangs while it is removed, or while another one is, learns of it as soon as it goes on.
func TestRemovedWhileItHangs(t *testing.T) {
	t.Parallel()
	a, b, c := reserve(t, "a").start(t), reserve(t, "b"), reserve(t, "c")
	hung := []*gate{{Listener: b.cfg.TCP}, {Listener: c.cfg.TCP}}
	for i, n := range []*testNode{b, c} {
		n.cfg.TCP = hung[i]
		n.start(t).join(t, a)
	}
	for _, h := range hung {
		h.mu.Lock()
	}
	err := a.ForceLeave(t.Context(), "b@127.0.0.1")
	began := time.Now()
	for _, h := range hung {
		h.mu.Unlock()
	}
	if err != nil {
		t.Fatal(err)
	}
	b.sees(t, "b", "")
	a.sees(t, "a c", "")
	c.sees(t, "a c", "")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSeedsFormOneCluster(t *testing.T) {
	const size = 8
	var nodes []*testNode
	var seeds []Target
	var names []string
	for i := range size {
		n := reserve(t, fmt.Sprintf("n%d", i+1))
		nodes = append(nodes, n)
		seeds = append(seeds, n.target())
		names = append(names, fmt.Sprintf("n%d", i+1))
	}
	for i := range nodes { // the founder comes last: the others must wait for it
		n := nodes[size-1-i]
		n.cfg.Seeds = seeds
		n.start(t)
	}
	allSee(t, nodes, strings.Join(names, " "), "")
	for _, n := range nodes {
		n.restart(t)
	}
	allSee(t, nodes, strings.Join(names, " "), "")
	if err := nodes[3].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes[3].restart(t)
	nodes[3].sees(t, "n4", "") // seeds are for the first start only
}
