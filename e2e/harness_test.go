package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// host is one ONEMORE_HOME. Its methods fail the test when what they ask for is not so.
type host struct {
	t    *testing.T
	home string
	env  []string // of its commands, besides this process's
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
	c.Env = append(c.Env, h.env...)
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

// keeper is the pid of a cluster's keeper, as far as it has said so.
func (h *host) keeper(cluster string) int {
	var id struct{ PID int }
	b, err := os.ReadFile(filepath.Join(h.home, cluster, "keeper.json"))
	if err != nil || json.Unmarshal(b, &id) != nil {
		return 0
	}
	return id.PID
}

// killKeeper kills a cluster's keeper and returns when it is gone.
func (h *host) killKeeper(cluster string) {
	h.t.Helper()
	pid := h.keeper(cluster)
	if pid <= 1 {
		h.t.Fatalf("cluster %s has no keeper", cluster)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.dead(pid)
}

// dead waits for the end of a process that was killed: a signal takes its time.
func (h *host) dead(pid int) {
	h.t.Helper()
	h.until(fmt.Sprintf("pid %d is gone", pid), func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}

// until waits for a condition, and fails the test when it does not come.
func (h *host) until(what string, cond func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// started waits until every node of a cluster has a process.
func (h *host) started(cluster string, nodes int) {
	h.t.Helper()
	for i := 1; i <= nodes; i++ {
		h.until(fmt.Sprintf("node %d of %s has a process", i, cluster), func() bool {
			_, err := os.Stat(filepath.Join(h.home, cluster, fmt.Sprint(i), "process.json"))
			return err == nil
		})
	}
}

// gone waits until no cluster is left, as the owner's end promises.
func (h *host) gone(within time.Duration) {
	h.t.Helper()
	deadline := time.Now().Add(within + time.Minute) // machines are shared: the promise is for a quiet one
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

// basesGiven counts those of ownBase.
var basesGiven atomic.Int64

// ownBase is a --base for ports that nobody else takes, also while no keeper holds them: no other test has it, and --base auto moves by
// tens. What another run of these tests gets at the same time is most likely another one.
func ownBase() string {
	const most = 70
	return fmt.Sprint(5 + 10*(int64(os.Getpid()%4*most)+basesGiven.Add(1)%most))
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

// takeDown ends what a script that failed left running: its keepers' nodes die with them.
func takeDown(home string) {
	files, _ := filepath.Glob(filepath.Join(home, "*", "keeper.json"))
	for _, f := range files {
		endKeeper(f)
	}
}

// watcher is an output that reports when a text was seen.
type watcher struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	want string
	seen chan struct{}
	done bool
}

// watch returns an output that reports when it has a text.
func watch(want string) *watcher { return &watcher{want: want, seen: make(chan struct{})} }

// wait fails the test when the text does not come.
func (w *watcher) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.seen:
	case <-time.After(2 * time.Minute):
		t.Fatalf("no %q in the output:\n%s", w.want, w)
	}
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

// changed is a template with one text of it replaced.
func changed(t *testing.T, name, from, to string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repo, "templates", name))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "template.toml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), from) != 1 {
		t.Fatalf("template %s has %q %d times, want once", name, from, strings.Count(string(b), from))
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// slowTemplate is the built-in node, which starts when a file appears.
func slowTemplate(t *testing.T) (dir, gate string) {
	t.Helper()
	gate = filepath.Join(t.TempDir(), "go")
	return changed(t, "onemore", `command = ["{{.Onemore}}", "node", "run", "--dir", "{{.Dir}}"]`,
		fmt.Sprintf(`command = ["sh", "-c", "until [ -e %s ]; do sleep 0.01; done; exec \"$0\" \"$@\"", "{{.Onemore}}", "node", "run", "--dir", "{{.Dir}}"]`, gate)), gate
}

// heavySource copies the files of the built-in node as a source directory, with a file of a size beside them.
func heavySource(t *testing.T, size int) string {
	t.Helper()
	src := t.TempDir()
	if err := os.CopyFS(src, os.DirFS(filepath.Join(repo, "templates", "onemore", "files"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "ballast"), make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	return src
}

// need skips a test without whose server it can't be; with ONEMORE_REQUIRE_SERVERS it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("ONEMORE_REQUIRE_SERVERS") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}
