package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNoexecHome: node directories on a file system that is mounted noexec. The mount is in a namespace of the command's own.
func TestNoexecHome(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	template := filepath.Join(t.TempDir(), "t.toml")
	text := "[node]\nname = \"n{{.Index}}\"\n[[file]]\npath = \"bin/slots.sh\"\nmode = \"0755\"\ntext = \"#!/bin/sh\\n\"\n" +
		"[start]\ncommand = [\"sleep\", \"1000\"]\n[[ready.call]]\nexec = [\"./bin/slots.sh\"]\n"
	if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := h.cmd()
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf("exec unshare -m sh -c 'mount -t tmpfs -o noexec tmpfs %s && exec onemore up 1 -t %s --timeout 30s'", h.home, template)}
	h.failsSoon("a noexec home", "bin/slots.sh lies on a file system that is mounted noexec", c)
}

// TestForeignProc: in a PID namespace that has its host's /proc nothing can be known of processes. That is said, at once, and
// nothing is started.
func TestForeignProc(t *testing.T) {
	needRoot(t)
	h := newHost(t)
	for _, args := range []string{"up 3 --base auto --timeout 5s", "status", "run 1 -- true"} {
		c := h.cmd()
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "exec unshare -p -f onemore " + args}
		h.failsSoon(args, "/proc is that of another PID namespace", c)
	}
	h.nothingLeft()
	c := h.cmd()
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "exec unshare -p -f --mount-proc sh -c 'onemore up 1 --base auto -q && onemore down -q'"}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("with a /proc of its own: %v\n%s", err, out)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces take root")
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip(err)
	}
}
