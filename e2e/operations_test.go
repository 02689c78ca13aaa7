package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestStatusMeanwhile: whoever looks while a cluster is made, changed and taken down gets an answer, and disturbs nothing.
func TestStatusMeanwhile(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, errs, code := h.run("-c", "m", "status", "--json"); code != 0 && !strings.Contains(errs, "there is no such cluster") {
					t.Errorf("status: exit %d: %s", code, errs)
				}
			}
		})
	}
	for range crashes / 2 {
		h.ok("-c", "m", "up", "2", "--base", "auto", "-q")
		h.ok("-c", "m", "add", "-q")
		h.ok("-c", "m", "stop", "1", "-q")
		h.ok("-c", "m", "start", "1", "-q")
		h.ok("-c", "m", "remove", "2", "-q")
		h.ok("-c", "m", "down", "-q")
	}
}

// TestDownDuringUp: who takes a cluster down does not wait for an `up` that is at it, which is told.
func TestDownDuringUp(t *testing.T) {
	h := newHost(t)
	dir, _ := slowTemplate(t) // its gate is never opened
	up := h.cmd("-c", "d", "up", "2", "--base", "auto", "-t", dir, "--timeout", "0")
	var errs strings.Builder
	up.Stderr = &errs
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	h.started("d", 2)
	h.ok("-c", "d", "down")
	_ = up.Wait()
	if code := up.ProcessState.ExitCode(); code != 1 || !strings.Contains(errs.String(), "is being taken down") {
		t.Errorf("up: exit %d, want 1 and why:\n%s", code, errs.String())
	}
	h.nothingLeft()
}

// TestDownDuringRestart: nor does it wait for what goes on when its client goes; the end of an owner does not either.
func TestDownDuringRestart(t *testing.T) {
	for _, owned := range []bool{false, true} {
		h := newHost(t)
		dir, gate := slowTemplate(t)
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		owner := h.cmd("-c", "r", "run", "2", "-t", dir, "--", "sleep", "1000")
		if owned {
			if err := owner.Start(); err != nil {
				t.Fatal(err)
			}
			h.until("the cluster runs", func() bool { st, ok := h.status("r"); return ok && st.State == "running" && st.Busy == "" })
		} else {
			h.ok("-c", "r", "up", "2", "--base", "auto", "-t", dir, "-q")
		}
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { h.run("-c", "r", "restart", "1", "--timeout", "0") })
		h.until("node 1 is being started", func() bool {
			st, _ := h.status("r")
			return len(st.Nodes) == 2 && st.Nodes[0].State == "starting"
		})
		if owned {
			_ = owner.Process.Kill()
			_ = owner.Wait()
			h.gone(2 * time.Second)
		} else {
			h.ok("-c", "r", "down", "--timeout", "20s")
		}
		wg.Wait()
		h.nothingLeft()
	}
}

// TestKeeperToldToEnd: a keeper that gets SIGTERM takes down a cluster that hangs on somebody, whether that one lives or not.
func TestKeeperToldToEnd(t *testing.T) {
	for _, kill := range []bool{false, true} {
		h := newHost(t)
		run := h.cmd("-c", "o", "run", "2", "--", "sleep", "1000")
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		h.until("the cluster runs", func() bool { st, ok := h.status("o"); return ok && st.State == "running" && st.Busy == "" })
		keeper := h.keeper("o")
		if kill {
			_ = run.Process.Kill()
		}
		if err := syscall.Kill(keeper, syscall.SIGTERM); err != nil && !kill {
			t.Fatal(err)
		}
		h.gone(2 * time.Second)
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait()
		h.nothingLeft()
	}
}

// TestKeptUpAgain: an `up` after one that failed and was to be kept begins anew, whatever of it still runs.
func TestKeptUpAgain(t *testing.T) {
	h := newHost(t)
	dir, gate := slowTemplate(t)
	if _, errs, code := h.run("-c", "k", "up", "2", "--base", "auto", "-t", dir, "--keep", "--timeout", "1s"); code != 1 {
		t.Fatalf("up that can't be: exit %d: %s", code, errs)
	}
	st, _ := h.status("k")
	if st.Nodes[0].PID == 0 {
		t.Fatalf("with --keep node 1 does not run on: %+v", st)
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	h.ok("-c", "k", "up", "2", "--base", "auto", "-t", dir)
	now, _ := h.status("k")
	if now.State != "running" || now.Nodes[0].PID == st.Nodes[0].PID {
		t.Errorf("after up: %s, node 1 has pid %d, had %d", now.State, now.Nodes[0].PID, st.Nodes[0].PID)
	}
	h.downClean("k", now)
}

// TestAddsAtOnce: two `add` of one moment, and of a restart, add two nodes; two `remove` remove both. Who planned for the cluster as it was
// plans again.
func TestAddsAtOnce(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "a", "up", "1", "--base", "auto", "-q")
	atOnce := func(changes ...[]string) {
		var wg sync.WaitGroup
		for _, args := range changes {
			wg.Go(func() {
				if _, errs, code := h.run(append([]string{"-c", "a"}, args...)...); code != 0 {
					t.Errorf("%v: exit %d: %s", args, code, errs)
				}
			})
		}
		wg.Wait()
	}
	atOnce([]string{"add"}, []string{"restart", "1"}, []string{"add"})
	if st, _ := h.status("a"); st.State != "running" || len(st.Nodes) != 3 {
		t.Errorf("after two adds: %s with %d nodes, want running with 3", st.State, len(st.Nodes))
	}
	atOnce([]string{"remove", "1", "1"}, []string{"remove", "3"})
	st, _ := h.status("a")
	if st.State != "running" || len(st.Nodes) != 1 || st.Nodes[0].Index != 2 {
		t.Errorf("after two removes: %+v, want node 2 alone", st)
	}
	h.ok("-c", "a", "add", "-q") // the number of the first is free again
	if st, _ = h.status("a"); st.State != "running" || len(st.Nodes) != 2 || st.Nodes[0].Index != 1 {
		t.Errorf("after another add: %+v, want nodes 1 and 2", st)
	}
	h.downClean("a", st)
}

// TestStopped: what is done to nodes that don't run, or stand still.
func TestStopped(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "s", "up", "3", "--base", "auto", "-q")
	h.ok("-c", "s", "stop", "1", "-q")
	h.ok("-c", "s", "pause", "2", "-q")
	for _, args := range [][]string{{"up"}, {"start"}} {
		_, errs, code := h.run(append([]string{"-c", "s"}, args...)...)
		if code != 1 || !strings.Contains(errs, "it is paused") || !strings.Contains(errs, "hint: `onemore -c s resume 2`") {
			t.Errorf("%v with a paused node: exit %d: %s", args, code, errs)
		}
	}
	if st, _ := h.status("s"); st.Nodes[0].State != "stopped" || st.Nodes[1].State != "paused" {
		t.Errorf("a start that was refused changed something: %+v", st)
	}
	if out := h.ok("-c", "s", "exec", "1", "--", "pwd"); !strings.Contains(out, filepath.Join(h.home, "s", "1")) {
		t.Errorf("exec in a stopped node prints %q", out)
	}
	if _, errs, code := h.run("-c", "s", "ctl", "1", "--", "cluster", "status"); code == 0 || errs == "" {
		t.Errorf("ctl of a stopped node: exit %d: %s", code, errs)
	}
	h.ok("-c", "s", "logs", "1")
	h.ok("-c", "s", "resume", "2", "-q")
	h.ok("-c", "s", "remove", "1", "-q") // stopped, and the one that the others joined
	if _, errs, code := h.run("-c", "s", "logs", "1"); code != 2 || !strings.Contains(errs, `has no node "1"`) {
		t.Errorf("logs of a removed node: exit %d: %s", code, errs)
	}
	h.ok("-c", "s", "pause", "3", "-q")
	h.ok("-c", "s", "stop", "3", "-q")
	h.ok("-c", "s", "up", "-q")
	st, _ := h.status("s")
	if st.State != "running" || len(st.Nodes) != 2 {
		t.Errorf("at the end: %+v", st)
	}
	h.ok("-c", "s", "pause", "-q")
	h.downClean("s", st)
}

// TestKeeperStandsStill: a keeper that is stopped is found out, and what can be seen without it is told.
func TestKeeperStandsStill(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "s", "up", "1", "--base", "auto", "-q")
	pid := h.keeper("s")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	says := fmt.Sprintf("(pid %d) does not answer", pid)
	if out := h.ok("-c", "s", "status"); !strings.Contains(out, says) {
		t.Errorf("status does not say %q:\n%s", says, out)
	}
	if _, errs, code := h.run("-c", "s", "stop"); code != 1 || !strings.Contains(errs, fmt.Sprintf("pid %d does not answer", pid)) {
		t.Errorf("stop: exit %d: %s", code, errs)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.ok("-c", "s", "down", "-q")
}

// TestEndsAfterReady: a node that was ready and ends before the cluster has settled fails the `up`: fewer members that see
// each other are no success.
func TestEndsAfterReady(t *testing.T) {
	h := newHost(t)
	const kill = `f=../../2/process.json; kill -9 $(sed 's/.*"pid":\([0-9]*\).*/\1/' $f); while [ -e $f ]; do sleep 0.01; done; sleep 0.2`
	tpl := changed(t, "onemore", "[members]\n", "[[form]]\non = \"first\"\nexec = [\"sh\", \"-c\", '''"+kill+"''']\n\n[members]\n")
	_, errs, code := h.run("up", "3", "-t", tpl, "--base", "auto")
	if code != 1 || !strings.Contains(errs, "node onemore2@127.0.0.1, run as a member: the process ended: signal: killed") {
		t.Errorf("exit %d, want 1 and the node that ended:\n%s", code, errs)
	}
	h.nothingLeft()
}

// TestCollectDuringUp: gc leaves a cluster alone that is just being made, at every moment of that.
func TestCollectDuringUp(t *testing.T) {
	h := newHost(t)
	for range crashes {
		var wg sync.WaitGroup
		done := make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					h.ok("gc")
				}
			}
		})
		_, errs, code := h.run("-c", "g", "up", "2", "--base", "auto", "-q")
		close(done)
		wg.Wait()
		if st, ok := h.status("g"); code != 0 || !ok || st.State != "running" {
			t.Errorf("up beside gc: exit %d: %s; then the cluster is %q", code, errs, st.State)
		}
		h.ok("-c", "g", "down", "-q")
	}
}

// TestStartFails: the reason is what the process says that was started now, and not what one before it has said.
func TestStartFails(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "f", "up", "2", "--base", "auto", "-q")
	h.ok("-c", "f", "stop", "2", "-q")
	file := filepath.Join(h.home, "f", "2", "onemore", "etc", "node.toml")
	if err := os.WriteFile(file, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, code := h.run("-c", "f", "start", "2")
	for _, want := range []string{"| onemore: error:", "node.toml", "hint: the logs are in " + filepath.Join(h.home, "f", "2")} {
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("exit %d, want 1 and %q:\n%s", code, want, errs)
		}
	}
	if strings.Contains(errs, "msg=ready") {
		t.Errorf("what an earlier process said is quoted:\n%s", errs)
	}
	// Others hear of a cluster that has lost its keeper.
	h.killKeeper("f")
	if _, errs, code := h.run("-c", "g", "up", "1", "--base", "auto"); code != 0 || !strings.Contains(errs, "note: cluster f has lost its keeper") {
		t.Errorf("up of another cluster: exit %d: %s", code, errs)
	}
	h.ok("gc")
	if _, errs, _ := h.run("-c", "g", "down"); strings.Contains(errs, "keeper") {
		t.Errorf("down of the other one: %s", errs)
	}
	h.nothingLeft()
}

// TestExecSignals: a command in a node's directory gets the signals that onemore gets, each once, and answers for its exit.
func TestExecSignals(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "e", "up", "1", "--base", "auto", "-q")
	for sig, name := range map[syscall.Signal]string{syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGUSR1: "USR1"} {
		script := fmt.Sprintf(`trap 'exit 8' INT TERM USR1; trap 'exit 9' %s; echo up; while :; do sleep 0.02; done`, name)
		c := h.cmd("-c", "e", "exec", "1", "--", "sh", "-c", script)
		out := watch("up")
		c.Stdout = out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		out.wait(t)
		if err := c.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != 9 {
			t.Errorf("%v: exit %d, want 9, the command's own", sig, code)
		}
	}
	h.ok("-c", "e", "down", "-q")
}
