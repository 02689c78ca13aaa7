package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// environmentOf is the template of a server, and of a tool beside it, that say what is in their environment.
func environmentOf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env.toml")
	text := `[node]
name = "n{{.Index}}"
[environment]
own = ["KVD_*", "KVDCTL_TOKEN"]
KVD_NAME = "{{.Name}}"
[start]
command = ["sh", "-c", "env > started; exec sleep 1000"]
[[ready.call]]
exec = ["sh", "-c", "env > called; test -s started"]
[ctl]
command = ["env"]
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNothingOfTheShell: variables that the server reads reach neither nodes nor calls, ctl or exec, unless they are given; what
// belongs to other supervisors reaches nobody, and the rest stays.
func TestNothingOfTheShell(t *testing.T) {
	h := newHost(t)
	tpl := environmentOf(t)
	for name, value := range map[string]string{"KVD_URL": "elsewhere", "KVD_GIVEN": "no", "KVDCTL_TOKEN": "mine", "KVDX": "kept", "NOTIFY_SOCKET": "/run/x",
		"LISTEN_FDS": "3", "INVOCATION_ID": "1", "HTTP_PROXY": "http://proxy", "no_proxy": "intranet", "TMPDIR": filepath.Join(t.TempDir(), "gone")} {
		t.Setenv(name, value)
	}
	_, errs, code := h.run("up", "1", "-t", tpl, "-e", "KVD_GIVEN=yes")
	if code != 0 {
		t.Fatalf("up: exit %d: %s", code, errs)
	}
	read := func(file string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(h.home, "default", "1", "env", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for who, env := range map[string]string{"the node": read("started"), "a call": read("called"), "ctl": h.ok("ctl", "1"), "exec": h.ok("exec", "1", "--", "env")} {
		env = "\n" + env
		for _, want := range []string{"KVD_GIVEN=yes", "KVD_NAME=n1", "KVDX=kept", "HTTP_PROXY=http://proxy", "NO_PROXY=intranet,127.0.0.1,localhost,::1", "PATH=" + os.Getenv("PATH")} {
			if !strings.Contains(env, "\n"+want+"\n") {
				t.Errorf("%s lacks %s:%s", who, want, env)
			}
		}
		for _, name := range []string{"KVD_URL", "KVDCTL_TOKEN", "NOTIFY_SOCKET", "LISTEN_FDS", "INVOCATION_ID"} {
			if strings.Contains(env, "\n"+name+"=") {
				t.Errorf("%s has %s:%s", who, name, env)
			}
		}
	}
	if strings.Contains(read("started"), "\nTMPDIR=") {
		t.Error("the node has a TMPDIR that is not there")
	}
	out := h.ok("status")
	if want := "note: KVDCTL_TOKEN, KVD_URL of your environment: nodes and calls don't get them"; strings.Count(out, want) != 1 {
		t.Errorf("status does not say once what was left out:\n%s", out)
	}
	h.ok("down", "-q")

	h.ok("up", "1", "-t", tpl, "--clean-env", "-q")
	env := "\n" + read("started")
	for _, name := range []string{"KVDX", "HTTP_PROXY", "NO_PROXY", "GORACE"} {
		if strings.Contains(env, "\n"+name+"=") {
			t.Errorf("with --clean-env the node has %s:%s", name, env)
		}
	}
	if !strings.Contains(env, "\nPATH=") || !strings.Contains(env, "\nKVD_NAME=n1\n") {
		t.Errorf("with --clean-env the node lacks PATH, or what the template gives:%s", env)
	}
	h.ok("add", "-q")
	if _, errs, code := h.run("up", "-q"); code != 0 {
		t.Errorf("up of a cluster with --clean-env: exit %d: %s", code, errs)
	}
	h.ok("down", "-q")
	h.nothingLeft()
}

// TestStartErrors: what keeps a node from being started, or a call from being made, is named, and nothing is tried again.
func TestStartErrors(t *testing.T) {
	h := newHost(t)
	for name, tt := range map[string]struct{ template, want string }{
		"interpreter": {"[[file]]\npath = \"run\"\nmode = \"0755\"\ntext = \"#!/no/such/bash\\n\"\n[start]\ncommand = [\"./run\"]\n",
			"the interpreter in the first line of .*/run: there is no file /no/such/bash"},
		"working directory": {"[start]\ncommand = [\"sleep\", \"1000\"]\ndir = \"{{.Dir}}/nowhere\"\n", "its working directory .*/nowhere "},
		"not executable":    {"[[file]]\npath = \"run\"\ntext = \"#!/bin/sh\\n\"\n[start]\ncommand = [\"./run\"]\n", "run is not executable; `chmod \\+x` makes it so"},
		"a call": {"[start]\ncommand = [\"sleep\", \"1000\"]\n[[ready.call]]\nexec = [\"./slots.sh\"]\n",
			"there is no file .*/slots.sh"},
	} {
		path := filepath.Join(t.TempDir(), "t.toml")
		if err := os.WriteFile(path, []byte("[node]\nname = \"n{{.Index}}\"\n"+tt.template), 0o644); err != nil {
			t.Fatal(err)
		}
		h.failsSoon(name, tt.want, h.cmd("up", "1", "-t", path, "--timeout", "5m"))
		h.nothingLeft()
	}
}

// failsSoon runs a command that must fail long before its time is over, and say why.
func (h *host) failsSoon(what, want string, c *exec.Cmd) {
	h.t.Helper()
	began := time.Now()
	out, err := c.CombinedOutput()
	if err == nil || !regexp.MustCompile(want).Match(out) {
		h.t.Errorf("%s: %v, want %q in\n%s", what, err, want, out)
	}
	if took := time.Since(began); took > time.Minute {
		h.t.Errorf("%s: it took %v to fail", what, took)
	}
}

// TestTimeoutBoundsAll: --timeout counts from the call, not from the moment at which the keeper has understood.
func TestTimeoutBoundsAll(t *testing.T) {
	h := newHost(t)
	h.ok("up", "1", "--base", "auto", "-q")
	pid := h.keeper("default")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, errs, code := h.run("up", "2", "--timeout", "1s")
	if took := time.Since(began); code != 1 || took > time.Minute || !strings.Contains(errs, "does not answer: not done within 1s") {
		t.Errorf("up with a keeper that stands still: exit %d after %v: %s", code, took, errs)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.full("default", 1)
	h.ok("down", "-q")
}
