package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

func eachVersion(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range []string{"4.4", "5.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// TestShippedDefaults reads the real configuration files: these are the ports that they, or the schema, declare.
func TestShippedDefaults(t *testing.T) {
	want := map[string]string{
		"4.4": "mqtt:ssl:external 0.0.0.0:8883, mqtt:tcp:external 0.0.0.0:1883, mqtt:tcp:internal 127.0.0.1:11883, " +
			"mqtt:ws:external 0.0.0.0:8083, mqtt:wss:external 0.0.0.0:8084, http:management 0.0.0.0:8081, http:dashboard 0.0.0.0:18083",
		"5.0": "tcp:default 0.0.0.0:1883, ssl:default 0.0.0.0:8883, ws:default 0.0.0.0:8083, wss:default 0.0.0.0:8084, http:dashboard 0.0.0.0:18083",
	}
	eachVersion(t, func(t *testing.T, version string) {
		n := newNodes(t, version, 1)[0]
		r, err := openRelease(n.dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.load(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range append(s.mqtt, s.web...) {
			got = append(got, l.label+" "+l.addr)
		}
		if text := strings.Join(got, ", "); text != want[version] {
			t.Errorf("listeners:\ngot  %s\nwant %s", text, want[version])
		}
		if s.name != defaultName || s.cookie != defaultCookie {
			t.Errorf("got %s, %s", s.name, s.cookie)
		}
	})
}

// TestTree: what tree.txt shows of the real release is there, but for programs that nobody here runs.
func TestTree(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		n := newNodes(t, version, 1)[0]
		tree, err := fs.ReadFile(files, "release/"+version+"/tree.txt")
		if err != nil {
			t.Fatal(err)
		}
		left := []string{"cuttlefish", "rescue", "escript", "node_dump", "nodetool", "libcrypto"}
	lines:
		for line := range strings.Lines(string(tree)) {
			for _, part := range left {
				if strings.Contains(line, part) {
					continue lines
				}
			}
			if _, err := os.Stat(filepath.Join(n.dir, strings.TrimSpace(line))); err != nil {
				t.Error(err)
			}
		}
	})
}

func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x", sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDaemon is a life by `start` and `stop`: texts, exit codes, processes and files.
func TestDaemon(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		n := newNodes(t, version, 1)[0]
		before := hashes(t, n.dir)
		if got := n.run("emqx", "ping"); got.code != 1 || !strings.Contains(got.err, fmt.Sprintf("Node '%s' not responding to pings.", n.name)) {
			t.Errorf("ping of a node that is down: %+v", got)
		}
		if got := n.run("emqx", "start"); got.code != 0 || !strings.Contains(got.out, "started successfully!") {
			t.Fatalf("start: %+v", got)
		}
		for label, port := range n.ports {
			if !isOpen(port) {
				t.Errorf("%s port %d is not open", label, port)
			}
		}
		names := func() string { return fmt.Sprint(family(t, n.dir)) }
		for _, want := range []string{"vm", "run_erl", "erl_child_setup", "memsup", "cpu_sup", "inet_gethost"} {
			eventually(t, "process "+want, func() bool { return strings.Contains(names(), ":"+want) }, names)
		}
		checkDaemonFiles(t, n, before)
		if got := n.run("emqx", "start"); got.code != 1 || !strings.Contains(strings.ToLower(got.out+got.err), "already") {
			t.Errorf("second start: %+v", got)
		}
		if got := n.run("emqx", "ping"); got.code != 0 || got.out != "pong\n" {
			t.Errorf("ping: %+v", got)
		}
		if got := n.ctl("status"); got.code != 0 || !strings.Contains(got.out, "is started") {
			t.Errorf("status: %+v", got)
		}
		if got := n.run("emqx", "stop"); got.code != 0 || got.out != "ok\n" {
			t.Errorf("stop: %+v", got)
		}
		eventually(t, "no process", func() bool { return len(family(t, n.dir)) == 0 }, nothing)
		if got := n.ctl("cluster", "status"); got.code != 1 || got.out != "" || !strings.Contains(got.err, "not responding to pings.") {
			t.Errorf("ctl of a stopped node: %+v", got)
		}
	})
}

// checkDaemonFiles: a start changes no file that was there, and adds these.
func checkDaemonFiles(t *testing.T, n *node, before map[string]string) {
	t.Helper()
	now := hashes(t, n.dir)
	for path, hash := range before {
		if now[path] != hash {
			t.Errorf("%s has changed", path)
		}
	}
	for _, pattern := range []string{
		"data/configs/app.*.config", "data/configs/vm.*.args", "data/mnesia/" + string(n.name) + "/schema.DAT",
		"log/erlang.log.1", "log/emqx.log.1", "data/*_erl_pipes/" + string(n.name) + "/erlang.pipe.1.r",
	} {
		found, err := filepath.Glob(filepath.Join(n.dir, pattern))
		if err != nil || len(found) != 1 {
			t.Errorf("files %s: %v %v", pattern, found, err)
			continue
		}
		if info, err := os.Stat(found[0]); err != nil || strings.Contains(pattern, "pipes") != (info.Mode().Type() == fs.ModeNamedPipe) {
			t.Errorf("file %s: %v", found[0], err)
		}
	}
}

// TestForeground: the process that was started is the node, it is called after it, and TERM ends it cleanly.
func TestForeground(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		n := newNodes(t, version, 1)[0]
		r := n.up()
		lines, err := commandLines()
		if err != nil {
			t.Fatal(err)
		}
		if args := lines[r.cmd.Process.Pid]; args[0] != n.name.short() {
			t.Errorf("the process is called %q, want %q", args[0], n.name.short())
		}
		for _, label := range []string{"tcp", "ssl", "ws", "wss"} {
			if answer, err := n.connect(label); err != nil || !bytes.Equal(answer, []byte{0x20, 2, 0, 0}) {
				t.Errorf("connect to %s: % x, %v", label, answer, err)
			}
		}
		status := n.ports["dashboard"]
		if port, old := n.ports["management"]; old {
			status = port
			if code, _ := n.get(port, "/api/v4/nodes", "admin:wrong"); code != http.StatusUnauthorized {
				t.Errorf("nodes with a wrong password: %d", code)
			}
		} else if code, _ := n.get(status, "/api/v5/nodes", ""); code != http.StatusUnauthorized {
			t.Errorf("nodes without a login: %d", code)
		}
		if code, text := n.get(status, "/status", ""); code != http.StatusOK || !strings.Contains(text, "emqx is running") {
			t.Errorf("status: %d %s", code, text)
		}
		if got := n.count(); got != 1 {
			t.Errorf("nodes running: %d", got)
		}
		if code := r.term(); code != 0 {
			t.Errorf("exit code after TERM: %d", code)
		}
		for label, port := range n.ports {
			if isOpen(port) {
				t.Errorf("%s port %d is still open", label, port)
			}
		}
		eventually(t, "no helper", func() bool { return len(family(t, n.dir)) == 0 }, nothing)
	})
}

// connect sends an MQTT 3.1.1 CONNECT through a listener and returns the answer.
func (n *node) connect(label string) ([]byte, error) {
	var conn net.Conn
	var err error
	addr := fmt.Sprintf("127.0.0.1:%d", n.ports[label])
	trusting := &tls.Config{InsecureSkipVerify: true}
	switch label {
	case "tcp":
		conn, err = net.Dial("tcp4", addr)
	case "ssl":
		conn, err = tls.Dial("tcp4", addr, trusting)
	default:
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}}
		defer client.CloseIdleConnections()
		var socket *websocket.Conn
		socket, _, err = websocket.Dial(n.t.Context(), label+"://"+addr+"/mqtt", &websocket.DialOptions{
			HTTPClient: client, Subprotocols: []string{"mqtt"},
		})
		if err == nil {
			conn = websocket.NetConn(n.t.Context(), socket, websocket.MessageBinary)
		}
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")); err != nil {
		return nil, err
	}
	answer := make([]byte, 4)
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

// TestKilledNode: the helpers of a node that was killed end by themselves, and it can be started again.
func TestKilledNode(t *testing.T) {
	n := newNodes(t, "5.0", 1)[0]
	r := n.up()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.exit()
	eventually(t, "no helper", func() bool { return len(family(t, n.dir)) == 0 }, nothing)
	if code := n.up().term(); code != 0 {
		t.Errorf("exit code: %d", code)
	}
}

func TestCheckConf(t *testing.T) {
	tests := []struct {
		version, file, add string
		code               int
		says               string
	}{
		{"4.4", "emqx.conf", "", 0, "ok"},
		{"4.4", "emqx.conf", "node.nmae = x@127.0.0.1\n", 1, "node.nmae"},
		{"4.4", "emqx.conf", "listener.tcp.second = 127.0.0.1:2883\n", 0, "ok"},
		{"4.4", "emqx.conf", "listener.tcp.external = nowhere\n", 1, "nowhere"},
		{"4.4", "emqx.conf", "what is this\n", 1, "what is this"},
		{"4.4", "plugins/emqx_management.conf", "what is this\n", 0, "ok"},
		{"5.0", "emqx.conf", "", 0, "ok"},
		{"5.0", "emqx.conf", "listeners {\n", 1, "not closed"},
	}
	for _, test := range tests {
		t.Run(test.version+" "+test.add, func(t *testing.T) {
			n := newNodes(t, test.version, 1)[0]
			n.appendTo("etc/"+test.file, test.add)
			if got := n.run("emqx", "check_conf"); got.code != test.code || !strings.Contains(got.out, test.says) {
				t.Errorf("got %+v, want code %d and %q", got, test.code, test.says)
			}
		})
	}
}

func (n *node) appendTo(file, text string) {
	n.t.Helper()
	f, err := os.OpenFile(filepath.Join(n.dir, file), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestSession: a daemon is in a session of its own, a foreground node in its starter's.
func TestSession(t *testing.T) {
	nodes := newNodes(t, "4.4", 2)
	nodes[0].run("emqx", "start")
	nodes[1].up()
	own, err := syscall.Getpgid(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		for pid, name := range family(t, nodes[i].dir) {
			if name != "vm" {
				continue
			}
			if group, err := syscall.Getpgid(pid); err != nil || (group == own) != want {
				t.Errorf("node %d is in group %d, this test in %d (%v)", i, group, own, err)
			}
		}
	}
}
