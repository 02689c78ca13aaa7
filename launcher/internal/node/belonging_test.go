package node

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// TestClaimReadsTheFolder: what the files of a cluster's folder name is claimed, and belongs to the node in whose folder it stands.
func TestClaimReadsTheFolder(t *testing.T) {
	dir := t.TempDir()
	id := func(pid int) proc.ID { return proc.ID{PID: pid, Start: uint64(pid)} }
	write := func(name string, v any) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := state.WriteJSON(path, v); err != nil {
			t.Fatal(err)
		}
	}
	write(KeeperFile, id(10))
	write("1/"+pidFile, id(11))
	write("12/"+pidFile, id(12))
	write("service/"+pidFile, id(13))
	write("service2/"+pidFile, id(16))
	write("extra/"+pidFile, id(14)) // of no node
	write(leadersFile, []groupLeader{{id(15), 12}})
	if err := os.WriteFile(filepath.Join(dir, cgroupFile), []byte("/sys/fs/cgroup/onemore-abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[proc.ID]int{id(10): -1, id(11): 1, id(12): 12, id(13): 0, id(16): -2, id(15): 12}
	got := recordedLeaders(dir)
	for l, index := range want {
		if n, ok := got[l]; !ok || n != index {
			t.Errorf("%v is of node %d (%v), want %d", l, n, ok, index)
		}
	}
	c := Claim(dir, "abc")
	if len(c.Leaders) != len(want) || slices.Contains(c.Leaders, id(14)) {
		t.Errorf("leaders %v, want those of %v", c.Leaders, want)
	}
	if c.Mark != MarkCluster+"=abc" || c.Dir != dir || c.Cgroup != "/sys/fs/cgroup/onemore-abc" {
		t.Errorf("claim %+v", c)
	}
	if other := Claim(dir, "abcd"); other.Cgroup != "" {
		t.Errorf("the control group of another cluster is claimed: %q", other.Cgroup)
	}
}

func TestNodeByFile(t *testing.T) {
	dir := t.TempDir()
	for file, want := range map[string]int{"/1/x/y": 1, "/12": 12, "/service/log": 0, "/service2/log": -2, "/service12": -12} {
		if got, ok := nodeByFile(dir, dir+file); !ok || got != want {
			t.Errorf("%s: node %d, %v, want %d", file, got, ok, want)
		}
	}
	for _, file := range []string{"", "/", "/cluster.json", "/0/x", "/-1", "2/1/x", "/snapshots/1", "/services/1", "/service1/x", "/service-1"} {
		if got, ok := nodeByFile(dir, dir+file); ok {
			t.Errorf("%s: node %d, want none", file, got)
		}
	}
}
