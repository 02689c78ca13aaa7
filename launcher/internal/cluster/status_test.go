package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// TestOfflineStatus: of a keeper that lives and does not answer, no one says that it has gone, and its nodes run.
func TestOfflineStatus(t *testing.T) {
	dir := t.TempDir()
	id := fmt.Sprintf("silent-%d", os.Getpid())
	n := plan.Node{Index: 1, Name: "a", Folder: filepath.Join(dir, "1")}
	if err := state.WriteJSON(filepath.Join(dir, RecordFile), Record{Version: 1, Formed: true, Plan: &plan.Plan{ID: id, Nodes: []plan.Node{n}}}); err != nil {
		t.Fatal(err)
	}
	self, err := proc.Self()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.WriteProcessID(filepath.Join(dir, KeeperFile), self); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	child.Env = []string{node.MarkCluster + "=" + id, node.MarkNode + "=1"}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = stdin.Close(), child.Wait() }()
	observe := func() *control.Status {
		st, err := OfflineStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Notes) != 1 || st.State != control.Lost || st.Nodes[0].PID != child.Process.Pid {
			t.Fatalf("got %+v, want it lost with node 1 as pid %d and one note", st, child.Process.Pid)
		}
		return st
	}
	if st := observe(); st.Nodes[0].State != control.Lost || !strings.Contains(st.Notes[0], "has gone") {
		t.Errorf("without a keeper: node %s, note %q", st.Nodes[0].State, st.Notes[0])
	}
	unlock, ok, err := state.TryLockDir(dir)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer unlock()
	if _, held := state.LockHolder(dir); !held {
		t.Skip("who holds a lock can't be told here")
	}
	says := fmt.Sprintf("(pid %d) does not answer, though it lives: ", os.Getpid())
	if st := observe(); st.Nodes[0].State != control.Running || !strings.Contains(st.Notes[0], says) {
		t.Errorf("with a silent one: node %s, note %q", st.Nodes[0].State, st.Notes[0])
	}
}

func TestSummary(t *testing.T) {
	up := func(members int) control.NodeStatus {
		return control.NodeStatus{State: control.Running, PID: 7, Members: members}
	}
	down := control.NodeStatus{State: control.Stopped}
	for _, c := range []struct {
		name  string
		nodes []control.NodeStatus
		want  control.State
	}{
		{"all see all", []control.NodeStatus{up(2), up(2)}, control.Running},
		{"one sees fewer", []control.NodeStatus{up(2), up(1)}, control.Degraded},
		{"one does not answer", []control.NodeStatus{up(2), up(0)}, control.Degraded},
		{"one is stopped", []control.NodeStatus{up(1), down}, control.Degraded},
		{"one crashed", []control.NodeStatus{up(1), {State: control.Exited}}, control.Degraded},
		{"one is paused", []control.NodeStatus{up(2), {State: control.Paused, PID: 8}}, control.Degraded},
		{"all are stopped", []control.NodeStatus{down, {State: control.Exited}}, control.Stopped},
		{"one is starting", []control.NodeStatus{up(2), {State: control.Starting, PID: 8}}, control.Starting},
		{"no way to ask", []control.NodeStatus{up(control.MembersUnknown), up(control.MembersUnknown)}, control.Running},
	} {
		if got := summary(c.nodes); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
