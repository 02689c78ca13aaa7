//go:build soak

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// builtVersion builds a program at a version, from its sources in the Go module proxy.
func builtVersion(t *testing.T, name, module, version string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, name)
	for _, args := range [][]string{{"mod", "init", "built"}, {"get", module + "@v" + version}, {"build", "-trimpath", "-o", program, module}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return program
}

// TestMixedVersions: two real versions of a server, upgraded node by node while it is used, and rolled back.
func TestMixedVersions(t *testing.T) {
	v, h := newVendor(t)
	for _, version := range []string{"2.10.22", "2.11.4"} {
		v.putNATS(t, version, builtVersion(t, "nats-server", "github.com/nats-io/nats-server/v2", version))
	}
	for _, version := range []string{"3.5.21", "3.6.4"} {
		v.putEtcd(t, version, builtVersion(t, "etcd", "go.etcd.io/etcd/server/v3", version), builtVersion(t, "etcdctl", "go.etcd.io/etcd/etcdctl/v3", version))
	}
	t.Run("nats", func(t *testing.T) { mixVersions(t, h, "nats", "2.10.22", "2.11.4", nil) })
	t.Run("etcd", func(t *testing.T) {
		mixVersions(t, h, "etcd", "3.5.21", "3.6.4", func(node, key string) {
			h.ok("-c", "etcd", "ctl", node, "--", "put", key, "value")
			if out := h.ok("-c", "etcd", "ctl", "1", "--", "get", key, "--print-value-only"); strings.TrimSpace(out) != "value" {
				t.Errorf("%s is %q", key, out)
			}
		})
	})
}

// mixVersions takes a cluster of three nodes from one version to the next, and back, node by node. use, which may be nil, writes on a
// node and reads on another, between the steps.
func mixVersions(t *testing.T, h *host, template, old, next string, use func(node, key string)) {
	now := []string{old, old, old}
	h.ok("-c", template, "up", "3", "-t", template+"@"+old, "--base", "auto", "-q")
	h.wantVersions(template, now...)
	for i, node := range []string{"1", "2", "3"} {
		if use != nil {
			use(node, "before-"+node)
		}
		h.ok("-c", template, "upgrade", "--release", next, node, "-q")
		now[i] = next
		h.wantVersions(template, now...)
		if i == 1 { // back while the cluster is mixed: most servers can't go back when all are new
			h.ok("-c", template, "upgrade", "--rollback", node, "-q")
			now[i] = old
			h.wantVersions(template, now...)
			h.ok("-c", template, "upgrade", "--release", next, node, "-q")
			now[i] = next
		}
		if use != nil {
			use(node, "after-"+node)
		}
		if st, _ := h.status(template); st.State != "running" {
			t.Errorf("with %s: %s", strings.Join(now, ", "), st.State)
		}
	}
	h.ok("-c", template, "down", "-q")
	h.ok("-c", "mixed", "up", "3", "-t", template+"@"+old, "--node", "3:release="+next, "--base", "auto", "-q")
	h.wantVersions("mixed", old, old, next)
	h.ok("-c", "mixed", "down", "-q")
}
