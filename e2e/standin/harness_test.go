package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 20 * time.Second // how long a test waits for what must come

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "standin")
	if err == nil {
		build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "standin"), ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stdout, build.Stderr = os.Stdout, os.Stderr
		err = build.Run()
	}
	if err == nil {
		err = os.Setenv("STANDIN_TEST_PROGRAM", filepath.Join(dir, "standin"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// node is one release directory with ports of its own.
type node struct {
	t     *testing.T
	dir   string
	name  nodeName
	ports map[string]int // by listener; dist and rpc too
	env   []string
}

// listenersOf are the variables of a version's listeners.
func listenersOf(version string) map[string]string {
	if version == "4.4" {
		return map[string]string{
			"tcp": "EMQX_LISTENER__TCP__EXTERNAL", "internal": "EMQX_LISTENER__TCP__INTERNAL", "ssl": "EMQX_LISTENER__SSL__EXTERNAL",
			"ws": "EMQX_LISTENER__WS__EXTERNAL", "wss": "EMQX_LISTENER__WSS__EXTERNAL",
			"management": "EMQX_MANAGEMENT__LISTENER__HTTP", "dashboard": "EMQX_DASHBOARD__LISTENER__HTTP",
		}
	}
	return map[string]string{
		"tcp": "EMQX_LISTENERS__TCP__DEFAULT__BIND", "ssl": "EMQX_LISTENERS__SSL__DEFAULT__BIND",
		"ws": "EMQX_LISTENERS__WS__DEFAULT__BIND", "wss": "EMQX_LISTENERS__WSS__DEFAULT__BIND",
		"dashboard": "EMQX_DASHBOARD__LISTENERS__HTTP__BIND",
	}
}

// newNodes lays out count nodes; nothing of them outlives the test.
func newNodes(t *testing.T, version string, count int) []*node {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killAll(t, base) })
	var held []io.Closer
	defer func() {
		for _, socket := range held {
			socket.Close()
		}
	}()
	hold := func(addr string) (int, bool) {
		socket, err := net.Listen("tcp4", addr)
		if err != nil {
			return 0, false
		}
		held = append(held, socket)
		return socket.Addr().(*net.TCPAddr).Port, true
	}
	var nodes []*node
	for len(nodes) < count {
		number := 5000 + rand.IntN(22000) // ports below those of outgoing connections
		dist, free := hold(fmt.Sprintf("0.0.0.0:%d", distBase+number))
		rpc, also := hold(fmt.Sprintf("0.0.0.0:%d", rpcBase+number))
		if !free || !also {
			continue
		}
		n := &node{
			t: t, dir: filepath.Join(base, fmt.Sprintf("node%c", 'a'+len(nodes)), "emqx"),
			name: nodeName(fmt.Sprintf("emqx%d@127.0.0.1", number)), ports: map[string]int{"dist": dist, "rpc": rpc},
		}
		n.set("STANDIN_SPEED", "20")
		n.set("EMQX_NODE__NAME", string(n.name))
		for label, variable := range listenersOf(version) {
			port, _ := hold("127.0.0.1:0")
			n.ports[label] = port
			n.set(variable, fmt.Sprintf("127.0.0.1:%d", port))
		}
		n.layOut(version)
		nodes = append(nodes, n)
	}
	return nodes
}

func (n *node) layOut(version string) {
	n.t.Helper()
	out, err := exec.Command(os.Getenv("STANDIN_TEST_PROGRAM"), "release", version, n.dir).CombinedOutput()
	if err != nil {
		n.t.Fatalf("release: %v\n%s", err, out)
	}
}

func (n *node) set(name, value string) { n.env = append(n.env, name+"="+value) }

func (n *node) unset(name string) {
	var kept []string
	for _, item := range n.env {
		if !strings.HasPrefix(item, name+"=") {
			kept = append(kept, item)
		}
	}
	n.env = kept
}

// result is what a command of the release printed and how it ended.
type result struct {
	out, err string
	code     int
}

// run runs bin/TOOL to its end.
func (n *node) run(tool string, args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(n.dir, "bin", tool), args...)
	cmd.Env = append(os.Environ(), n.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		n.t.Fatalf("%s %v: %v", tool, args, err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ctl is emqx_ctl in 4.4 and `emqx ctl` in 5.0.
func (n *node) ctl(args ...string) result {
	n.t.Helper()
	if _, old := n.ports["management"]; old {
		return n.run("emqx_ctl", args...)
	}
	return n.run("emqx", append([]string{"ctl"}, args...)...)
}

// running is a node in the foreground.
type running struct {
	*node
	cmd    *exec.Cmd
	mu     sync.Mutex
	output bytes.Buffer
	ended  chan struct{}
}

func (r *running) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.output.Len() < 1<<20 {
		r.output.Write(text)
	}
	return len(text), nil
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// foreground starts a node and returns at once.
func (n *node) foreground() *running {
	n.t.Helper()
	r := &running{node: n, cmd: exec.Command(filepath.Join(n.dir, "bin", "emqx"), "foreground"), ended: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), n.env...)
	r.cmd.Stdout, r.cmd.Stderr = r, r
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait()
	}()
	n.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// up is foreground, and waits until the node serves.
func (n *node) up() *running {
	n.t.Helper()
	r := n.foreground()
	r.waitFor("is running now!")
	return r
}

func (r *running) waitFor(text string) {
	r.t.Helper()
	eventually(r.t, "output "+text, func() bool { return strings.Contains(r.text(), text) }, r.text)
}

// exit waits for the end of the process.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("node %s does not end:\n%s", r.name, r.text())
	}
	return r.cmd.ProcessState.ExitCode()
}

func (r *running) term() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	return r.exit()
}

// count asks a node how many members it sees running, as a probe would.
func (n *node) count() int {
	n.t.Helper()
	if port, old := n.ports["management"]; old {
		_, body := n.get(port, "/api/v4/nodes", "admin:public")
		return strings.Count(body, `"node_status":"Running"`)
	}
	_, body := n.get(n.ports["dashboard"], "/api/v5/prometheus/stats", "")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "emqx_cluster_nodes_running "); ok {
			count, _ := strconv.Atoi(value)
			return count
		}
	}
	return 0
}

// get is one HTTP request; the status is 0 when nobody answers.
func (n *node) get(port int, path, user string) (int, string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if id, secret, ok := strings.Cut(user, ":"); ok {
		r.SetBasicAuth(id, secret)
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, ""
	}
	return answer.StatusCode, string(body)
}

// occupy holds a port as a stranger would.
func occupy(t *testing.T, port int) {
	t.Helper()
	socket, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
}

func isOpen(port int) bool {
	conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// eventually waits until cond holds; state says what is the case when it never does.
func eventually(t *testing.T, what string, cond func() bool, state func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !until(ctx, cond) {
		t.Fatalf("waited for %s in vain: %s", what, state())
	}
}

func nothing() string { return "" }

// family lists the processes that belong to a directory, by pid.
func family(t *testing.T, dir string) map[int]string {
	t.Helper()
	lines, err := commandLines()
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for pid, args := range lines {
		program := args[0]
		if len(args) > 1 && args[1] == vmMark {
			program = after(args, "-root") + "/vm"
		}
		if strings.HasPrefix(program, dir+"/") {
			found[pid] = filepath.Base(program)
		}
	}
	return found
}

// killAll ends every process of a test's directory.
func killAll(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "no process in "+dir, func() bool {
		all := family(t, dir)
		for pid := range all {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(all) == 0
	}, func() string { return fmt.Sprint(family(t, dir)) })
}
