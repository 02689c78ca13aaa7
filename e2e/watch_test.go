package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWatch: when a file changes, the program is built again and all nodes run it; a build that fails changes nothing.
func TestWatch(t *testing.T) {
	path, err := service()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("version.txt", "1")
	write("onemore.toml", fmt.Sprintf(`
command = ["sh", "-c", 'VERSION=$(cat built) exec %s -listen {{.Addr "http"}}']
listeners.http = 28080
nodes = 2
ready = "/healthz"
base = "auto"
build = "! grep no version.txt && cp version.txt built"
watch = ["*.txt"]
`, path))
	file := filepath.Join(dir, "onemore.toml")
	h.ok("up", "-q", "--project", file)
	st, _ := h.status("default")
	versions := func() (out string) {
		for _, n := range st.Nodes {
			out += get(t, "http://"+n.Listeners["http"]+"/env?VERSION")
		}
		return out
	}
	if got := versions(); got != "11" {
		t.Fatalf("at first: %q", got)
	}
	c := h.cmd("watch", "--project", file)
	out := watch("watching")
	c.Stderr = out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	out.wait(t)
	write("version.txt", "2")
	h.until("swapped", func() bool { return strings.Contains(out.String(), "swapped") })
	if got := versions(); got != "22" {
		t.Errorf("after a change: %q", got)
	}
	write("version.txt", "no")
	h.until("failed", func() bool { return strings.Contains(out.String(), "failed") })
	if got := versions(); got != "22" {
		t.Errorf("after a build that failed: %q", got)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
	h.ok("down", "-q", "--project", file)
}
