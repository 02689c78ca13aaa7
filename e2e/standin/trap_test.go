package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// copyOf is what `cp -a` makes of a node's directory.
func (n *node) copyOf(name string) *node {
	n.t.Helper()
	dir := filepath.Join(filepath.Dir(filepath.Dir(n.dir)), name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", n.dir, dir).CombinedOutput(); err != nil {
		n.t.Fatalf("copy: %v\n%s", err, out)
	}
	return &node{t: n.t, dir: dir, name: n.name, ports: n.ports, env: append([]string(nil), n.env...)}
}

func TestBadNames(t *testing.T) {
	tests := []struct {
		version, name string
		code          int
		says          string
		left          string // what is left behind
	}{
		{"4.4", "emqx3", 1, "failed to start", "epmd"},
		{"4.4", "emqx%d@localhost", 1, "failed to start", "vm"},
		{"4.4", "emqx%d@203.0.113.1", 1, "failed to start", "vm"},
		{"4.4", "em qx@127.0.0.1", 1, "ERROR: Invalid node name, should be of format '^[0-9A-Za-z_-]+$'.", ""},
		{"5.0", "emqx3", 1, "ERROR: Invalid node name, should be of format '^[0-9A-Za-z_-]+$'.", ""},
		{"5.0", "em.qx@127.0.0.1", 1, "ERROR: Invalid node name, should be of format '^[0-9A-Za-z_-]+$'.", ""},
		{"5.0", "emqx%d@localhost", 2, "failed to start", "vm"},
	}
	for _, test := range tests {
		t.Run(test.version+" "+test.name, func(t *testing.T) {
			n := newNodes(t, test.version, 1)[0]
			name := test.name
			if strings.Contains(name, "%d") {
				name = fmt.Sprintf(name, n.ports["dist"]-distBase)
			}
			n.set("EMQX_NODE__NAME", name)
			n.set("ERL_EPMD_PORT", fmt.Sprint(n.ports["rpc"]))
			got := n.run("emqx", "start")
			if got.code != test.code || !strings.Contains(got.out+got.err, test.says) {
				t.Errorf("start: %+v", got)
			}
			left := func() string { return fmt.Sprint(family(t, n.dir)) }
			if test.left == "" {
				if names := left(); names != "map[]" {
					t.Errorf("left behind: %s", names)
				}
				return
			}
			eventually(t, "a leftover "+test.left, func() bool { return strings.Contains(left(), ":"+test.left) }, left)
			if test.left == "vm" {
				eventually(t, "the orphan's listener", func() bool { return isOpen(n.ports["tcp"]) }, left)
				return
			}
			if _, err := os.Stat(filepath.Join(n.dir, "erl_crash.dump")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTakenPorts(t *testing.T) {
	tests := []struct {
		version, label string
		code           int
	}{
		{"4.4", "tcp", 1}, {"4.4", "internal", 1}, {"4.4", "wss", 1}, {"4.4", "dist", 1}, {"4.4", "rpc", 1},
		{"4.4", "management", 0}, {"4.4", "dashboard", 0},
		{"5.0", "ssl", 1}, {"5.0", "dist", 1}, {"5.0", "rpc", 1}, {"5.0", "dashboard", 1},
	}
	for _, test := range tests {
		t.Run(test.version+" "+test.label, func(t *testing.T) {
			n := newNodes(t, test.version, 1)[0]
			occupy(t, n.ports[test.label])
			got := n.run("emqx", "start")
			if got.code != test.code || strings.Contains(got.out+got.err, "eaddrinuse") {
				t.Errorf("start: %+v", got)
			}
			log, err := os.ReadFile(filepath.Join(n.dir, "log", "erlang.log.1"))
			if err != nil || !strings.Contains(string(log), "eaddrinuse") {
				t.Errorf("the log does not say why (%v):\n%s", err, log)
			}
			if test.code == 0 {
				if port := fmt.Sprint(n.ports[test.label]); !strings.Contains(string(log), port) || !strings.Contains(got.out, "started successfully!") {
					t.Errorf("start without its %s: %+v\n%s", test.label, got, log)
				}
				return
			}
			eventually(t, "no process", func() bool { return len(family(t, n.dir)) == 0 }, nothing)
		})
	}
}

// TestPrefix: 5.0's script takes a node of /…/emqx2 for one of /…/emqx, unless it is told a name.
func TestPrefix(t *testing.T) {
	nodes := newNodes(t, "5.0", 2)
	a, b := nodes[0], nodes[1]
	long := a.copyOf("nodea/emqx2") // beside nodea/emqx
	long.name, long.ports, long.env = b.name, b.ports, b.env
	a.up()
	long.up()
	a.unset("EMQX_NODE__NAME")
	for _, args := range [][]string{{"ping"}, {"stop"}, {"ctl", "cluster", "status"}} {
		if got := a.run("emqx", args...); got.code != 1 || !strings.Contains(got.err, "ERROR: More than one EMQX node found running") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	long.unset("EMQX_NODE__NAME")
	if got := long.run("emqx", "ping"); got.code != 0 {
		t.Errorf("ping of the longer directory: %+v", got)
	}
	a.set("EMQX_NODE__NAME", string(a.name))
	if got := a.run("emqx", "stop"); got.code != 0 {
		t.Errorf("stop with a name: %+v", got)
	}
	if !isOpen(long.ports["tcp"]) {
		t.Error("the wrong node was stopped")
	}
	a.unset("EMQX_NODE__NAME")
	if got := a.run("emqx", "stop"); got.code != 0 || isOpen(long.ports["tcp"]) {
		t.Errorf("a stop in the shorter directory acts on the only node that matches: %+v", got)
	}
}

// TestCopiedData: a copy with the data of a started node acts on the original until its own first start.
func TestCopiedData(t *testing.T) {
	nodes := newNodes(t, "4.4", 2)
	a := nodes[0]
	a.run("emqx", "start")
	b := a.copyOf("copy/emqx4")
	b.unset("EMQX_NODE__NAME")
	if err := os.WriteFile(filepath.Join(b.dir, "etc", "emqx.conf"), []byte("node.name = "+string(nodes[1].name)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := b.run("emqx_ctl", "status"); got.code != 0 || !strings.Contains(got.out, string(a.name)) {
		t.Errorf("status by the copy: %+v", got)
	}
	if got := b.run("emqx", "stop"); got.code != 0 {
		t.Errorf("stop by the copy: %+v", got)
	}
	if isOpen(a.ports["tcp"]) {
		t.Error("the original still runs")
	}
}

// TestSameName: a 5.0 copy under its source's name is told to have started, and is dead.
func TestSameName(t *testing.T) {
	a := newNodes(t, "5.0", 1)[0]
	a.up()
	b := a.copyOf("copy/emqx")
	if got := b.run("emqx", "start"); got.code != 0 || !strings.Contains(got.out, "started successfully!") {
		t.Errorf("start: %+v", got)
	}
	eventually(t, "the copy's death", func() bool { return len(family(t, b.dir)) == 0 }, nothing)
	if !isOpen(a.ports["tcp"]) {
		t.Error("the source is dead too")
	}
}

func TestNeverStarted(t *testing.T) {
	n := newNodes(t, "4.4", 1)[0]
	if got := n.run("emqx_ctl", "status"); got.code != 1 || !strings.Contains(got.err, "No vm.*.args config file found") {
		t.Errorf("emqx_ctl before the first start: %+v", got)
	}
}

// TestEnvironmentIsNotKept: what was only in the environment is gone at the next start without it.
func TestEnvironmentIsNotKept(t *testing.T) {
	n := newNodes(t, "5.0", 1)[0]
	n.set("EMQX_NO__SUCH__THING", "1")
	n.up().term()
	r, err := openRelease(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.load(nil)
	if err != nil || s.mqtt[0].addr != "0.0.0.0:1883" {
		t.Errorf("got %v, %v", s.mqtt, err)
	}
}

func TestFaults(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		tests := map[string]func(t *testing.T, n *node){
			faultExit: func(t *testing.T, n *node) {
				if code := n.foreground().exit(); code != 1 {
					t.Errorf("exit code %d", code)
				}
			},
			faultNoListen: func(t *testing.T, n *node) {
				r := n.foreground()
				eventually(t, "helpers", func() bool { return strings.Contains(fmt.Sprint(family(t, n.dir)), ":memsup") }, nothing)
				for label, port := range n.ports {
					if isOpen(port) {
						t.Errorf("%s is open", label)
					}
				}
				r.term()
			},
			faultNoJoin: func(t *testing.T, n *node) {
				n.up()
				if got := n.ctl("cluster", "join", "x1@127.0.0.1"); !strings.Contains(got.out, "{node_down,") || n.count() != 1 {
					t.Errorf("join: %+v", got)
				}
			},
			faultIgnoreTerm: func(t *testing.T, n *node) {
				r := n.up()
				if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if got := n.run("emqx", "ping"); got.code != 0 {
					t.Errorf("ping after TERM: %+v", got)
				}
			},
			faultFork: func(t *testing.T, n *node) {
				if code := n.foreground().exit(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				eventually(t, "a listener", func() bool { return isOpen(n.ports["tcp"]) }, nothing)
			},
			faultChatty: func(t *testing.T, n *node) {
				r := n.foreground()
				r.waitFor("msg: chatter")
				eventually(t, "a listener", func() bool { return isOpen(n.ports["tcp"]) }, nothing)
				r.term()
			},
			faultMissing: func(t *testing.T, n *node) {
				r := n.up()
				if isOpen(n.ports["wss"]) || !isOpen(n.ports["ws"]) || !strings.Contains(r.text(), "Failed to start") {
					t.Errorf("output: %s", r.text())
				}
			},
		}
		for fault, check := range tests {
			t.Run(fault, func(t *testing.T) {
				n := newNodes(t, version, 1)[0]
				n.set("STANDIN_FAULT", "exit-at-once@another, "+fault+"@"+n.name.short())
				check(t, n)
			})
		}
	})
}

func TestUnknownFault(t *testing.T) {
	n := newNodes(t, "4.4", 1)[0]
	n.set("STANDIN_FAULT", "explode")
	if got := n.run("emqx", "foreground"); got.code != 1 || !strings.Contains(got.err, `unknown fault "explode"`) {
		t.Errorf("got %+v", got)
	}
}
