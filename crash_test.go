package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// host is one ONEMORE_HOME with the onemore of this test binary.
type host struct {
	t    *testing.T
	home string
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "omt") // t.TempDir's paths are too long for a unix socket
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, home: dir}
	t.Cleanup(func() {
		takeDown(dir)
		if !t.Failed() {
			h.nothingLeft()
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *host) cmd(args ...string) *exec.Cmd {
	c := exec.Command("onemore", args...)
	c.Env = append(os.Environ(), "ONEMORE_HOME="+h.home, raceLog(h.home))
	return c
}

// run returns what a command printed and its exit code.
func (h *host) run(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	var out, errs bytes.Buffer
	c := h.cmd(args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// ok runs a command that must succeed.
func (h *host) ok(args ...string) string {
	h.t.Helper()
	out, errs, code := h.run(args...)
	if code != 0 {
		h.t.Fatalf("onemore %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

type nodeStatus struct {
	Index     int               `json:"index"`
	Name      string            `json:"name"`
	State     string            `json:"state"`
	PID       int               `json:"pid"`
	Members   int               `json:"members"`
	Trouble   string            `json:"trouble"`
	Listeners map[string]string `json:"listeners"`
}

type clusterStatus struct {
	ID     string       `json:"id"`
	State  string       `json:"state"`
	Keeper int          `json:"keeper_pid"`
	Busy   string       `json:"busy"`
	Nodes  []nodeStatus `json:"nodes"`
}

func (h *host) status(cluster string) (st clusterStatus, ok bool) {
	h.t.Helper()
	out, errs, code := h.run("-c", cluster, "status", "--json")
	if code != 0 {
		if !strings.Contains(errs, "there is no such cluster") {
			h.t.Fatalf("status: exit %d: %s", code, errs)
		}
		return st, false
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		h.t.Fatalf("status: %v\n%s", err, out)
	}
	return st, true
}

// truth compares a status with the process table. What is on its way while we look is looked at again.
func (h *host) truth(cluster string) {
	h.t.Helper()
	var lie string
	for range 100 {
		lie = h.lie(cluster)
		if lie == "" {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	h.t.Errorf("status of %s does not tell the truth: %s", cluster, lie)
}

func (h *host) lie(cluster string) string {
	st, ok := h.status(cluster)
	if !ok {
		if _, err := os.Stat(filepath.Join(h.home, cluster)); err == nil {
			return "there is no such cluster, but a folder"
		}
		return ""
	}
	for _, n := range st.Nodes {
		alive := marked(fmt.Sprintf("ONEMORE_CLUSTER_ID=%s\x00ONEMORE_NODE_INDEX=%d", st.ID, n.Index))
		if (n.PID != 0) != (len(alive) > 0) {
			return fmt.Sprintf("node %d is %s with pid %d, and these processes are its: %v", n.Index, n.State, n.PID, alive)
		}
	}
	return ""
}

// nothingLeft fails the test when a process, a port or a folder of any cluster is left.
func (h *host) nothingLeft() {
	h.t.Helper()
	for _, p := range left("ONEMORE_HOME=" + h.home) {
		h.t.Errorf("a process is left: %s", p)
	}
	entries, err := os.ReadDir(h.home)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "_") {
			h.t.Errorf("%s is left in ONEMORE_HOME", e.Name())
		}
	}
	for _, race := range races(h.home) {
		h.t.Error(race)
	}
}

// downClean takes a cluster down after whatever happened, and checks that nothing of it is left.
func (h *host) downClean(cluster string, st clusterStatus) {
	h.t.Helper()
	h.ok("-c", cluster, "down")
	if st.ID != "" {
		for _, p := range left("ONEMORE_CLUSTER_ID=" + st.ID) {
			h.t.Errorf("a process is left after down: %s", p)
		}
	}
	for _, n := range st.Nodes {
		for name, addr := range n.Listeners {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				if pid := listenerOf(h.t, addr); pid != "" && !ofAnother(pid, st.ID) { // other tests take what is free
					h.t.Errorf("%s of node %d is still open on %s, by pid %s", name, n.Index, addr, pid)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(h.home, cluster)); err == nil {
		h.t.Errorf("the folder of %s is left after down", cluster)
	}
	h.ok("gc")
}

// upTime measures one `up`, so that random moments fall into it on any machine.
func (h *host) upTime() time.Duration {
	h.t.Helper()
	began := time.Now()
	h.ok("-c", "measure", "up", "3", "--base", "auto", "-q")
	took := time.Since(began)
	h.ok("-c", "measure", "down", "-q")
	return took
}

func randomMoment(within time.Duration) <-chan time.Time {
	return time.After(time.Duration(rand.Int64N(int64(within))))
}

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
	h := newHost(t) // on ports that nobody else takes while no keeper holds them: --base auto moves by tens
	took := h.upTime()
	for i := range crashes {
		up := h.cmd("-c", "k", "up", "3", "--base", "5", "-q")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = up.Wait()
		}
		<-randomMoment(took)
		if pid := h.keeper("k"); pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = up.Wait()
		h.truth("k")
		st, was := h.status("k")
		if i%4 == 0 { // and it comes back
			if was && st.State != "lost" {
				t.Errorf("after its keeper was killed the cluster is %s, want lost", st.State)
			}
			h.ok("-c", "k", "up", "3", "--base", "5", "-q")
			if st, _ = h.status("k"); st.State != "running" {
				t.Errorf("after up: %s, want running", st.State)
			}
		}
		h.downClean("k", st)
	}
}

// keeper is the pid of a cluster's keeper, as far as it has said so.
func (h *host) keeper(cluster string) int {
	var id struct{ PID int }
	b, err := os.ReadFile(filepath.Join(h.home, cluster, "keeper.json"))
	if err != nil || json.Unmarshal(b, &id) != nil {
		return 0
	}
	return id.PID
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
		h.truth("k")
		if now, _ := h.status("k"); now.State != "degraded" {
			t.Errorf("with a killed node the cluster is %s, want degraded", now.State)
		}
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

func TestForeground(t *testing.T) {
	h := newHost(t)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		up := h.cmd("-c", "f", "up", "2", "--base", "auto", "--foreground")
		out := &watcher{want: "ready", seen: make(chan struct{})}
		up.Stdout = out
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-out.seen:
		case <-time.After(30 * time.Second):
			t.Fatalf("no log line of a node; stdout:\n%s", out)
		}
		_ = up.Process.Signal(sig)
		_ = up.Wait()
		if code := up.ProcessState.ExitCode(); sig != syscall.SIGKILL && code != 0 {
			t.Errorf("%v: exit %d, want 0", sig, code)
		}
		for range 400 { // the keeper notices by itself
			if _, ok := h.status("f"); !ok {
				break
			}
			<-time.After(10 * time.Millisecond)
		}
		h.nothingLeft()
	}
}

// watcher is an output that tells when a text was seen.
type watcher struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	want string
	seen chan struct{}
	done bool
}

func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(b)
	if !w.done && strings.Contains(w.buf.String(), w.want) {
		w.done = true
		close(w.seen)
	}
	return len(b), nil
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
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

// gone waits until no cluster is left, as the owner's end promises.
func (h *host) gone(within time.Duration) {
	h.t.Helper()
	deadline := time.Now().Add(within + 8*time.Second) // machines are shared: the promise is for a quiet one
	for {
		out := h.ok("ls", "--json")
		if strings.TrimSpace(out) == "[]" {
			return
		}
		if time.Now().After(deadline) {
			h.t.Errorf("long after its owner's end there is still: %s", out)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}
