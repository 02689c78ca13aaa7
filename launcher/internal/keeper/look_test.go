package keeper

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
	"onemore/launcher/internal/template"
)

// TestLookAtSilent: of a keeper that lives and does not answer, no one says that it has gone, and its nodes run.
func TestLookAtSilent(t *testing.T) {
	dir := t.TempDir()
	id := fmt.Sprintf("silent-%d", os.Getpid())
	n := plan.Node{Index: 1, Name: "a", Folder: filepath.Join(dir, "1")}
	if err := state.WriteJSON(filepath.Join(dir, recordFile), Record{Version: 1, Formed: true, Plan: &plan.Plan{ID: id, Nodes: []plan.Node{n}}}); err != nil {
		t.Fatal(err)
	}
	self, err := proc.Self()
	if err != nil {
		t.Fatal(err)
	}
	if err := remember(filepath.Join(dir, KeeperFile), self); err != nil {
		t.Fatal(err)
	}
	node := exec.Command("cat")
	node.Env = []string{MarkCluster + "=" + id, MarkNode + "=1"}
	stdin, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = stdin.Close(), node.Wait() }()
	look := func() *control.Status {
		st, err := LookAlone(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Notes) != 1 || st.State != control.Lost || st.Nodes[0].PID != node.Process.Pid {
			t.Fatalf("got %+v, want it lost with node 1 as pid %d and one note", st, node.Process.Pid)
		}
		return st
	}
	if st := look(); st.Nodes[0].State != control.Lost || !strings.Contains(st.Notes[0], "has gone") {
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
	if st := look(); st.Nodes[0].State != control.Running || !strings.Contains(st.Notes[0], says) {
		t.Errorf("with a silent one: node %s, note %q", st.Nodes[0].State, st.Notes[0])
	}
}

// TestTrouble: what a server answers for a moment is no trouble; what it goes on answering is.
func TestTrouble(t *testing.T) {
	var asked, bad atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= bad.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	k := &Keeper{prober: probe.New(nil)}
	defer k.prober.Close()
	n := newNode(plan.Node{Members: plan.Members{Require: []plan.Call{{Call: template.Call{HTTP: web.URL, Timeout: template.Duration{Duration: time.Second}}}}}})
	for _, c := range []struct {
		bad     int64
		trouble bool
	}{{0, false}, {2, false}, {math.MaxInt64, true}} {
		asked.Store(0)
		bad.Store(c.bad)
		if why := k.trouble(t.Context(), n, control.Running); (why != "") != c.trouble {
			t.Errorf("%d bad answers: trouble %q", c.bad, why)
		}
	}
}
