package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestRunsInARow: one run after another leaves nothing, and none of them fails.
func TestRunsInARow(t *testing.T) {
	h := newHost(t)
	for i := range runsInARow {
		if out, errs, code := h.run("run", "3", "--", "true"); code != 0 {
			t.Fatalf("run %d: exit %d: %s%s", i, code, out, errs)
		}
	}
	h.nothingLeft()
}

// TestRunsAtOnce: eight runs that want three nodes each at the same moment.
func TestRunsAtOnce(t *testing.T) {
	h := newHost(t)
	for i := range runsAtOnce {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if out, errs, code := h.run("run", "3", "--", "true"); code != 0 {
					t.Errorf("round %d: exit %d: %s%s", i, code, out, errs)
				}
			})
		}
		wg.Wait()
	}
	h.nothingLeft()
}

// TestKillAnything: whatever is killed at whatever moment, after gc nothing is left: of a `run` or of a Go test that never
// ends, its keeper, its nodes or its command.
func TestKillAnything(t *testing.T) {
	h := newHost(t)
	took := h.upTime()
	binary := filepath.Join(t.TempDir(), "hang.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, "onemore/launcher/launchertest").CombinedOutput(); err != nil {
		t.Fatalf("build a test binary: %v\n%s", err, out)
	}
	for i := range killsOverAll {
		mark := fmt.Sprintf("TEST_RUN=%s-any-%d", h.home, i)
		run := h.cmd("run", "3", "--", "sleep", "1000")
		if i%3 == 2 {
			run.Path, run.Args = binary, []string{binary, "-test.run=^TestHang$"}
			run.Env = append(run.Env, "HANG=kill")
		}
		run.Env = append(run.Env, mark)
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		<-randomMoment(2 * took)
		// The run or test itself, its keeper, its nodes and its command all have the mark: any of them, or two at once.
		victims := pidsOf(marked(mark))
		for range 1 + i%2 {
			if len(victims) > 0 {
				_ = syscall.Kill(victims[rand.IntN(len(victims))], syscall.SIGKILL)
			}
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = run.Wait()
		}()
		select {
		case <-ended: // the run, its command or its keeper was hit
		case <-time.After(took / 4):
			_ = run.Process.Kill()
			<-ended
		}
		for _, p := range left(mark) {
			h.ok("gc")
			if alive := left(mark); len(alive) > 0 {
				t.Fatalf("round %d: after gc there is still %v (first seen: %s)", i, alive, p)
			}
			break
		}
	}
	h.ok("gc")
	h.nothingLeft()
}

func pidsOf(list []string) []int {
	var out []int
	for _, l := range list {
		var pid int
		if _, err := fmt.Sscan(l, &pid); err == nil && pid > 1 && pid != os.Getpid() {
			out = append(out, pid)
		}
	}
	return out
}
