package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestKillUp(t *testing.T) {
	h := newHost(t)
	took := h.upTime()
	for range crashes {
		up := h.cmd("-c", "k", "up", "3", "--base", "auto", "-q")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(took)
		_ = up.Process.Kill()
		_ = up.Wait()
		h.truth("k")
		st, _ := h.status("k")
		h.downClean("k", st)
	}
}

func TestKillKeeper(t *testing.T) {
	h, base := newHost(t), ownBase()
	took := h.upTime()
	for i := range crashes {
		up := h.cmd("-c", "k", "up", "3", "--base", base, "-q")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = up.Wait()
		}
		<-randomMoment(took)
		if pid := h.keeper("k"); pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			h.dead(pid)
		}
		_ = up.Wait()
		h.truth("k")
		st, was := h.status("k")
		if i%4 == 0 { // and it comes back
			if was && st.State != "lost" {
				t.Errorf("after its keeper was killed the cluster is %s, want lost", st.State)
			}
			h.ok("-c", "k", "up", "3", "--base", base, "-q")
			if st, _ = h.status("k"); st.State != "running" {
				t.Errorf("after up: %s, want running", st.State)
			}
		}
		h.downClean("k", st)
	}
}

func TestKillNode(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "k", "up", "3", "--base", "auto", "-q")
	st, _ := h.status("k")
	for range crashes {
		<-randomMoment(20 * time.Millisecond)
		victim := st.Nodes[rand.IntN(len(st.Nodes))]
		if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		h.until("with a killed node the cluster is degraded", func() bool { now, _ := h.status("k"); return now.State == "degraded" })
		h.truth("k")
		h.ok("-c", "k", "start", "-q")
		if st, _ = h.status("k"); st.State != "running" {
			t.Fatalf("after start: %s, want running", st.State)
		}
	}
	h.downClean("k", st)
}

// TestInterrupt: Ctrl-C ends an `up` with 130 and undoes it; --foreground takes everything down.
func TestInterrupt(t *testing.T) {
	h := newHost(t)
	took := h.upTime()
	for range crashes {
		up := h.cmd("-c", "i", "up", "3", "--base", "auto", "-q")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(took)
		_ = up.Process.Signal(os.Interrupt)
		_ = up.Wait()
		if code := up.ProcessState.ExitCode(); code != 130 && code != 0 && code != -1 {
			t.Errorf("interrupted up: exit %d, want 130, or 0 if it was done", code)
		}
		if st, ok := h.status("i"); ok {
			if st.State != "running" {
				t.Errorf("after an interrupted up the cluster is %s", st.State)
			}
			h.ok("-c", "i", "down", "-q")
		}
		h.nothingLeft()
	}
}

// TestForegroundOfAnother: what was there before an `up --foreground` or a `run` stays when that ends, in whatever way.
func TestForegroundOfAnother(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "f", "up", "2", "--base", "auto", "-q")
	was := h.full("f", 2)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGKILL} {
		up := h.cmd("-c", "f", "up", "--foreground")
		out, errs := watch("ready"), watch("it runs on")
		up.Stdout, up.Stderr = out, errs
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		out.wait(t)
		_ = up.Process.Signal(sig)
		_ = up.Wait()
		if sig == os.Interrupt {
			errs.wait(t)
			if code := up.ProcessState.ExitCode(); code != 0 {
				t.Errorf("%v: exit %d, want 0", sig, code)
			}
		}
		if now := h.full("f", 2); now.ID != was.ID || now.Keeper != was.Keeper {
			t.Errorf("%v: the cluster is another one: %+v", sig, now)
		}
	}
	h.ok("-c", "f", "run", "--", "true")
	if _, _, code := h.run("-c", "f", "run", "--", "false"); code != 1 {
		t.Errorf("run of false: exit %d, want 1", code)
	}
	if now := h.full("f", 2); now.ID != was.ID || now.Keeper != was.Keeper {
		t.Errorf("after run, the cluster is another one: %+v", now)
	}
	h.downClean("f", was)
}

func TestForeground(t *testing.T) {
	h := newHost(t)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		up := h.cmd("-c", "f", "up", "2", "--base", "auto", "--foreground")
		out := watch("ready")
		up.Stdout = out
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		out.wait(t)
		_ = up.Process.Signal(sig)
		_ = up.Wait()
		if code := up.ProcessState.ExitCode(); sig != syscall.SIGKILL && code != 0 {
			t.Errorf("%v: exit %d, want 0", sig, code)
		}
		h.gone(2 * time.Second) // the keeper notices by itself
		h.nothingLeft()
	}
}

// TestTwoUps: two `up` of one cluster at the same moment make one cluster.
func TestTwoUps(t *testing.T) {
	h := newHost(t)
	for range crashes {
		var wg sync.WaitGroup
		var outs [2]string
		for i := range outs {
			wg.Go(func() {
				out, errs, code := h.run("-c", "two", "up", "3", "--base", "auto")
				if code != 0 {
					t.Errorf("up %d: exit %d: %s", i, code, errs)
				}
				outs[i] = out
			})
		}
		wg.Wait()
		st, _ := h.status("two")
		if st.State != "running" || len(st.Nodes) != 3 {
			t.Errorf("after two ups: %s, want running with 3 nodes: %+v", st.State, st)
		}
		h.downClean("two", st)
	}
}

// TestManyUps: eight clusters that look for ports at the same moment don't clash.
func TestManyUps(t *testing.T) {
	h := newHost(t)
	for range manyUps {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				name := fmt.Sprintf("m%d", i)
				if _, errs, code := h.run("-c", name, "up", "2", "--base", "auto"); code != 0 {
					t.Errorf("%s: exit %d: %s", name, code, errs)
				}
			})
		}
		wg.Wait()
		taken := map[string]string{}
		for i := range 8 {
			name := fmt.Sprintf("m%d", i)
			st, _ := h.status(name)
			if st.State != "running" {
				t.Errorf("%s is %s, want running", name, st.State)
			}
			for _, n := range st.Nodes {
				for _, addr := range n.Listeners {
					if other := taken[addr]; other != "" {
						t.Errorf("%s belongs to %s and to %s", addr, other, name)
					}
					taken[addr] = name
				}
			}
		}
		h.ok("down", "--all", "-q")
		h.nothingLeft()
	}
}

// TestKillRun: a cluster that hangs on a process goes down by itself, soon, when that process is killed at any moment.
func TestKillRun(t *testing.T) {
	h := newHost(t)
	took := h.upTime()
	for i := range crashes {
		run := h.cmd("run", "2", "--", "sleep", "1000")
		run.Env = append(run.Env, fmt.Sprintf("TEST_RUN=%s-%d", h.home, i))
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(2 * took)
		_ = run.Process.Kill()
		_ = run.Wait()
		h.gone(2 * time.Second)
		for _, p := range left(fmt.Sprintf("TEST_RUN=%s-%d", h.home, i)) {
			t.Errorf("a process outlived the run: %s", p)
		}
	}
	h.nothingLeft()
}
