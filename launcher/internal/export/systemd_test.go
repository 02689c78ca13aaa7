package export

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
	"onemore/templates"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// planned is a cluster of three nodes of a template that comes with onemore, planned where systemd has it.
func planned(t *testing.T, name string, change func(*plan.Options)) *plan.Plan {
	t.Helper()
	tpl, err := template.NewSet(templates.FS).Open(name)
	if err != nil {
		t.Fatal(err)
	}
	o := plan.Options{Cluster: "c", ID: "0123456789abcdef", Secret: "00112233445566778899aabbccddeeff", Dir: SystemdDir("c"), Nodes: []int{1, 2, 3},
		Onemore: "/usr/local/bin/onemore", Tools: map[string]string{}}
	if tpl.Program.Command != "" {
		o.Bin = "/usr/bin/" + tpl.Program.Command
	}
	for _, tool := range tpl.Program.Needs {
		o.Tools[tool] = "/usr/bin/" + tool
	}
	if change != nil {
		change(&o)
	}
	p, err := plan.Make(tpl, o, plan.Host{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGoldenUnits keeps all files of some clusters: one that notifies, one with a service, one with an environment. After a change that is
// meant: go test ./launcher/internal/export -update, and read the difference.
func TestGoldenUnits(t *testing.T) {
	for _, name := range []string{"onemore", "nsq", "serf", "etcd"} {
		t.Run(name, func(t *testing.T) {
			files, err := Systemd(planned(t, name, nil))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, f := range files {
				fmt.Fprintf(&b, "-- %s %o --\n%s", f.Path, f.Mode, f.Text)
			}
			golden := filepath.Join("testdata", name+".systemd")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRefused wants all for which a plan can't be exported, each with the node and the reason.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		template string
		change   func(*plan.Options)
		want     []string
	}{
		{"redis", nil, []string{"node 1 forms its cluster by commands", "node 2 forms", "node 3 forms"}},
		{"rabbitmq", nil, []string{"node 2 joins by commands", "node 3 joins by commands"}},
		{"postgresql", nil, []string{"node 1 is prepared by commands"}},
		{"mariadb-galera", nil, []string{"node 1 founds its cluster by a start"}},
		{"nats", func(o *plan.Options) { o.Source = "/srv/nats"; o.Config = &template.Config{} }, []string{"node 1 is copied from /srv/nats"}},
		{"nats", func(o *plan.Options) { o.Bin = "/home/u/nats-server" }, []string{"node 1 names /home/u/nats-server in its command or environment"}},
		{"nats", func(o *plan.Options) { o.Env = map[string]string{"CERT": "a:/tmp/x"} }, []string{"node 3 names /tmp/x in its command or environment"}},
		{"nats", func(o *plan.Options) {
			o.Files = []plan.File{{Path: "more.conf", Text: "dir = \"/root/x\"\n", Mode: 0o600}}
		}, []string{"node 2 names /root/x in more.conf"}},
		{"nats", func(o *plan.Options) { o.Needs = map[string]plan.Needed{"etcd": {}} }, []string{"it needs other clusters of its stack"}},
	} {
		files, err := Systemd(planned(t, c.template, c.change))
		if bad, ok := errors.AsType[*Error](err); !ok || len(files) > 0 {
			t.Errorf("%s: %d files, %v", c.template, len(files), err)
		} else {
			for _, want := range c.want {
				if !strings.Contains(bad.Error(), want) {
					t.Errorf("%s: lacks %q:\n%v", c.template, want, bad)
				}
			}
		}
	}
}

// TestDirectory: texts have paths in them, so a plan for another place is no plan for systemd.
func TestDirectory(t *testing.T) {
	p := planned(t, "nats", func(o *plan.Options) { o.Dir = "/srv/c" })
	if files, err := Systemd(p); err == nil {
		t.Errorf("%d files", len(files))
	}
}

// TestLowPorts: a port that is root's is bound by a capability, and only there.
func TestLowPorts(t *testing.T) {
	const capability = "AmbientCapabilities=CAP_NET_BIND_SERVICE"
	for port, want := range map[int]bool{80: true, 4222: false} {
		files, err := Systemd(planned(t, "nats", func(o *plan.Options) { o.Set = map[string]int{"client": port} }))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(files[0].Text, capability); got != want {
			t.Errorf("port %d in %s: %v, want %v", port, files[0].Path, got, want)
		}
	}
}

// TestQuoted: what means something to systemd reaches a process as it is.
func TestQuoted(t *testing.T) {
	if got, want := commandLine([]string{"/bin/sh", "-c", "a \"$b\" 100% \\\n\tc", ""}), `"/bin/sh" "-c" "a \"$b\" 100%% \\\n\tc" ""`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := environmentFile([]string{"A=1", "B=`x` \"$y\" \\ 5%\nz"}), "A=\"1\"\nB=\"\\`x\\` \\\"\\$y\\\" \\\\ 5%\nz\"\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
