package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exportedHost is a root directory over which an export has been laid, and a network of its own.
type exportedHost struct {
	t    *testing.T
	root string
	lab  *lab
	ns   string
}

// newExportedHost lays an export over an empty root. Paths below /var/lib become paths below the root in all its files.
func newExportedHost(t *testing.T, dir string) *exportedHost {
	t.Helper()
	e := &exportedHost{t: t, root: t.TempDir(), lab: &lab{t: t, id: fmt.Sprint(os.Getpid())}, ns: "units" + filepath.Base(t.Name())}
	e.lab.add(e.ns)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(e.root, rel), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		moved := strings.ReplaceAll(string(text), "/var/lib/", e.root+"/var/lib/")
		return os.WriteFile(filepath.Join(e.root, rel), []byte(moved), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// inside is a command in the host's network.
func (e *exportedHost) inside(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", e.lab.namespace(e.ns)}, args...)...)
}

// unit are the settings of a unit; those of lists that are set more than once do not occur.
func (e *exportedHost) unit(name string) map[string]string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.root, "etc/systemd/system", name))
	if err != nil {
		e.t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			out[key] = value
		}
	}
	return out
}

// start does what systemd does for a unit: it makes the state directories, and runs ExecStart in WorkingDirectory with nothing but its own
// environment. The process is stopped by KillSignal when the test ends.
func (e *exportedHost) start(name string) {
	t := e.t
	t.Helper()
	u := e.unit(name)
	for _, dir := range strings.Fields(u["StateDirectory"]) {
		if err := os.MkdirAll(filepath.Join(e.root, "var/lib", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	command, literal := strings.CutPrefix(u["ExecStart"], ":")
	if !literal {
		t.Fatalf("%s: ExecStart=%s has no colon, so $ would be expanded", name, u["ExecStart"])
	}
	cmd := e.inside(words(t, command)...)
	cmd.Dir, cmd.Env = u["WorkingDirectory"], []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if file := u["EnvironmentFile"]; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			cmd.Env = append(cmd.Env, key+"="+words(t, value)[0])
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s had ended: %v", name, err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Errorf("%s does not end by %s", name, u["KillSignal"])
			_ = cmd.Process.Kill()
			<-done
		}
	})
	if u["KillSignal"] != "SIGTERM" {
		t.Fatalf("%s: KillSignal=%s", name, u["KillSignal"])
	}
}

// monitoring is the URL at which a node of NATS tells about itself.
func (e *exportedHost) monitoring(node int) string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.root, fmt.Sprintf("var/lib/onemore-ex/%d/nats/nats.conf", node)))
	if err != nil {
		e.t.Fatal(err)
	}
	_, at, _ := strings.Cut(string(text), `http: "`)
	at, _, ok := strings.Cut(at, `"`)
	if !ok {
		e.t.Fatalf("no monitoring in\n%s", text)
	}
	return "http://" + at
}

// words are those of a line in which each stands between double quotes, as JSON's strings do, with % doubled.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for d := json.NewDecoder(strings.NewReader(line)); d.More(); {
		var word string
		if err := d.Decode(&word); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, strings.ReplaceAll(word, "%%", "%"))
	}
	return out
}

// TestExportSystemd runs three nodes by the units of an export, without onemore, until each sees the others.
func TestExportSystemd(t *testing.T) {
	needRoot(t)
	need(t, "ip", "curl", "systemd-analyze")
	for _, c := range []struct {
		server, program string
		formed          func(e *exportedHost) bool
	}{
		{"nats", "nats-server", func(e *exportedHost) bool {
			for i := 1; i <= 3; i++ {
				out, err := e.inside("curl", "-sf", e.monitoring(i)+"/routez").Output()
				var r struct {
					Routes []struct {
						ID string `json:"remote_id"`
					}
				}
				seen := map[string]bool{}
				if err != nil || json.Unmarshal(out, &r) != nil {
					return false
				}
				for _, route := range r.Routes {
					seen[route.ID] = true
				}
				if len(seen) != 2 {
					return false
				}
			}
			return true
		}},
		{"etcd", "etcd", func(e *exportedHost) bool {
			cmd := e.inside("etcdctl", "--endpoints=http://127.0.0.1:2379", "endpoint", "health", "--cluster", "-w", "json")
			cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
			out, err := cmd.Output()
			var list []struct{ Health bool }
			return err == nil && json.Unmarshal(out, &list) == nil && len(list) == 3 && list[0].Health && list[1].Health && list[2].Health
		}},
	} {
		t.Run(c.server, func(t *testing.T) {
			need(t, c.program)
			h := newHost(t)
			dir := filepath.Join(t.TempDir(), "units")
			h.ok("-c", "ex", "export", "systemd", "-t", c.server, "-o", dir)
			units, err := filepath.Glob(filepath.Join(dir, "etc/systemd/system/*"))
			if err != nil || len(units) != 4 {
				t.Fatalf("%q (%v)", units, err)
			}
			if out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("verify: %v\n%s", err, out)
			}
			e := newExportedHost(t, dir)
			for i := 1; i <= 3; i++ {
				e.start(fmt.Sprintf("onemore-ex-%d.service", i))
			}
			e.lab.eventually("the exported nodes are a cluster", func() bool { return c.formed(e) })
		})
	}
}

// TestExportExisting: what is exported of a cluster that is there has its ports, and its secret.
func TestExportExisting(t *testing.T) {
	need(t, "nats-server")
	h := newHost(t)
	h.ok("-c", "ex", "up", "2", "-t", "nats", "--base", "auto", "--timeout", "3m")
	dir := filepath.Join(t.TempDir(), "units")
	h.ok("-c", "ex", "export", "systemd", "-o", dir)
	for i, n := range func() []nodeStatus { st, _ := h.status("ex"); return st.Nodes }() {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("var/lib/onemore-ex/%d/nats/nats.conf", i+1)))
		if err != nil || !strings.Contains(string(text), strings.TrimPrefix(n.Listeners["client"], "nats://")) {
			t.Errorf("node %d at %v: %v\n%s", i+1, n.Listeners, err, text)
		}
	}
	if _, errs, code := h.run("-c", "ex", "export", "systemd", "-o", dir); code != 2 || !strings.Contains(errs, "is not empty") {
		t.Errorf("over an export: exit %d, %s", code, errs)
	}
	if _, errs, code := h.run("-c", "ex", "export", "systemd", "3", "-o", dir+"2"); code != 2 || !strings.Contains(errs, "with 2 nodes, not 3") {
		t.Errorf("with another number: exit %d, %s", code, errs)
	}
	if _, errs, code := h.run("-c", "other", "export", "systemd", "-o", dir+"2"); code != 2 || !strings.Contains(errs, "which a service can't count on") {
		t.Errorf("a program in a temporary folder: exit %d, %s", code, errs)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".units*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q (%v)", left, err)
	}
	if _, err := os.Lstat(dir + "2"); err == nil {
		t.Error("a refused export has written something")
	}
	h.ok("-c", "ex", "down")
}
