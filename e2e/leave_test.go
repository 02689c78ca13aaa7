package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// refusal is a member that does not say who the members are.
type refusal struct {
	name   string
	server server
	nodes  int
	// refuse makes a node refuse, and returns what makes it answer again.
	refuse func(c *contact, at nodeStatus) (undo func())
	at     []int    // the nodes that refuse
	want   []string // regexps, in the error
	off    bool     // the node that is to leave is stopped
}

// TestLeaveUnanswered: a node is not removed while nobody says that it has left, or was no member. It stays one, with all it has.
func TestLeaveUnanswered(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some thirty servers")
	}
	for _, r := range []refusal{
		{name: "etcd stands still", server: etcd(), nodes: 3, refuse: standStill, at: []int{1, 3}},
		{name: "etcd stands still, node off", server: etcd(), nodes: 3, refuse: standStill, at: []int{1, 3}, off: true},
		{name: "etcd wants a login", server: etcd(), nodes: 3, refuse: etcdLogin, at: []int{1}, want: []string{"etcdserver: user name is empty"}},
		{name: "redis stands still", server: redis(), nodes: 4, refuse: standStill, at: []int{1, 3, 4}},
		{name: "redis does not listen", server: redis(), nodes: 4, refuse: redisPort, at: []int{1, 3, 4}, want: []string{"Connection refused"}},
		{name: "redis wants a login", server: redis(), nodes: 4, refuse: redisLogin, at: []int{1, 3, 4}, want: []string{"NOAUTH"}},
		{name: "redis wants a login, node off", server: redis(), nodes: 4, refuse: redisLogin, at: []int{1, 3, 4}, want: []string{"NOAUTH"}, off: true},
		{name: "redis that leaves wants a login", server: redis(), nodes: 4, refuse: redisLogin, at: []int{2}, want: []string{"NOAUTH"}},
		{name: "rabbitmq stands still", server: rabbitmq(), nodes: 2, refuse: standStill, at: []int{1}},
		{name: "rabbitmq stands still, node off", server: rabbitmq(), nodes: 2, refuse: standStill, at: []int{1}, off: true},
		{name: "jetstream stands still", server: jetStream(), nodes: 4, refuse: standStill, at: []int{1, 3, 4}},
		{name: "jetstream stands still, node off", server: jetStream(), nodes: 4, refuse: standStill, at: []int{1, 3, 4}, off: true},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			need(t, r.server.programs...)
			testUnanswered(t, r)
		})
	}
}

func testUnanswered(t *testing.T, r refusal) {
	h := newHost(t)
	c := &contact{h, r.server, "u"}
	h.ok(append([]string{"-c", "u", "up", fmt.Sprint(r.nodes), "--base", "auto", "--timeout", patience.String()}, r.server.args...)...)
	c.full(r.nodes)
	c.lists(1, 2, true)
	value := c.carries(1, 2)
	if r.off {
		c.change("stop", "2")
	}
	var undo []func()
	for _, i := range r.at {
		undo = append(undo, r.refuse(c, c.node(i)))
	}
	_, errs, code := h.run("-c", "u", "remove", "2", "--timeout", "10s")
	for _, f := range undo {
		f()
	}
	for _, want := range append(r.want, "error: node .*2.*, leave: ") {
		if code != 1 || !regexp.MustCompile(want).MatchString(errs) {
			t.Errorf("remove: exit %d, want 1 and %q:\n%s", code, want, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(h.home, "u", "2", "start")); err != nil {
		t.Errorf("the node's folder: %v", err)
	}
	if r.off {
		c.change("start", "2")
	}
	h.until("all serve again", func() bool { st, _ := h.status("u"); return st.State == "running" })
	c.full(r.nodes)
	c.lists(1, 2, true)
	c.keeps(2, value)
	gone := c.node(2)
	c.change("remove", "2")
	c.forgets(1, gone)
	c.keeps(1, value)
	h.downClean("u", c.full(r.nodes-1))
}

// standStill stops a node's process without the keeper's knowledge.
func standStill(c *contact, at nodeStatus) (undo func()) {
	signal := func(sig syscall.Signal) {
		for _, pid := range append(descendants(at.PID), at.PID) {
			if err := syscall.Kill(pid, sig); err != nil {
				c.t.Error(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }
}

// descendants are the processes that a process has started, and those that they have.
func descendants(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(b)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

// must runs a server's client, which must not fail.
func (c *contact) must(args ...string) {
	c.t.Helper()
	if out, err := c.client(args...); err != nil || strings.Contains(out, "ERR") {
		c.t.Errorf("%v: %v %s", args, err, out)
	}
}

func redisLogin(c *contact, at nodeStatus) (undo func()) {
	host, port := c.at(at)
	c.must("redis-cli", "-h", host, "-p", port, "config", "set", "requirepass", "secret")
	return func() {
		c.must("redis-cli", "-h", host, "-p", port, "--no-auth-warning", "-a", "secret", "config", "set", "requirepass", "")
	}
}

// redisPort makes a server deaf, but to the connection by which it is told to listen again.
func redisPort(c *contact, at nodeStatus) (undo func()) {
	conn, err := net.Dial("tcp", at.Listeners[c.port])
	if err != nil {
		c.t.Fatal(err)
	}
	_, port := c.at(at)
	set := func(port string) {
		answer := make([]byte, 64)
		_, err := fmt.Fprintf(conn, "CONFIG SET port %s\r\n", port)
		if n, readErr := conn.Read(answer); err != nil || readErr != nil || string(answer[:n]) != "+OK\r\n" {
			c.t.Errorf("set port %s: %v %v %s", port, err, readErr, answer[:n])
		}
	}
	set("0")
	return func() { set(port); conn.Close() }
}

func etcdLogin(c *contact, at nodeStatus) (undo func()) {
	endpoint := "--endpoints=" + at.Listeners["client"]
	c.must("etcdctl", endpoint, "user", "add", "root:secret")
	c.must("etcdctl", endpoint, "user", "grant-role", "root", "root")
	c.must("etcdctl", endpoint, "auth", "enable")
	return func() { c.must("etcdctl", endpoint, "--user=root:secret", "auth", "disable") }
}
