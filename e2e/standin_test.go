package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// emqx is a release directory of the stand-in, and how its template and its texts differ from the other's.
type emqx struct {
	version  string // 4.4 or 5.0
	template string
	source   string
	ports    map[string]int // of node 1, by listener
	web      string         // the listener that its view is asked on
	added    []string       // what lines of its files may change or be added, regexps
}

// standIns builds the stand-in and lays out a release of each version.
func standIns(t *testing.T) (program string, kinds []emqx) {
	t.Helper()
	for name, value := range map[string]string{"STANDIN_SPEED": "20", "ERL_EPMD_PORT": "0"} {
		os.Setenv(name, value) // not t.Setenv: subtests run at the same time, and end before the cleanup
		t.Cleanup(func() { os.Unsetenv(name) })
	}
	dir := t.TempDir()
	program = filepath.Join(dir, "standin")
	if out, err := exec.Command("go", "build", "-o", program, "./standin").CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in: %v\n%s", err, out)
	}
	bind := `["]?(127\.0\.0\.1:)?\d+["]?`
	kinds = []emqx{
		{version: "4.4", template: "emqx4", web: "management",
			ports: map[string]int{"mqtt": 1883, "internal": 11883, "mqtts": 8883, "ws": 8083, "wss": 8084, "management": 8081, "dashboard": 18083, "dist": 4371, "rpc": 5371},
			added: []string{`node\.name = emqx\d+@127\.0\.0\.1`, `node\.cookie = [0-9a-f]{32}`, `listener\.(tcp\.(external|internal)|(ssl|ws|wss)\.external) = ` + bind,
				`(management|dashboard)\.listener\.http = ` + bind, `cluster\.discovery = manual`, `cluster\.static\.seeds = (emqx\d+@127\.0\.0\.1,?)+`}},
		{version: "5.0", template: "emqx5", web: "dashboard",
			ports: map[string]int{"mqtt": 1883, "mqtts": 8883, "ws": 8083, "wss": 8084, "dashboard": 18083, "dist": 4371, "rpc": 5371},
			added: []string{` *name = "emqx\d+@127\.0\.0\.1"`, ` *cookie = "[0-9a-f]{32}"`, ` *bind = ` + bind, `listeners\.(tcp|ssl|ws|wss)\.default\.bind = ` + bind,
				` *discovery_strategy = manual`, `cluster\.static\.seeds = \[("emqx\d+@127\.0\.0\.1"(, )?)+\]`}},
	}
	for i := range kinds {
		kinds[i].source = release(t, program, kinds[i].version)
	}
	return program, kinds
}

// release lays out a release directory called emqx.
func release(t *testing.T, program, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "emqx")
	if out, err := exec.Command(program, "release", version, dir).CombinedOutput(); err != nil {
		t.Fatalf("lay out %s: %v\n%s", version, err, out)
	}
	return dir
}

// dir is the directory of a node.
func (h *host) dir(cluster string, node int, template string) string {
	return filepath.Join(h.home, cluster, fmt.Sprint(node), template)
}

// own runs a script of a node's directory, as a person does who knows nothing of onemore.
func (h *host) own(dir string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(dir, args[0]), args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "WAIT_FOR_ERLANG=60000", "EMQX_WAIT_FOR_START=60000") // in the hurry of STANDIN_SPEED
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// clusterStatusOf asks a node with the server's own command, and returns the numbers of running and of stopped nodes.
func (h *host) clusterStatusOf(cluster string, node int) (running, stopped int) {
	h.t.Helper()
	out := h.ok("-c", cluster, "ctl", fmt.Sprint(node), "--", "cluster", "status")
	up, down, ok := strings.Cut(out, "stopped_nodes")
	if !ok {
		h.t.Fatalf("cluster status: %s", out)
	}
	return strings.Count(up, "@"), strings.Count(down, "@")
}

// agree is full, and asks each node with the server's own command too, which must list no stopped node.
func (h *host) agree(cluster string, n int) clusterStatus {
	h.t.Helper()
	st := h.full(cluster, n)
	for _, node := range st.Nodes {
		if running, stopped := h.clusterStatusOf(cluster, node.Index); running != n || stopped != 0 {
			h.t.Errorf("node %d: %d running and %d stopped nodes, want %d and 0", node.Index, running, stopped, n)
		}
	}
	return st
}

// treeHash is one number for every name, mode and byte below a folder.
func treeHash(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %v %d\n", path, fi.Mode(), fi.ModTime().UnixNano())
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum.Write(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
