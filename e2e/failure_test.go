package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// planned is what these tests read of a plan.
type planned struct {
	Nodes []struct {
		Name      string `json:"name"`
		Listeners []struct {
			Name string `json:"name"`
			Host string `json:"host"`
			Port int    `json:"port"`
		} `json:"listeners"`
	} `json:"nodes"`
}

func (p planned) port(t *testing.T, node int, listener string) string {
	t.Helper()
	for _, l := range p.Nodes[node-1].Listeners {
		if l.Name == listener {
			return fmt.Sprintf("%s:%d", l.Host, l.Port)
		}
	}
	t.Fatalf("node %d has no listener %q", node, listener)
	return ""
}

// ownPorts is an ownBase, and what an `up 3` at it is going to have.
func (h *host) ownPorts() (base string, p planned) {
	h.t.Helper()
	base = ownBase()
	if err := json.Unmarshal([]byte(h.ok("up", "3", "--base", base, "--dry-run", "--json")), &p); err != nil {
		h.t.Fatal(err)
	}
	return base, p
}

// TestPortTakenBefore: a stranger's port is named with everything that is known of it, and nothing is begun.
func TestPortTakenBefore(t *testing.T) {
	h := newHost(t)
	base, p := h.ownPorts()
	addr := p.port(t, 1, "mqtt")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("the free port was taken meanwhile: %v", err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(addr)
	_, errs, code := h.run("up", "3", "--base", base)
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{"port " + port, `listener "mqtt"`, "node 1 (onemore1@127.0.0.1)", fmt.Sprintf("(pid %d)", os.Getpid()), "hint: --base auto"} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs)
		}
	}
	h.nothingLeft()
}

// TestPortTakenOfStopped: a cluster keeps its ports, so of one that was stopped a taken port must be freed.
func TestPortTakenOfStopped(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "k", "up", "2", "--base", ownBase(), "-q")
	st, _ := h.status("k")
	h.ok("-c", "k", "down", "--keep-data", "-q")
	l, err := net.Listen("tcp", st.Nodes[1].Listeners["mqtt"])
	if err != nil {
		t.Skipf("the freed port was taken meanwhile: %v", err)
	}
	for _, args := range [][]string{{"up"}, {"up", "--base", "auto"}, {"start"}} {
		_, errs, code := h.run(append([]string{"-c", "k"}, args...)...)
		if code != 1 || !strings.Contains(errs, fmt.Sprintf("pid %d", os.Getpid())) || !strings.Contains(errs, "hint: the cluster keeps its ports: free this one") ||
			strings.Contains(errs, "undoing") {
			t.Errorf("%v: exit %d, want 1, who has it and the way out:\n%s", args, code, errs)
		}
	}
	l.Close()
	h.ok("-c", "k", "up", "-q")
	h.downClean("k", st)
}

// TestPortTakenBetween: a stranger takes a port after the plan and before the node binds it.
func TestPortTakenBetween(t *testing.T) {
	h := newHost(t)
	base, p := h.ownPorts()
	dir, gate := slowTemplate(t)
	up := h.cmd("up", "3", "--base", base, "-t", dir)
	var errs strings.Builder
	up.Stderr = &errs
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	h.started("default", 3)
	l, err := net.Listen("tcp", p.port(t, 2, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_ = up.Wait()
	if code := up.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{p.port(t, 2, "ws"), `listener "ws"`, p.Nodes[1].Name, fmt.Sprintf("pid %d", os.Getpid()), "hint: ", "--base auto", "the logs are in "} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs.String())
		}
	}
	h.nothingLeft()
	if _, err := os.Stat(filepath.Join(h.home, "_failed", "default", "node2.log")); err != nil {
		t.Errorf("the failed node's log was not kept: %v", err)
	}
}

// TestRecycledPID: a pid on disk that belongs to somebody else now is never signalled.
func TestRecycledPID(t *testing.T) {
	h := newHost(t)
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	h.ok("-c", "r", "up", "2", "--base", ownBase(), "-q")
	pid := h.keeper("r")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	left("ONEMORE_HOME=" + h.home) // the keeper is gone
	forged := fmt.Sprintf(`{"pid": %d, "start": 1}`, stranger.Process.Pid)
	for _, f := range []string{"r/keeper.json", "r/1/process.json", "r/2/process.json"} {
		if err := os.WriteFile(filepath.Join(h.home, f), []byte(forged), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.truth("r")
	h.ok("-c", "r", "up", "-q")
	h.ok("-c", "r", "down")
	h.nothingLeft()
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger was signalled: %v", err)
	}
}

// TestForeignFolder: a folder without our mark, or with another cluster's, stays.
func TestForeignFolder(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "f", "up", "1", "--base", "auto", "-q")
	dir := filepath.Join(h.home, "f")
	mark := filepath.Join(dir, ".onemore")
	text, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := h.run("-c", "f", "down"); code != 1 || !strings.Contains(errs, "mark") {
		t.Errorf("down without the mark: exit %d: %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster.json")); err != nil {
		t.Errorf("a folder without our mark was removed: %v", err)
	}
	if err := os.WriteFile(mark, text, 0o644); err != nil {
		t.Fatal(err)
	}
	h.ok("-c", "f", "down")
}

// TestFolderGone: a cluster whose folder is removed or moved ends by itself, since no command would find it any more.
func TestFolderGone(t *testing.T) {
	h := newHost(t)
	dir, moved := filepath.Join(h.home, "g"), filepath.Join(h.home, "h")
	for name, vanish := range map[string]func() error{
		"removed": func() error { return os.RemoveAll(dir) },
		"moved":   func() error { return os.Rename(dir, moved) },
	} {
		h.ok("-c", "g", "up", "2", "--base", "auto", "-q")
		if err := vanish(); err != nil {
			t.Fatal(err)
		}
		mark := "ONEMORE_HOME=" + h.home
		for end := time.Now().Add(time.Minute); len(left(mark)) > 0; <-time.After(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("long after the folder was %s there is still: %v", name, left(mark))
			}
		}
	}
	h.ok("-c", "h", "down")
	if _, err := os.Stat(moved); err == nil {
		t.Error("the moved folder is left after down")
	}
}
