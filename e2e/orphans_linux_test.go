package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hider is the template of a server whose second process hides, and has of its node's folder what has says. more are other parts of
// it, in which {{hider}} is the program.
func hider(t *testing.T, has, more string) (template string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "hider")
	if out, err := exec.Command("go", "build", "-o", program, "./hider").CombinedOutput(); err != nil {
		t.Fatalf("build hider: %v\n%s", err, out)
	}
	template = filepath.Join(dir, "hider.toml")
	text := fmt.Sprintf(`[node]
name = "n{{.Index}}"
[listeners.a]
port = 17001
[listeners.b]
port = 17501
[start]
command = [%q, '{{.Port "a"}}', '{{.Port "b"}}', %q]
[stop]
grace = "5s"
`, program, has) + strings.ReplaceAll(more, "{{hider}}", program)
	if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return template
}

// usersOf lists the processes that have their working directory, executable or an open file below a folder.
func usersOf(dir string) []string {
	var out []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, cwd := range links {
		base := filepath.Dir(cwd)
		files, _ := filepath.Glob(base + "/fd/*")
		for _, link := range append(files, cwd, base+"/exe") {
			if path, err := os.Readlink(link); err == nil && (path == dir || strings.HasPrefix(path, dir+"/")) {
				args, _ := os.ReadFile(base + "/cmdline")
				out = append(out, fmt.Sprintf("%s (%s) has %s", filepath.Base(base), strings.Trim(strings.ReplaceAll(string(args), "\x00", " "), " "), path))
				break
			}
		}
	}
	return out
}

// ended fails the test when a port of the nodes is open, or somebody uses the cluster's folder.
func (h *host) ended(after, cluster string, nodes ...nodeStatus) {
	h.t.Helper()
	for _, n := range nodes {
		for name, addr := range n.Listeners {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				h.t.Errorf("after %s, port %s of node %d is open on %s", after, name, n.Index, addr)
			}
		}
		if left := usersOf(filepath.Join(h.home, cluster, fmt.Sprint(n.Index))); len(left) > 0 {
			h.t.Errorf("after %s, processes are left in the folder of node %d: %q", after, n.Index, left)
		}
	}
}

// noGroup fails the test when the control group of a cluster is left.
func (h *host) noGroup(after, id string) {
	h.t.Helper()
	own, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			if _, err := os.Stat(filepath.Join(root, path, "onemore-"+id)); ok && err == nil {
				h.t.Errorf("after %s, the control group of %s is left", after, id)
			}
		}
	}
}

// TestHiddenProcess: the second process of a server, which has hidden in every way, ends with its node in everyday life.
func TestHiddenProcess(t *testing.T) {
	for _, has := range []string{"cwd", "file", "late", "none"} {
		t.Run(has, func(t *testing.T) {
			h := newHost(t)
			tpl := hider(t, has, "")
			h.ok("up", "2", "-t", tpl, "--base", ownBase(), "-q")
			st, _ := h.status("default")
			for _, step := range []string{"stop", "kill", "crash"} {
				if step == "crash" {
					if err := syscall.Kill(st.Nodes[0].PID, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					h.until("the node has crashed", func() bool { now, _ := h.status("default"); return now.Nodes[0].State != "running" })
				} else {
					h.ok(step, "1", "-q")
					h.ended(step, "default", st.Nodes[0])
				}
				if c, err := net.Dial("tcp", st.Nodes[1].Listeners["b"]); err != nil {
					t.Errorf("after %s of node 1, the second process of node 2 is gone: %v", step, err)
				} else {
					c.Close()
				}
				h.ok("start", "1", "-q")
				st, _ = h.status("default")
			}
			h.ok("restart", "-q")
			h.ok("remove", "1", "-q")
			h.ended("remove", "default", st.Nodes[0])
			h.ok("stop", "-q")
			h.ended("stop", "default", st.Nodes...)
			h.ok("start", "-q")
			h.ok("down", "--keep-data", "-q")
			h.ended("down --keep-data", "default", st.Nodes...)
			h.ok("up", "-q")
			h.ok("down", "-q")
			h.ended("down", "default", st.Nodes...)
			h.noGroup("down", st.ID)
		})
	}
}

// TestService: the cluster's service ends with its last node, in the time that it takes for that; status tells when it has ended by
// itself, and `start` brings it back though it has left something on its port.
func TestService(t *testing.T) {
	h := newHost(t)
	tpl := hider(t, "cwd", `[shared.s]
port = 17801
[shared.s2]
port = 17901
[[service]]
command = ["{{hider}}", '{{.Shared "s"}}', '{{.Shared "s2"}}', "late"]
`)
	folder := filepath.Join(h.home, "default", "service")
	ended := func(after string) {
		t.Helper()
		if left := usersOf(folder); len(left) > 0 {
			t.Errorf("after %s, the service runs on: %q", after, left)
		}
		if err := os.Remove(filepath.Join(folder, "ended")); err != nil {
			t.Errorf("after %s, the service has not ended in order: %v", after, err)
		}
	}
	h.ok("up", "2", "-t", tpl, "--base", ownBase(), "-q")
	h.ok("stop", "1", "-q")
	if len(usersOf(folder)) < 2 {
		t.Error("the service has ended with the first of two nodes")
	}
	h.ok("stop", "2", "-q")
	ended("stop of all nodes")
	h.ok("start", "-q")

	var id struct{ PID int }
	b, err := os.ReadFile(filepath.Join(folder, "process.json"))
	if err != nil || json.Unmarshal(b, &id) != nil {
		t.Fatalf("the service's process is not recorded: %s, %v", b, err)
	}
	if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.until("status tells that the service has ended", func() bool {
		return strings.Contains(h.ok("status"), "note: the cluster's service has ended (signal: killed); `onemore start` starts it again")
	})
	if st, _ := h.status("default"); st.State != "degraded" {
		t.Errorf("without its service the cluster is %s, want degraded", st.State)
	}
	h.ok("start", "-q")
	if st, _ := h.status("default"); st.State != "running" {
		t.Errorf("with its service again the cluster is %s, want running", st.State)
	}
	h.ok("down", "--keep-data", "-q")
	ended("down --keep-data")
	h.ok("up", "-q")
	h.ok("down", "-q")
}

// TestHiddenProcessAfterCrash: whatever of a cluster is killed at whatever moment, with its keeper, `down` or `gc` leaves nothing of
// it, and `up` brings it back.
func TestHiddenProcessAfterCrash(t *testing.T) {
	for _, has := range []string{"cwd", "file", "none"} {
		t.Run(has, func(t *testing.T) {
			h := newHost(t)
			tpl := hider(t, has, "")
			up := []string{"-c", "k", "up", "2", "-t", tpl, "--base", ownBase(), "-q"}
			began := time.Now()
			h.ok(up...)
			took := time.Since(began)
			st, _ := h.status("k")
			for i := range crashes {
				c := h.cmd(up...)
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					_ = c.Wait()
				}
				<-randomMoment(took)
				if i%3 == 0 {
					_ = syscall.Kill(st.Nodes[rand.IntN(2)].PID, syscall.SIGKILL)
				}
				if pid := h.keeper("k"); pid > 1 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					h.dead(pid)
				}
				_ = c.Wait()
				switch i % 3 {
				case 0:
					h.ok("gc", "-q")
					if _, ok := h.status("k"); ok { // the `up` has started another keeper
						h.ok("-c", "k", "down", "-q")
					}
				case 1:
					h.ok("-c", "k", "down", "-q")
				case 2:
					h.ok(up...)
					h.ok("-c", "k", "down", "-q")
				}
				h.ended("a crash", "k", st.Nodes...)
				h.noGroup("a crash", st.ID)
				if t.Failed() {
					return
				}
				h.ok(up...)
				st, _ = h.status("k")
			}
			h.ok("-c", "k", "down", "-q")
			h.ended("down", "k", st.Nodes...)
		})
	}
}

// TestStrangersAreSpared: a shell in a node's folder and a reader of its log are not the cluster's, whatever is ended; they are named.
func TestStrangersAreSpared(t *testing.T) {
	h := newHost(t)
	h.ok("up", "1", "-t", hider(t, "cwd", ""), "--base", "auto", "-q")
	folder := filepath.Join(h.home, "default", "1")
	shell := exec.Command("sleep", "1000")
	shell.Dir = folder
	tail := exec.Command("tail", "-f", filepath.Join(folder, "node.log"))
	for _, c := range []*exec.Cmd{shell, tail} {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	}
	for _, c := range []*exec.Cmd{shell, tail} { // Start returns before a program has opened anything
		h.until(fmt.Sprintf("%s uses the folder", c.Args), func() bool {
			return slices.Contains(pidsOf(usersOf(folder)), c.Process.Pid)
		})
	}
	h.killKeeper("default")
	_, errs, code := h.run("down")
	if code != 0 {
		t.Fatalf("down: exit %d: %s", code, errs)
	}
	for _, c := range []*exec.Cmd{shell, tail} {
		if err := c.Process.Signal(syscall.Signal(0)); err != nil || zombie(c.Process.Pid) {
			t.Errorf("%v was ended", c.Args)
		}
		if want := fmt.Sprintf("pid %d (%s)", c.Process.Pid, filepath.Base(c.Path)); !strings.Contains(errs, want) {
			t.Errorf("down does not name %q among those that it left alone:\n%s", want, errs)
		}
	}
}
