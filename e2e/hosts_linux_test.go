package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lab is a few hosts, each a network namespace with an address and a name of its own, on one network.
type lab struct {
	t   *testing.T
	id  string
	net string // first three bytes of all addresses
}

// machine is one of them with a node on it.
type machine struct {
	lab  *lab
	num  int
	dir  string
	node *exec.Cmd
}

func (l *lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (l *lab) namespace(name string) string { return "om" + l.id + name }

// newLab makes the network, which is a namespace too, so that nothing of it is on this host.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, id: fmt.Sprint(os.Getpid()), net: fmt.Sprintf("10.213.%d.", os.Getpid()%256)}
	l.add("hub")
	l.ip("-n", l.namespace("hub"), "link", "add", "name", "br0", "type", "bridge")
	l.ip("-n", l.namespace("hub"), "link", "set", "br0", "up")
	return l
}

func (l *lab) add(name string) {
	l.t.Helper()
	ns := l.namespace(name)
	l.ip("netns", "add", ns)
	l.t.Cleanup(func() { l.ip("netns", "del", ns) })
	l.ip("-n", ns, "link", "set", "lo", "up")
}

// machine adds a host, which knows all by their names and the common one.
func (l *lab) machine(num, of int) *machine {
	l.t.Helper()
	name := fmt.Sprint(num)
	l.add(name)
	ns, hub, port := l.namespace(name), l.namespace("hub"), "p"+name
	l.ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns)
	l.ip("-n", hub, "link", "set", port, "master", "br0", "up")
	l.ip("-n", ns, "addr", "add", l.net+name+"/24", "dev", "eth0")
	l.ip("-n", ns, "link", "set", "eth0", "up")
	hosts := "127.0.0.1 localhost\n"
	for i := range of {
		hosts += fmt.Sprintf("%s%d n%d.lab.test nodes.lab.test\n", l.net, i+1, i+1)
	}
	etc := filepath.Join("/etc/netns", ns) // ip netns exec shows it as /etc
	if err := os.MkdirAll(etc, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { os.RemoveAll(etc) })
	if err := os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return &machine{lab: l, num: num, dir: l.t.TempDir()}
}

// command is a command on the machine.
func (m *machine) command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", m.lab.namespace(fmt.Sprint(m.num))}, args...)...)
}

// start runs a node by its full name, bound to every address, that looks for others by the name that all have.
func (m *machine) start() {
	t := m.lab.t
	t.Helper()
	config := fmt.Sprintf(`[node]
name = "n%d@n%d.lab.test"
[cluster]
bind = "0.0.0.0:7946"
secret = "of the lab"
seeds = ["@nodes.lab.test"]
tls = true
[listeners.forward]
bind = "0.0.0.0:7947"
[listeners.mqtt]
bind = "0.0.0.0:1883"
`, m.num, m.num)
	if err := os.MkdirAll(filepath.Join(m.dir, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "etc", "node.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	m.node = m.command("onemore", "node", "run", "--dir", m.dir)
	m.node.Stdout, m.node.Stderr = t.Output(), t.Output()
	if err := m.node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.stop)
}

func (m *machine) stop() {
	if m.node.ProcessState != nil {
		return
	}
	if err := m.node.Process.Signal(syscall.SIGTERM); err != nil {
		m.lab.t.Error(err)
	}
	if err := m.node.Wait(); err != nil {
		m.lab.t.Errorf("node %d: %v", m.num, err)
	}
}

// sees waits until the node takes so many nodes for running.
func (m *machine) sees(running ...int) {
	t := m.lab.t
	t.Helper()
	var want []string
	for _, i := range running {
		want = append(want, fmt.Sprintf("n%d@n%d.lab.test", i, i))
	}
	m.lab.eventually(fmt.Sprintf("node %d sees %v", m.num, want), func() bool {
		out, err := exec.Command("onemore", "ctl", "--dir", m.dir, "--json", "cluster", "status").Output()
		var st struct {
			Running []string `json:"running_nodes"`
		}
		return err == nil && json.Unmarshal(out, &st) == nil && slices.Equal(st.Running, want)
	})
}

func (l *lab) eventually(what string, cond func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("never happened: %s", what)
		}
	}
}

// retain publishes a retained message at the machine's own node.
func (m *machine) retain(topic, payload string) {
	m.lab.t.Helper()
	if out, err := m.command("mosquitto_pub", "-h", "127.0.0.1", "-q", "1", "-r", "-t", topic, "-m", payload).CombinedOutput(); err != nil {
		m.lab.t.Fatalf("publish at node %d: %v\n%s", m.num, err, out)
	}
}

// has waits until the machine's own node has a retained message, asked for by its full name.
func (m *machine) has(topic, payload string) {
	m.lab.t.Helper()
	host := fmt.Sprintf("n%d.lab.test", m.num)
	m.lab.eventually(fmt.Sprintf("node %d has %s", m.num, payload), func() bool {
		out, err := m.command("mosquitto_sub", "-h", host, "-q", "1", "-t", topic, "-C", "1", "-W", "2").Output()
		return err == nil && strings.TrimSpace(string(out)) == payload
	})
}

// Nodes on hosts of their own, with names and addresses of their own, find each other by DNS, lose each other when a cable is
// pulled, and agree again when it is back.
func TestRealHosts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	need(t, "ip", "mosquitto_pub", "mosquitto_sub")
	l := newLab(t)
	var all []*machine
	for i := range 3 {
		all = append(all, l.machine(i+1, 3))
	}
	for _, m := range slices.Backward(all) { // whoever is first
		m.start()
	}
	for _, m := range all {
		m.sees(1, 2, 3)
	}
	all[0].retain("t", "before")
	all[2].has("t", "before")
	cable := func(state string) { l.ip("-n", l.namespace("hub"), "link", "set", "p3", state) }
	cable("down")
	all[0].sees(1, 2)
	all[2].sees(3)
	all[0].retain("t", "meanwhile")
	all[1].has("t", "meanwhile")
	all[2].has("t", "before")
	cable("up")
	for _, m := range all {
		m.sees(1, 2, 3)
		m.has("t", "meanwhile")
	}
}
