package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestEMQX(t *testing.T) {
	program, kinds := standIns(t)
	for _, e := range kinds {
		t.Run(e.version, func(t *testing.T) {
			t.Run("life", func(t *testing.T) { testEMQXLife(t, e) })
			t.Run("files", func(t *testing.T) { testEMQXFiles(t, e) })
			t.Run("retained", func(t *testing.T) { testEMQXRetained(t, e) })
			t.Run("rejoin", func(t *testing.T) { testEMQXRejoin(t, e) })
			t.Run("own time", func(t *testing.T) { testEMQXOwnTime(t, e) })
			t.Run("cut", func(t *testing.T) { testEMQXCut(t, e) })
			t.Run("command", func(t *testing.T) { testEMQXCommand(t, e) })
			t.Run("together", func(t *testing.T) { testEMQXTogether(t, e) })
			t.Run("started source", func(t *testing.T) { testEMQXStartedSource(t, e) })
			t.Run("own script", func(t *testing.T) { testEMQXOwnScript(t, e) })
			if e.version == "5.0" {
				t.Run("listeners", func(t *testing.T) { testEMQXListeners(t, program, e) })
				t.Run("addresses", func(t *testing.T) { testEMQXAddresses(t, e) })
			}
			t.Run("versions", func(t *testing.T) { testEMQXVersions(t, program, e) })
		})
	}
}

// testEMQXLife takes a cluster through everything that can be done with its nodes.
func testEMQXLife(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	before := treeHash(t, e.source)
	h.ok("up", "3", "-s", e.source, "--base", "auto", "-q")
	h.agree("default", 3)
	h.ok("add", "-q")
	h.agree("default", 4)
	h.ok("remove", "2", "-q")
	h.agree("default", 3)
	old := filepath.Join(h.dir("default", 2, e.template), "data", "mnesia")
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s is left of a removed node", old)
	}
	h.ok("up", "4", "-q") // node 2 is there again, and new
	h.agree("default", 4)
	h.ok("stop", "3", "-q")
	if running, stopped := h.clusterStatusOf("default", 1); running != 3 || stopped != 1 {
		t.Errorf("with node 3 stopped: %d running and %d stopped nodes, want 3 and 1", running, stopped)
	}
	h.ok("start", "3", "-q")
	h.agree("default", 4)
	h.ok("kill", "1", "-q")
	if st, _ := h.status("default"); st.State != "degraded" {
		t.Errorf("after a kill: %s, want degraded", st.State)
	}
	h.ok("start", "-q")
	h.agree("default", 4)
	h.ok("kill", "4", "-q")
	h.ok("remove", "4", "-q") // it can't leave by itself
	h.agree("default", 3)
	h.ok("restart", "-q")
	st := h.agree("default", 3)
	h.downClean("default", st)
	h.noneOf(h.home)
	if after := treeHash(t, e.source); after != before {
		t.Error("the source was changed")
	}
}

// testEMQXFiles compares a node's directory with its source, and its ports with what it should have.
func testEMQXFiles(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "3", "-s", e.source, "--base", "auto", "-q")
	st := h.agree("default", 3)
	h.declared("default")
	var shift struct {
		Shift       int
		Offset      int
		NumberShift int `json:"number_shift"`
	}
	text, err := os.ReadFile(filepath.Join(h.home, "default", "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &struct{ Plan any }{&shift}); err != nil {
		t.Fatal(err)
	}
	for _, node := range st.Nodes {
		if len(node.Listeners) != len(e.ports) {
			t.Errorf("node %d has listeners %v, want %d", node.Index, node.Listeners, len(e.ports))
		}
		for name, base := range e.ports {
			want := base + shift.Shift + (node.Index-1)*shift.Offset
			if name == "dist" || name == "rpc" {
				want = base + node.Index - 1 + shift.NumberShift
			}
			if got := node.Listeners[name]; !strings.HasSuffix(got, fmt.Sprintf(":%d", want)) {
				t.Errorf("node %d: %s is on %s, want %d", node.Index, name, got, want)
			}
		}
		compareTrees(t, e, h.dir("default", node.Index, e.template))
	}
	h.downClean("default", st)
}

// compareTrees wants nothing but the lines that must differ to differ, and every other byte to be kept.
func compareTrees(t *testing.T, e emqx, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(e.source, "etc"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(e.source, path)
		if err != nil {
			return err
		}
		was, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		is, err := os.ReadFile(filepath.Join(dir, rel))
		if err != nil {
			return err
		}
		compareLines(t, rel, e.added, strings.SplitAfter(string(was), "\n"), strings.SplitAfter(string(is), "\n"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func compareLines(t *testing.T, file string, may []string, was, is []string) {
	t.Helper()
	allowed := regexp.MustCompile(`^(?:` + strings.Join(may, "|") + `)\r?\n?$`)
	for i := range is {
		switch {
		case i < len(was) && is[i] == was[i] || is[i] == "":
		case !allowed.MatchString(is[i]):
			t.Errorf("%s, line %d: got %q", file, i+1, is[i])
		case i < len(was) && was[i] != "" && strings.HasPrefix(strings.TrimSpace(was[i]), "#"):
			t.Errorf("%s, line %d: comment %q is lost", file, i+1, was[i])
		}
	}
	if len(is) < len(was) {
		t.Errorf("%s has %d lines, and had %d", file, len(is), len(was))
	}
}

// testEMQXCommand joins by command, which also adds, and takes back one that has left.
func testEMQXCommand(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "3", "-s", e.source, "--base", ownBase(), "--join", "command", "-q") // where nobody takes the ports of those that are removed
	h.agree("default", 3)
	h.ok("add", "2", "-q")
	h.agree("default", 5)
	h.ok("remove", "1", "3", "-q") // also the one that the others joined
	h.agree("default", 3)
	h.ok("up", "5", "-q")
	st := h.agree("default", 5)
	h.downClean("default", st)
}

// testEMQXTogether makes several clusters at the same moment. The numbers in their names, which make ports, must differ.
func testEMQXTogether(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	names := []string{"a", "aa", "b"} // the server looks for directories by their beginning
	var wg sync.WaitGroup
	for _, c := range names {
		wg.Go(func() {
			cmd := h.cmd("-c", c, "up", "3", "-s", e.source, "--base", "auto", "-q")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("up of %s: %v\n%s", c, err, out)
			}
		})
	}
	wg.Wait()
	seen := map[string]string{}
	for _, c := range names {
		for _, node := range h.agree(c, 3).Nodes {
			for name, addr := range node.Listeners {
				_, port, _ := net.SplitHostPort(addr)
				if by, taken := seen[port]; taken {
					t.Errorf("port %s is %s's of %s and %s's", port, name, c, by)
				}
				seen[port] = c
			}
		}
	}
	h.ok("-c", "aa", "add", "-q")
	h.agree("aa", 4)
	for _, c := range names {
		st, _ := h.status(c)
		h.downClean(c, st)
	}
}

// testEMQXStartedSource copies the directory of a node that runs. What is done with the copy does not touch the original.
func testEMQXStartedSource(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("-c", "one", "up", "1", "-s", e.source, "--base", "auto", "-q")
	one := h.agree("one", 1)
	source := h.dir("one", 1, e.template)
	h.ok("-c", "two", "up", "2", "-s", source, "--base", "auto", "-q")
	h.agree("two", 2)
	h.ok("-c", "two", "stop", "-q")
	for _, stale := range []string{"data/mnesia", "data/configs"} {
		had, err := os.ReadDir(filepath.Join(source, stale))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range had {
			if entry.IsDir() {
				if _, err := os.Stat(filepath.Join(h.dir("two", 1, e.template), stale, entry.Name())); err == nil {
					t.Errorf("%s/%s was copied", stale, entry.Name())
				}
				continue
			}
			original, err := os.ReadFile(filepath.Join(source, stale, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if copied, err := os.ReadFile(filepath.Join(h.dir("two", 1, e.template), stale, entry.Name())); err == nil && len(copied) > 0 && bytes.Equal(copied, original) {
				t.Errorf("%s/%s was copied", stale, entry.Name())
			}
		}
	}
	// The copy's own script, with the copy stopped: it finds no node to stop, and leaves the original alone.
	cmd := exec.Command(filepath.Join(h.dir("two", 1, e.template), "bin", "emqx"), "stop")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("bin/emqx stop of a stopped copy: exit 0\n%s", out)
	}
	now := h.agree("one", 1)
	if now.Nodes[0].PID != one.Nodes[0].PID {
		t.Error("the original was restarted")
	}
	st, _ := h.status("two")
	h.downClean("two", st)
	h.downClean("one", now)
}

// testEMQXOwnScript runs a node of a cluster by its own script, without onemore.
func testEMQXOwnScript(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "3", "-s", e.source, "--base", "auto", "-q")
	dir := h.dir("default", 2, e.template)
	if out := h.own(dir, "bin/emqx_ctl", "status"); !strings.Contains(out, "is started") {
		t.Errorf("bin/emqx_ctl status: %s", out)
	}
	h.ok("stop", "2", "-q")
	defer func() { _ = exec.Command(filepath.Join(dir, "bin", "emqx"), "stop").Run() }()
	if out := h.own(dir, "bin/emqx", "start"); !strings.Contains(out, "started successfully") {
		t.Errorf("bin/emqx start: %s", out)
	}
	if out := h.own(dir, "bin/emqx_ctl", "cluster", "status"); strings.Count(out, "@") != 3 {
		t.Errorf("started by its own script it is not a member: %s", out)
	}
	h.own(dir, "bin/emqx", "stop")
	h.ok("start", "2", "-q")
	st := h.agree("default", 3)
	h.downClean("default", st)
	h.noneOf(h.home)
}

// testEMQXListeners makes a cluster of a source that has turned listeners off, has another one, and its data elsewhere.
func testEMQXListeners(t *testing.T, program string, e emqx) {
	t.Parallel()
	h := newHost(t)
	source, data := release(t, program, e.version), filepath.Join(t.TempDir(), "data")
	conf := filepath.Join(source, "etc", "emqx.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	more := "\nlisteners.ssl.default.enabled = false\nlisteners.wss.default.enabled = false\n" +
		"listeners.tcp.internal { bind = \"127.0.0.1:11883\" }\nnode.data_dir = \"" + data + "\"\n"
	if err := os.WriteFile(conf, append(text, more...), 0o644); err != nil {
		t.Fatal(err)
	}
	out := h.ok("up", "3", "-s", source, "--base", "auto", "-q")
	if want := "node.data_dir = " + data + "; each node has its own in its directory instead"; !strings.Contains(out, want) {
		t.Errorf("no note %q in\n%s", want, out)
	}
	st := h.agree("default", 3)
	for _, node := range st.Nodes {
		for name, want := range map[string]bool{"mqtt": true, "ws": true, "mqtts": false, "wss": false, "listener_tcp_internal": true} {
			if _, ok := node.Listeners[name]; ok != want {
				t.Errorf("node %d has a listener %q: %v, want %v", node.Index, name, ok, want)
			}
		}
	}
	h.ok("add", "-q")
	h.agree("default", 4)
	if _, err := os.Stat(data); err == nil {
		t.Errorf("%s was made", data)
	}
	h.downClean("default", st)
}

// testEMQXAddresses gives every node an address of its own. The ports that come from its name are on all addresses, and
// differ all the same.
func testEMQXAddresses(t *testing.T, e emqx) {
	t.Parallel()
	h := newHost(t)
	h.ok("up", "3", "-s", e.source, "--base", "auto", "--spread", "address", "-q")
	st := h.agree("default", 3)
	mqtt, dist := map[string]bool{}, map[string]bool{}
	for _, node := range st.Nodes {
		_, port, _ := net.SplitHostPort(node.Listeners["mqtt"])
		mqtt[port] = true
		_, port, _ = net.SplitHostPort(node.Listeners["dist"])
		dist[port] = true
	}
	if len(mqtt) != 1 || len(dist) != 3 {
		t.Errorf("%d mqtt ports and %d dist ports, want 1 and 3", len(mqtt), len(dist))
	}
	h.downClean("default", st)
}

// testEMQXVersions makes one cluster of two releases, and one of it by an upgrade.
func testEMQXVersions(t *testing.T, program string, e emqx) {
	t.Parallel()
	h := newHost(t)
	older := release(t, program, e.version)
	vars := filepath.Join(older, "releases", "emqx_vars")
	text, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	newer := regexp.MustCompile(`REL_VSN="([\d.]+)\.(\d+)"`).FindSubmatch(text)
	if newer == nil {
		t.Fatalf("no version in %s", text)
	}
	version := string(newer[1]) + ".18"
	text = bytes.Replace(text, newer[0], []byte(`REL_VSN="`+version+`"`), 1)
	if err := os.WriteFile(vars, text, 0o644); err != nil {
		t.Fatal(err)
	}
	h.ok("up", "3", "-s", e.source, "--node", "3:source="+older, "--base", "auto", "-q")
	st := h.agree("default", 3)
	newest := string(newer[1]) + "." + string(newer[2])
	if told, want := h.versions(st), []string{newest, newest, version}; !slices.Equal(told, want) {
		t.Errorf("versions %v, want %v", told, want)
	}
	h.ok("upgrade", "-s", e.source, "-q")
	st = h.agree("default", 3)
	if told, want := h.versions(st), []string{newest, newest, newest}; !slices.Equal(told, want) {
		t.Errorf("after an upgrade: versions %v, want %v", told, want)
	}
	h.downClean("default", st)
}

// versions is what each node says of itself.
func (h *host) versions(st clusterStatus) []string {
	h.t.Helper()
	said := regexp.MustCompile(`(\d+\.\d+\.\d+) is started`)
	var out []string
	for _, n := range st.Nodes {
		text := h.ok("ctl", fmt.Sprint(n.Index), "--", "status")
		m := said.FindStringSubmatch(text)
		if m == nil {
			h.t.Fatalf("status of node %d: %s", n.Index, text)
		}
		out = append(out, m[1])
	}
	return out
}
