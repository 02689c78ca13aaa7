package learn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// learnIt learns, and wants nothing left and the source as it was.
func learnIt(t *testing.T, ctx context.Context, o Options) (*Draft, error) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of the servers that these tests start
	o.Settle = 300 * time.Millisecond
	before, err := nodedir.Hash(o.Source)
	if err != nil {
		t.Fatal(err)
	}
	d, lerr := Learn(ctx, o)
	if after, err := nodedir.Hash(o.Source); err != nil || after != before {
		if _, ok := errors.AsType[*Error](lerr); !ok {
			t.Errorf("the source was changed: %v", err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
	table, err := proc.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range table {
		if env, err := proc.Environ(p.ID, markVariable, "TMPDIR"); err == nil && env[markVariable] != "" && env["TMPDIR"] == tmp {
			t.Errorf("process %v is left", p)
		}
	}
	if left, err := (proc.Claim{Dir: tmp}).IDs(); err != nil || len(left) > 0 {
		t.Errorf("processes without a mark are left: %v, %v", left, err)
	}
	return d, lerr
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func TestLearn(t *testing.T) {
	p := freePorts(t, 6)
	t.Setenv("KVD_PORT", fmt.Sprint(p[4]))
	conf := fmt.Sprintf("# the old port was %d\nname kvd\nlisten-tcp 127.0.0.1:%d\nhttp 127.0.0.1:%d\nmaxclients %d\nwrite data/db\nwrite run/kvd.pid\nwrite kvd.log\n", p[0], p[0], p[1], p[0])
	script := fmt.Sprintf("#!/bin/sh\n# {{braces}} that stay\nexec '%s' serve kvd.conf \"listen-udp 127.0.0.1:%d\" \"$@\" 'env KVD_PORT' 'bus 100'\n", self(t), p[2])
	dir := folder(t, map[string]string{"kvd.conf": conf, "bin/start": script, "bin/helper": "#!/bin/sh\n", "data/": "", "README": "no port"})
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	d, err := learnIt(t, t.Context(), Options{Source: dir})
	if err != nil {
		t.Fatal(explain(err))
	}
	want := []Listener{
		{Name: "client", Port: p[0], Protocols: []string{"tcp"}, Proven: true, Where: []string{"kvd.conf, line 3: listen-tcp"}},
		{Name: "http", Port: p[1], Protocols: []string{"tcp"}, Proven: true, HTTP: "/health", Where: []string{"kvd.conf, line 4: http"}},
		{Name: "udp", Port: p[2], Protocols: []string{"udp"}, Proven: true, Where: []string{"bin/start, line 3"}},
		{Name: "client2", Port: p[4], Protocols: []string{"tcp"}, Proven: true, Where: []string{"environment variable KVD_PORT"}},
		{Name: "client2_derived", Port: p[4] + 100, Protocols: []string{"tcp"}, Proven: true, Derive: "client2 + 100"},
	}
	if diff := cmp.Diff(want, d.Listeners, cmpopts.IgnoreUnexported(Listener{})); diff != "" {
		t.Error(diff)
	}
	if want := []string{"data/**", "*.log", "run"}; !slices.Equal(sorted(want), sorted(d.Wrote)) {
		t.Errorf("wrote %q, want %q", d.Wrote, want)
	}
	if !slices.ContainsFunc(d.Words, func(s string) bool { return strings.Contains(s, "line 5: maxclients") }) {
		t.Errorf("words %q", d.Words)
	}
	tpl, err := template.Parse("kvd", []byte(d.TOML))
	if err != nil {
		t.Fatal(err)
	}
	if len(tpl.Ready.Calls) != 1 || !strings.HasSuffix(tpl.Ready.Calls[0].HTTP, "/health") {
		t.Errorf("ready %+v", tpl.Ready)
	}
	if len(tpl.Files) != 1 || !strings.Contains(tpl.Files[0].Text, `{{.Port "udp"}}`) || !strings.Contains(tpl.Files[0].Text, `{{"{{"}}braces}}`) || tpl.Files[0].Mode != "0755" {
		t.Errorf("files %+v", tpl.Files)
	}
	config, err := tpl.ReadConfig(os.DirFS(dir), dir, nil)
	if err != nil || config.Listeners["client"].Port != p[0] || config.Listeners["http"].Port != p[1] {
		t.Errorf("declared %+v, %v", config, err)
	}
}

// TestLearnPlaces finds what a config has the server write outside of its directory, and proves that it can be moved.
func TestLearnPlaces(t *testing.T) {
	p, out := freePorts(t, 1), t.TempDir()
	read := filepath.Join(out, "ca.pem")
	if err := os.WriteFile(read, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("listen-tcp=127.0.0.1:%d\nwrite=%s/log/kvd.log\nca=%s\n", p[0], out, read)
	dir := folder(t, map[string]string{"kvd.properties": conf, "bin/start": fmt.Sprintf("#!/bin/sh\nexec '%s' serve kvd.properties\n", self(t))})
	d, err := learnIt(t, t.Context(), Options{Source: dir})
	if err != nil {
		t.Fatal(explain(err))
	}
	want := []Place{{Name: "write", File: "kvd.properties", Key: "write", Was: out + "/log/kvd.log", Path: "kvd.log"}}
	if diff := cmp.Diff(want, d.Places, cmpopts.IgnoreUnexported(Place{})); diff != "" {
		t.Error(diff)
	}
	if !slices.ContainsFunc(d.Words, func(s string) bool {
		return strings.HasPrefix(s, "The server wrote to "+out+"/log/kvd.log, outside of its directory (kvd.properties, line 2: write)")
	}) {
		t.Errorf("words %q", d.Words)
	}
	if len(d.Listeners) != 1 || !d.Listeners[0].Proven {
		t.Errorf("with its own place the second node did not listen: %+v", d.Listeners)
	}
	tpl, err := template.Parse("kvd", []byte(d.TOML))
	if err != nil {
		t.Fatal(err)
	}
	if len(tpl.Places) != 1 || tpl.Places[0].Key != "write" || tpl.Places[0].Path != "{{.Dir}}/kvd.log" || len(tpl.Edits) != 1 || len(tpl.Edits[0].Set) != 1 {
		t.Errorf("draft\n%s", d.TOML)
	}
}

func sorted(s []string) []string { s = slices.Clone(s); slices.Sort(s); return s }

func explain(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return fmt.Sprintf("%v (%s)\n%s", e, e.Hint, strings.Join(e.Log, "\n"))
	}
	return err.Error()
}

// TestUnproven: what can't be moved is said.
func TestUnproven(t *testing.T) {
	p := freePorts(t, 2)
	exe := self(t)
	fixed := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(fixed, fmt.Appendf(nil, "listen-tcp 127.0.0.1:%d", p[1]), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		port   int
		why    string
		others int
	}{
		"fixed":  {[]string{exe, "serve", fixed, fmt.Sprintf("listen-tcp 127.0.0.1:%d", p[0])}, p[1], "it stays where it is", 1},
		"random": {[]string{exe, "serve", "listen-tcp 127.0.0.1:0"}, 0, "takes any port", 0},
		"deaf":   {[]string{exe, "serve", fixed, fmt.Sprintf("--port=%d", p[1])}, p[1], "stayed at", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := learnIt(t, t.Context(), Options{Source: folder(t, map[string]string{"x": "y"}), Command: c.args})
			if err != nil {
				t.Fatal(explain(err))
			}
			proven := 0
			for _, l := range d.Listeners {
				if l.Proven {
					proven++
				} else if c.port != 0 && l.Port != c.port || !strings.Contains(l.Why, c.why) {
					t.Errorf("%+v", l)
				}
			}
			if proven != c.others || len(d.Listeners) != c.others+1 {
				t.Errorf("listeners %+v", d.Listeners)
			}
			if !strings.Contains(d.TOML, "Not proven: ") || strings.Count(d.TOML, "\n[listeners.") != c.others {
				t.Error(d.TOML)
			}
		})
	}
}

// TestDiesElsewhere: a server that lives at its own port only.
func TestDiesElsewhere(t *testing.T) {
	p := freePorts(t, 1)
	first := filepath.Join(t.TempDir(), "first") // how it was started the first time; any other way it dies
	script := fmt.Sprintf("#!/bin/sh\n[ -e '%[1]s' ] || echo \"$*\" > '%[1]s'\n[ \"$(cat '%[1]s')\" = \"$*\" ] || { echo 'fatal: wrong port'; exit 4; }\nexec '%[2]s' serve \"$@\"\n", first, self(t))
	d, err := learnIt(t, t.Context(), Options{Source: folder(t, map[string]string{"srv": script}), Command: []string{"./srv", fmt.Sprintf("listen-tcp 127.0.0.1:%d", p[0])}})
	if err != nil {
		t.Fatal(explain(err))
	}
	words := strings.Join(d.Words, "\n")
	if len(d.Listeners) != 1 || d.Listeners[0].Proven || !strings.Contains(words, "did not live: the server ended (exit code 4)") || !strings.Contains(words, "fatal: wrong port") {
		t.Errorf("%+v", d)
	}
}

func TestErrors(t *testing.T) {
	p := freePorts(t, 1)
	exe := self(t)
	for name, c := range map[string]struct {
		files map[string]string
		args  []string
		want  string
		hint  string
		log   string
		input bool
	}{
		"no command":           {map[string]string{"x": "y"}, nil, "does not show how a node is started: it has no executable in bin/", "-- PROGRAM ARGS", "", true},
		"many commands":        {map[string]string{"bin/a": "#!/bin/sh\n", "bin/b": "#!/bin/sh\n"}, nil, "its bin/ has bin/a, bin/b", "", "", true},
		"no program":           {map[string]string{"x": "y"}, []string{"no-such-program"}, "there is no program", "", "", true},
		"ends":                 {map[string]string{"x": "y"}, []string{"sh", "-c", "echo telling >&2; exit 7"}, "ended (exit code 7)", "", "telling", false},
		"deaf":                 {map[string]string{"x": "y"}, []string{exe, "serve", "nothing"}, "it listens on no port", "", "", false},
		"forks without a mark": {map[string]string{"x": "y"}, []string{exe, "serve", fmt.Sprintf("fork-bare 127.0.0.1:%d", p[0])}, "left 1 processes behind", "foreground", "", false},
		"forks":                {map[string]string{"x": "y"}, []string{exe, "serve", fmt.Sprintf("fork 127.0.0.1:%d", p[0])}, "left 1 processes behind", "foreground", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 30 * time.Second
			if name == "deaf" {
				timeout = time.Second
			}
			_, err := learnIt(t, t.Context(), Options{Source: folder(t, c.files), Command: c.args, Timeout: timeout})
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(e.Text, c.want) || !strings.Contains(e.Hint, c.hint) || e.Input != c.input || !strings.Contains(strings.Join(e.Log, "\n"), c.log) {
				t.Errorf("error %#v", err)
			}
		})
	}
}

// TestPortTaken: the first node has the source's own ports; who has them already is named.
func TestPortTaken(t *testing.T) {
	p := freePorts(t, 1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := folder(t, map[string]string{"kvd.conf": fmt.Sprintf("listen-tcp 127.0.0.1:%d\n", p[0])})
	_, err = learnIt(t, t.Context(), Options{Source: dir, Command: []string{self(t), "serve", "kvd.conf"}})
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(e.Hint, fmt.Sprintf("port %d (kvd.conf, line 1: listen-tcp) is in use by ", p[0])) {
		t.Errorf("error %v", err)
	}
}

// TestOwnPath: a config that names the directory itself names the copy instead; where that can't be seen, the change of
// the source is an error.
func TestOwnPath(t *testing.T) {
	p := freePorts(t, 1)
	dir := folder(t, map[string]string{"x": "y"})
	conf := fmt.Sprintf("listen-tcp 127.0.0.1:%d\nwrite %s/data/db\n", p[0], dir)
	if err := os.WriteFile(filepath.Join(dir, "kvd.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := learnIt(t, t.Context(), Options{Source: dir, Command: []string{self(t), "serve", "kvd.conf"}})
	if err != nil {
		t.Fatal(explain(err))
	}
	if !strings.Contains(d.TOML, `"write" = "{{.Dir}}/data/db"`) || !slices.Contains(d.Wrote, "data") {
		t.Error(d.TOML)
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.WriteFile(hidden, []byte("write-source "+dir+"/db\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = learnIt(t, t.Context(), Options{Source: dir, Command: []string{self(t), "serve", "kvd.conf", hidden}})
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Text, "changed its source") {
		t.Errorf("error %v", err)
	}
}

// TestInterrupted: nothing is left when it is given up halfway (learnIt looks).
func TestInterrupted(t *testing.T) {
	p := freePorts(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := Options{Source: folder(t, map[string]string{"x": "y"}), Command: []string{self(t), "serve", fmt.Sprintf("listen-tcp 127.0.0.1:%d", p[0])}}
	o.Log = func(s string) {
		if strings.Contains(s, "another") {
			cancel()
		}
	}
	if _, err := learnIt(t, ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMarked(t *testing.T) {
	tokens := []token{{"16379", 16379}, {"6379", 6379}, {text: "/srv/kvd"}}
	for s, want := range map[string]string{
		"6379": "<6379>", "127.0.0.1:6379": "127.0.0.1:<6379>", "http://h:6379/,http://g:16379": "http://h:<6379>/,http://g:<16379>",
		"66379": "66379", "63790": "63790", "1.6379": "1.6379", "6379.5": "6379.5", "v6379": "v6379", "6379;": "<6379>;", "6379.": "<6379>.",
		"/srv/kvd": "<0>", "/srv/kvd/x": "<0>/x", "/srv/kvd2": "/srv/kvd2", "/a/srv/kvd": "/a/srv/kvd", "file:///srv/kvd": "file://<0>", "/srv/kvd-old": "/srv/kvd-old",
	} {
		got := markPattern().ReplaceAllString(marked(s, tokens, false), "<$1>")
		if got != want {
			t.Errorf("marked %q is %q, want %q", s, got, want)
		}
		if back := (substitution{dir: "/srv/kvd"}).fill(marked(s, tokens, false)); back != s {
			t.Errorf("%q came back as %q", s, back)
		}
	}
	if got := marked("-p6379", tokens, true); got != "-p\x006379\x00" {
		t.Errorf("option %q", got)
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{"", "a", `a "b"`, `it's "b"`, "a\nb", "tab\t", `back\slash`, "\x7f", "é{{.Port \"x\"}}", "'''", "x'"} {
		for _, form := range []string{str(s), quoted(s), multi(s)} {
			var got struct{ V string }
			if _, err := toml.Decode("v = "+form, &got); err != nil || got.V != s {
				t.Errorf("%q as %s is %q, %v", s, form, got.V, err)
			}
		}
	}
}
