package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestJoinInterrupted: a join that is refused for a moment, or whose answer is lost when half of it, or all of it, is done, is made
// again, whatever state it left behind.
func TestJoinInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two servers that take their time")
	}
	t.Parallel()
	need(t, "rabbitmqctl", "erl_call")
	h := newHost(t)
	tpl := changed(t, "rabbitmq", `answer=$(call "$1" "$join")`, `echo again >>tries
case $(($(wc -l <tries))) in
1) answer="{badrpc,nodedown}" ;;
2) answer=$(call "$1" "$join"; call "$1" "rabbit_mnesia force_reset []") ;; # the others take it for a member, and it does not
4) answer=$(call "$1" "$join"; echo lost) ;;
*) answer=$(call "$1" "$join") ;;
esac`)
	h.ok("up", "2", "-t", tpl, "--base", "auto", "--timeout", "10m")
	st := h.full("default", 2)
	b, err := os.ReadFile(filepath.Join(h.home, "default", "2", "rabbitmq", "tries"))
	if got := strings.Count(string(b), "\n"); err != nil || got != 5 {
		t.Errorf("node 2 has joined at try %d (%v), want 5", got, err)
	}
	h.downClean("default", st)
}

// TestJoinRefused: a join that is refused for good says what the server said.
func TestJoinRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two servers that take their time")
	}
	t.Parallel()
	need(t, "rabbitmqctl", "erl_call")
	h := newHost(t)
	tpl := changed(t, "rabbitmq", `join="rabbit_mnesia join_cluster ['$4',disc]"`, `join="rabbit_mnesia join_cluster ['$3',disc]"`)
	b, err := os.ReadFile(filepath.Join(tpl, "template.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tpl, "template.toml"), []byte(strings.Replace(string(b), `retry = "300s"`, `retry = "1s"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, code := h.run("up", "2", "-t", tpl, "--base", "auto", "--timeout", "10m")
	if code != 1 || !strings.Contains(errs, "cannot_cluster_node_with_itself") {
		t.Errorf("exit %d, want 1, with the answer of the server:\n%s", code, errs)
	}
}

// TestLateNode: one that is started so late that the others hold it to have failed is a member for all of them when up returns.
func TestLateNode(t *testing.T) {
	t.Parallel()
	need(t, "redis-server", "redis-cli")
	h := newHost(t)
	tpl := changed(t, "redis", `command = ["{{.Bin}}", "redis.conf"]`, `command = ["sh", "-c", '''
for port in {{if eq .Index 3}}{{range .Others}}{{.Port "client"}} {{end}}{{end}}; do
	until {{.Tool "redis-cli"}} -h {{.Host}} -p $port cluster nodes | grep -q 'fail?'; do :; done
done
exec "$0" redis.conf
''', "{{.Bin}}"]`)
	out := h.ok("up", "3", "-t", tpl, "--base", "auto", "--timeout", patience.String())
	if want := "running, 3 of 3"; !strings.Contains(out, want) {
		t.Errorf("up said\n%s, want %q", out, want)
	}
	st := h.full("default", 3)
	for _, n := range st.Nodes {
		text := h.ok("ctl", strconv.Itoa(n.Index), "--", "cluster", "nodes")
		if strings.Contains(text, "fail") || strings.Count(text, " connected ") != 3 {
			t.Errorf("node %d lists\n%s", n.Index, text)
		}
	}
	h.downClean("default", st)
}
