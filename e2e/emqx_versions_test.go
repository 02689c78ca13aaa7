package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEMQXVersions: what later releases want otherwise, and sources that can be no cluster, which are told so in words before
// anything is made.
func TestEMQXVersions(t *testing.T) {
	program, _ := standIns(t)
	for _, tt := range []struct {
		name, version string
		add           map[string]string // file → text that is appended
		args          []string
		refused       string // words of the error; none: it runs
	}{
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
			for file, text := range tt.add {
				appendTo(t, filepath.Join(source, file), text)
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
			h.downClean("default", st)
		})
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	was, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(was, text...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
