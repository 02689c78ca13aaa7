package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// real is the path of a program of this host, links followed.
func real(t *testing.T, program string) string {
	t.Helper()
	need(t, program)
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// versionOf is the version, by the folder of its release, that a node's process runs.
func (h *host) versionOf(cluster string, node int) string {
	h.t.Helper()
	if runtime.GOOS != "linux" {
		h.t.Skip("what a process runs is read from /proc")
	}
	st, _ := h.status(cluster)
	for _, n := range st.Nodes {
		if n.Index == node {
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.PID))
			if err != nil {
				h.t.Fatal(err)
			}
			_, rest, _ := strings.Cut(exe, "/onemore/releases/")
			parts := strings.Split(rest, "/")
			if len(parts) < 2 {
				return exe
			}
			return strings.TrimSuffix(parts[1], "-"+runtime.GOOS+"-"+runtime.GOARCH)
		}
	}
	h.t.Fatalf("cluster %s has no node %d", cluster, node)
	return ""
}

func (h *host) wantVersions(cluster string, want ...string) {
	h.t.Helper()
	for i, version := range want {
		if got := h.versionOf(cluster, i+1); got != version {
			h.t.Errorf("node %d of %s runs %s, want %s", i+1, cluster, got, version)
		}
	}
}

// inCache are the releases in the cache: NAME@VERSION.
func (h *host) inCache() []string {
	h.t.Helper()
	var list []struct{ Name, Version string }
	if err := json.Unmarshal([]byte(h.ok("releases", "--json")), &list); err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, r := range list {
		out = append(out, r.Name+"@"+r.Version)
	}
	return out
}

// wantNoRelease checks that nothing of a release, or of an archive, is in the cache, except for the digests of what was fetched first.
func (h *host) wantNoRelease() {
	h.t.Helper()
	cache := strings.TrimPrefix(h.env[1], "XDG_CACHE_HOME=")
	_ = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "digests.json" {
			h.t.Errorf("left in the cache: %s", path)
		}
		return nil
	})
	h.nothingLeft()
}

// TestReleaseLife: versions by flag, by name, by node and in a project's file; upgraded, rolled back, listed and removed.
func TestReleaseLife(t *testing.T) {
	program := real(t, "nats-server")
	v, h := newVendor(t)
	archive := v.putNATS(t, "9.0.1", program)
	v.putNATS(t, "9.0.2", program)
	_, errs, code := h.run("up", "2", "-t", "nats@9.0.1", "--base", "auto")
	if code != 0 || !strings.Contains(errs, "fetched nats 9.0.1: ") || !strings.Contains(errs, " MB/s") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	h.wantVersions("default", "9.0.1", "9.0.1")
	h.ok("up", "3", "-t", "nats", "--release", "v9.0.1", "-q")
	h.wantVersions("default", "9.0.1", "9.0.1", "9.0.1")
	if n := v.requests(archive); n != 1 {
		t.Errorf("the archive was asked for %d times, want once", n)
	}
	_, errs, code = h.run("up", "3", "--release", "9.0.2", "-q")
	if code != 2 || !strings.Contains(errs, "--release: cluster \"default\" is there already") {
		t.Errorf("another version of what runs: exit %d: %s", code, errs)
	}
	h.ok("upgrade", "--release", "9.0.2", "1", "-q")
	h.wantVersions("default", "9.0.2", "9.0.1", "9.0.1")
	h.ok("upgrade", "--release", "9.0.2", "-q")
	h.wantVersions("default", "9.0.2", "9.0.2", "9.0.2")
	h.ok("upgrade", "--rollback", "2", "-q")
	h.wantVersions("default", "9.0.2", "9.0.1", "9.0.2")
	if got := strings.Join(h.inCache(), " "); got != "nats@9.0.1 nats@9.0.2" {
		t.Errorf("in the cache: %s", got)
	}
	if out := h.ok("releases", "nats"); !strings.Contains(out, "nats@9.0.1") || !strings.Contains(out, "checked") {
		t.Errorf("releases prints %s", out)
	}
	_, errs, code = h.run("releases", "rm", "nats@9.0.1")
	if code != 2 || !strings.Contains(errs, `used by cluster "default"`) {
		t.Errorf("removing what is used: exit %d: %s", code, errs)
	}
	h.ok("down", "-q")
	project := filepath.Join(t.TempDir(), "onemore.toml")
	text := "cluster = \"p\"\ntemplate = \"nats\"\nrelease = \"9.0.1\"\nnodes = 2\nbase = \"auto\"\n[node.2]\nrelease = \"9.0.2\"\n"
	if err := os.WriteFile(project, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h.ok("--project", project, "up", "-q")
	h.wantVersions("p", "9.0.1", "9.0.2")
	h.ok("-c", "p", "down", "-q")
	h.ok("-c", "q", "up", "2", "-t", "nats", "--bin", program, "--node", "2:release=9.0.2", "--base", "auto", "-q")
	h.wantVersions("q", program, "9.0.2")
	h.ok("-c", "q", "down", "-q")
	h.ok("releases", "rm", "nats@9.0.1", "nats@9.0.2")
	h.wantNoRelease()
}

// TestReleasesOfTemplates: the archives that vendors publish, packed from the servers that are installed.
func TestReleasesOfTemplates(t *testing.T) {
	v, h := newVendor(t)
	t.Run("etcd", func(t *testing.T) {
		v.putEtcd(t, "9.1.0", real(t, "etcd"), real(t, "etcdctl"))
		h.ok("-c", "etcd", "up", "3", "-t", "etcd@9.1.0", "--base", "auto", "-q")
		h.wantVersions("etcd", "9.1.0", "9.1.0", "9.1.0")
		if out := h.ok("-c", "etcd", "ctl", "1", "--", "version"); !strings.Contains(out, "etcdctl version") {
			t.Errorf("ctl prints %s", out)
		}
		h.ok("-c", "etcd", "down", "-q")
	})
	t.Run("rabbitmq", func(t *testing.T) {
		need(t, "rabbitmq-server", "xz")
		dirs, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*")
		if len(dirs) == 0 {
			t.Skip("RabbitMQ is not where Debian has it")
		}
		pack := exec.Command("xz", "-0")
		pack.Stdin = bytes.NewReader(tarred(t, map[string]string{"rabbitmq_server-9.2.0": dirs[0]}))
		text, err := pack.Output()
		if err != nil {
			t.Fatal(err)
		}
		v.put(github("rabbitmq/rabbitmq-server", "9.2.0", "rabbitmq-server-generic-unix-9.2.0.tar.xz"), "", text)
		h.ok("-c", "rabbit", "up", "1", "-t", "rabbitmq@9.2.0", "--base", "auto", "-q")
		plan, err := os.ReadFile(filepath.Join(h.home, "rabbit", "cluster.json"))
		if err != nil || !strings.Contains(string(plan), "/releases/rabbitmq/9.2.0-") {
			t.Errorf("no program of the release in the plan (%v)", err)
		}
		h.ok("-c", "rabbit", "down", "-q")
		if out := h.ok("releases", "rabbitmq"); !strings.Contains(out, "as first fetched") {
			t.Errorf("releases prints %s", out)
		}
	})
	t.Run("redis", func(t *testing.T) {
		_, errs, code := h.run("up", "3", "-t", "redis@7.2.4")
		if code != 2 || !strings.Contains(errs, "source code only") || !strings.Contains(errs, "--bin") {
			t.Errorf("exit %d: %s", code, errs)
		}
	})
}

// TestReleaseDirectory: releases that are node directories, and archives that -s names, here and on a server.
func TestReleaseDirectory(t *testing.T) {
	_, kinds := standIns(t)
	v, h := newVendor(t)
	id, version := osRelease(t)
	path := "github.com/emqx/emqx/releases/download/v5.0.0/emqx-5.0.0-" + id + version + "-" + runtime.GOARCH + ".tar.gz"
	v.put(path, "", gzipped(t, map[string]string{".": kinds[1].source}))
	h.ok("-c", "e", "up", "2", "-t", "emqx5@5.0.0", "--base", "auto", "-q")
	h.ok("-c", "e", "down", "-q")
	archive := filepath.Join(t.TempDir(), "mine.tar.gz")
	text := gzipped(t, map[string]string{"mine": heavySource(t, 1<<10)})
	if err := os.WriteFile(archive, text, 0o644); err != nil {
		t.Fatal(err)
	}
	v.put("mine.tgz", "", text)
	for _, source := range []string{archive, v.URL + "/mine.tgz"} {
		h.env[0] = "ONEMORE_MIRROR="
		h.ok("up", "2", "-t", "onemore", "-s", source, "--base", "auto", "-q")
		h.ok("up", "3", "-s", source, "-q")
		if found, _ := filepath.Glob(filepath.Join(h.home, "default", "*", "*", "ballast")); len(found) != 3 {
			t.Errorf("%s: nodes have %q", source, found)
		}
		h.ok("down", "-q")
	}
	if got := h.inCache(); len(got) != 3 || v.requests("mine.tgz") != 1 {
		t.Errorf("in the cache: %q, after %d requests", got, v.requests("mine.tgz"))
	}
}

func osRelease(t *testing.T) (id, version string) {
	t.Helper()
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Skip(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch value = strings.Trim(value, `"`); name {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return id, version
}

// TestReleaseAtOnce: two commands that want the same version fetch it once, and both get it.
func TestReleaseAtOnce(t *testing.T) {
	program := real(t, "nats-server")
	v, h := newVendor(t)
	archive := v.putNATS(t, "9.0.1", program)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		wg.Go(func() {
			if _, errs, code := h.run("-c", name, "up", "2", "-t", "nats@9.0.1", "--base", "auto"); code != 0 {
				t.Errorf("%s: exit %d: %s", name, code, errs)
			}
		})
	}
	wg.Wait()
	if n := v.requests(archive); n != 1 {
		t.Errorf("the archive was asked for %d times, want once", n)
	}
	h.ok("down", "--all", "-q")
}

// TestReleaseFailures: what can go wrong on the way is said before anything is made, and leaves nothing.
func TestReleaseFailures(t *testing.T) {
	program := real(t, "nats-server")
	v, h := newVendor(t)
	archive := v.putNATS(t, "9.0.1", program)
	whole := v.files[archive]
	fails := func(what string, want ...string) {
		t.Helper()
		_, errs, code := h.run("up", "2", "-t", "nats@9.0.1", "--base", "auto")
		if code != 1 {
			t.Errorf("%s: exit %d, want 1: %s", what, code, errs)
		}
		for _, w := range want {
			if !strings.Contains(errs, w) {
				t.Errorf("%s: no %q in %s", what, w, errs)
			}
		}
		h.wantNoRelease()
	}
	v.files[archive] = append(bytes.Clone(whole), 0)
	fails("a digest that differs", "nats-server-v9.0.1", "has the digest sha256:", "SHA256SUMS says sha256:", "removed")
	delete(v.files, archive)
	fails("a version that is not there", "404 Not Found", archive)
	top := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
	foreign := filepath.Join(t.TempDir(), "foreign")
	elf := make([]byte, 64)
	copy(elf, "\x7fELF\x02\x01\x01")
	elf[18] = 0xf3 // RISC-V
	if err := os.WriteFile(foreign, elf, 0o755); err != nil {
		t.Fatal(err)
	}
	v.putNATS(t, "9.0.1", foreign)
	fails("another processor", "its programs are for another system: "+top+"/nats-server is for linux/riscv64")
	v.put(archive, github("nats-io/nats-server", "9.0.1", "SHA256SUMS"), gzipped(t, map[string]string{"../evil": foreign}))
	fails("a path out of the folder", `entry "../evil" leads out of the folder`)
	v.put(archive, github("nats-io/nats-server", "9.0.1", "SHA256SUMS"), whole)
	v.cut = 2
	h.ok("up", "2", "-t", "nats@9.0.1", "--base", "auto", "-q") // the connection breaks twice
	if n := v.requests(archive); n < 3 {
		t.Errorf("after two broken connections: %d requests", n)
	}
	h.ok("down", "-q")
	h.ok("releases", "rm", "nats@9.0.1")
	v.Close()
	fails("no network", "get "+v.URL+"/"+archive, "put the file there by hand: "+strings.TrimPrefix(h.env[1], "XDG_CACHE_HOME="))
	byHand := filepath.Join(strings.TrimPrefix(h.env[1], "XDG_CACHE_HOME="), "onemore", "releases", "nats", "9.0.1-"+runtime.GOOS+"-"+runtime.GOARCH)
	if err := os.MkdirAll(byHand, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{archive, github("nats-io/nats-server", "9.0.1", "SHA256SUMS")} {
		if err := os.WriteFile(filepath.Join(byHand, filepath.Base(path)), v.files[path], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.ok("up", "2", "-t", "nats@9.0.1", "--base", "auto", "-q")
	h.ok("down", "-q")
}

// TestReleaseInput: calls that can't mean anything.
func TestReleaseInput(t *testing.T) {
	_, h := newVendor(t)
	for _, tt := range []struct{ args, want string }{
		{"up -t nats@", "a version was wanted"},
		{"up -t nats@2.11.4 --release 2.11.5", "name two versions"},
		{"up -t nats --release ../../x", "may have letters, digits and"},
		{"up -t onemore@1.0.0", "has no [release]"},
		{"up -t nats@1.0.0 --bin /bin/true", "leave one of them out"},
		{"releases rm nats", "NAME@VERSION"},
		{"releases rm nats@1.0.0", "is not in the cache"},
	} {
		_, errs, code := h.run(strings.Fields(tt.args)...)
		if code != 2 || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d, want 2 and %q: %s", tt.args, code, tt.want, errs)
		}
	}
}
