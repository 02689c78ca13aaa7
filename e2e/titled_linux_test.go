package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// titled are servers whose processes overwrite their environment with a title, by the arguments of `up`.
func titled(t *testing.T) map[string][]string {
	t.Helper()
	need(t, "nginx", "redis-server")
	dir := t.TempDir()
	template := func(name, text string) string {
		path := filepath.Join(dir, name+".toml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := map[string][]string{
		"nginx": {"-t", template("nginx", `[program]
command = "nginx"
paths = ["/usr/sbin/nginx"]
[node]
name = "n{{.Index}}"
[listeners.http]
port = 18080
[[file]]
path = "nginx.conf"
text = """
daemon off;
worker_processes 2;
error_log error.log;
pid nginx.pid;
events {}
http { access_log off; server { listen {{.Addr "http"}}; } }
"""
[start]
command = ["{{.Bin}}", "-p", "{{.Dir}}", "-c", "nginx.conf", "-e", "error.log"]
`)},
		"two Redis": {"-t", template("redis", `[program]
command = "redis-server"
[node]
name = "n{{.Index}}"
[listeners.a]
port = 17001
[listeners.b]
port = 17501
[start]
command = ["sh", "-c", '"$0" --port $2 --bind 127.0.0.1 --save "" & exec "$0" --port $1 --bind 127.0.0.1 --save ""', "{{.Bin}}", '{{.Port "a"}}', '{{.Port "b"}}']
`)},
		"a daemon of Redis": {"-t", template("daemon", `[program]
command = "redis-server"
[node]
name = "n{{.Index}}"
[listeners.a]
port = 17001
[listeners.b]
port = 17501
[start]
command = ["sh", "-c", '"$0" --port $2 --bind 127.0.0.1 --save "" --daemonize yes >/dev/null; exec "$0" --port $1 --bind 127.0.0.1 --save ""', "{{.Bin}}", '{{.Port "a"}}', '{{.Port "b"}}']
`)},
	}
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bin) == 0 {
		t.Log("PostgreSQL is not installed; see `make servers`")
		return out
	}
	// It refuses to be root. In a user namespace root is nobody, and yet the owner of root's files.
	nobody := ""
	if os.Geteuid() == 0 {
		need(t, "unshare")
		nobody = "unshare -U "
	}
	source := filepath.Join(dir, "postgres")
	init := exec.Command("sh", "-c", nobody+filepath.Dir(bin[0])+"/initdb -D "+source+" -A trust -N")
	if text, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, text)
	}
	out["PostgreSQL"] = []string{"-s", source, "-t", template("postgres", fmt.Sprintf(`[node]
name = "n{{.Index}}"
[copy]
share = []
[listeners.sql]
port = 15432
[start]
command = ["sh", "-c", 'exec %s"$0" -D . -p $1 -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off', %q, '{{.Port "sql"}}']
[stop]
signal = "INT"
`, nobody, bin[0]))}
	return out
}

// TestKillTitledServers: whatever process of servers that hide their marks is killed, with the keeper or without it, at whatever
// moment: nothing is left after gc or down.
func TestKillTitledServers(t *testing.T) {
	for name, args := range titled(t) {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			up := append([]string{"-c", "k", "up", "2", "--base", ownBase(), "-q"}, args...)
			began := time.Now()
			h.ok(up...)
			took := time.Since(began)
			st, _ := h.status("k")
			h.ok("-c", "k", "down", "-q")
			for i := range killsOfTitled {
				c := h.cmd(up...)
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					_ = c.Wait()
				}
				<-randomMoment(took)
				victims := pidsOf(usersOf(h.home))
				for range 1 + i%3 {
					if len(victims) > 0 {
						_ = syscall.Kill(victims[rand.IntN(len(victims))], syscall.SIGKILL)
					}
				}
				if pid := h.keeper("k"); pid > 1 && i%4 != 3 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					h.dead(pid)
				}
				_ = c.Wait()
				h.ok("gc", "-q")
				h.ok("-c", "k", "down", "-q")
				h.ended(fmt.Sprintf("round %d", i), "k", st.Nodes...)
				if t.Failed() {
					return
				}
			}
		})
	}
}
