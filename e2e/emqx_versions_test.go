package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEMQXVersions: what later releases want otherwise, and sources that can be no cluster, which are told so in words before
// anything is made.
func TestEMQXVersions(t *testing.T) {
	program, _ := standIns(t)
	for _, tt := range []struct {
		name, version string
		add           map[string]string // file → text that is appended; /OUTSIDE is a folder of somebody
		remove        string            // regexp of what is taken out of etc/emqx.conf
		args          []string
		refused       string // words of the error; none: it runs
		has, lacks    string // a listener
	}{
		{name: "a listener is off", version: "5.8", add: map[string]string{"etc/emqx.conf": "listeners.wss.default.enable = false\n"}, has: "ws", lacks: "wss"},
		{name: "a listener is off in 5.0", version: "5.0", add: map[string]string{"etc/emqx.conf": "listeners.ssl.default.enabled = false\n"}, has: "mqtt", lacks: "mqtts"},
		{name: "a listener is removed from 4.4", version: "4.4", remove: `(?m)^listener\.ssl\.external = .*$`, has: "ws", lacks: "mqtts"},
		{name: "a data_dir outside", version: "5.0", add: map[string]string{"etc/emqx.conf": "node.data_dir = \"/OUTSIDE/data\"\n"}, has: "mqtt"},
		{name: "a data_dir outside of 4.4", version: "4.4", add: map[string]string{"etc/emqx.conf": "node.data_dir = /OUTSIDE/data\n"}, has: "mqtt"},
		{name: "a further listener", version: "5.8", add: map[string]string{"etc/emqx.conf": "listeners.tcp.internal.bind = \"127.0.0.1:11883\"\n"}, has: "listener_tcp_internal"},
		{name: "a further listener of 4.4", version: "4.4", add: map[string]string{"etc/emqx.conf": "listener.tcp.office = 127.0.0.1:2884\n"}, has: "listener_tcp_office"},
		{name: "a dashboard with TLS besides", version: "5.8", add: map[string]string{"etc/emqx.conf": "dashboard.listeners.https.bind = 18084\n"}, has: "dashboard_https"},
		{name: "no dashboard", version: "5.8", add: map[string]string{"etc/emqx.conf": "dashboard.listeners.http.bind = 0\n"}, has: "mqtt", lacks: "dashboard"},
		{name: "5.8", version: "5.8"},
		{name: "numbers behind a login", version: "5.8", add: map[string]string{"etc/emqx.conf": "prometheus.enable_basic_auth = true\n"}},
		{name: "6.0", version: "6.0", args: []string{"-e", "EMQX_LICENSE__KEY=evaluation"}},
		{name: "the source's own licence", version: "5.10", add: map[string]string{"etc/emqx.conf": "license { key = \"mine\" }\n"}},
		{name: "no licence", version: "5.10", refused: "or take --env EMQX_LICENSE__KEY=evaluation"},
		{name: "no licence in 6", version: "6.0", refused: "or take --env EMQX_LICENSE__KEY=evaluation"},
		{name: "storage of one node", version: "5.8", add: map[string]string{"etc/emqx.conf": "durable_storage.messages.backend = builtin_local\n"}, refused: "builtin_local"},
		{name: "a package's layout", version: "5.0", add: map[string]string{"releases/emqx_vars": "EMQX_ETC_DIR=\"/etc/emqx\"\n"}, refused: "puts its files into /etc/emqx"},
		{name: "a package's layout of 4.4", version: "4.4", add: map[string]string{"releases/emqx_vars": "RUNNER_LOG_DIR=\"${RUNNER_LOG_DIR:-/var/log/emqx}\"\n"}, refused: "puts its files into /var/log/emqx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			source := release(t, program, tt.version)
			outside := t.TempDir()
			for file, text := range tt.add {
				change(t, filepath.Join(source, file), "", strings.ReplaceAll(text, "/OUTSIDE", outside))
			}
			if tt.remove != "" {
				change(t, filepath.Join(source, "etc", "emqx.conf"), tt.remove, "")
			}
			args := append([]string{"up", "2", "-s", source, "--base", "auto"}, tt.args...)
			if tt.refused != "" {
				if _, errs, code := h.run(args...); code != 2 || !strings.Contains(errs, tt.refused) {
					t.Errorf("exit %d, want 2 and %q:\n%s", code, tt.refused, errs)
				}
				h.nothingLeft()
				return
			}
			h.ok(args...)
			h.agree("default", 2)
			h.ok("add", "-q")
			st := h.agree("default", 3)
			h.declared("default")
			for _, n := range st.Nodes {
				_, has := n.Listeners[tt.has]
				_, lacks := n.Listeners[tt.lacks]
				if tt.has != "" && !has || lacks {
					t.Errorf("node %d has the listeners %v, want %q and not %q", n.Index, n.Listeners, tt.has, tt.lacks)
				}
			}
			h.downClean("default", st)
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("outside of the cluster is %v, %v", entries, err)
			}
		})
	}
}

// change takes out of a file what matches, and adds a text.
func change(t *testing.T, file, remove, add string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if remove != "" {
		if !regexp.MustCompile(remove).Match(text) {
			t.Fatalf("%s has no %s", file, remove)
		}
		text = regexp.MustCompile(remove).ReplaceAll(text, nil)
	}
	if err := os.WriteFile(file, append(text, add...), 0o644); err != nil {
		t.Fatal(err)
	}
}
