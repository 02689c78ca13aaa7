package learn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onemore/launcher/internal/template"
)

// TestTouched: nodes begin with what the directory has, though a node changes it, but for what is about a single run.
func TestTouched(t *testing.T) {
	p := freePorts(t, 1)
	dir := folder(t, map[string]string{"data/control": "x", "old.pid": "1",
		"state.conf": fmt.Sprintf("listen-tcp 127.0.0.1:%d\ntouch data/control\ntouch old.pid\ntouch state.conf\nwrite data/new\n", p[0])})
	d, err := learnIt(t, t.Context(), Options{Source: dir, Command: []string{self(t), "serve", "state.conf"}})
	if err != nil {
		t.Fatal(explain(err))
	}
	if want := []string{"*.pid", "data/new"}; !slices.Equal(sorted(d.Wrote), want) {
		t.Errorf("left out %q, want %q", d.Wrote, want)
	}
	if len(d.Listeners) != 1 || !d.Listeners[0].Proven { // its port stands in a file that the server rewrites
		t.Errorf("listeners %+v", d.Listeners)
	}
	words := strings.Join(d.Words, "\n")
	for _, name := range []string{"data/control", "state.conf"} {
		if !strings.Contains(words, "The server changed "+name) {
			t.Errorf("nothing is said of %s: %s", name, words)
		}
	}
}

// TestLanguage: a file in a language is written as a whole, since a piece of a line that looks like a key and its value is none.
func TestLanguage(t *testing.T) {
	p := freePorts(t, 1)
	dir := folder(t, map[string]string{"init.lua": fmt.Sprintf("local x = 1\nbox.cfg{listen = '127.0.0.1:%d', work_dir = 'data'}\n", p[0])})
	d, err := learnIt(t, t.Context(), Options{Source: dir, Command: []string{self(t), "serve", "lua init.lua"}})
	if err != nil {
		t.Fatal(explain(err))
	}
	tpl, err := template.Parse("kvd", []byte(d.TOML))
	if err != nil {
		t.Fatal(err)
	}
	if len(tpl.Edits) != 0 || len(tpl.Files) != 1 || !strings.Contains(tpl.Files[0].Text, `box.cfg{listen = '127.0.0.1:{{.Port "client"}}', work_dir = 'data'}`) {
		t.Errorf("edits %+v, files %+v", tpl.Edits, tpl.Files)
	}
	if len(d.Listeners) != 1 || !d.Listeners[0].Proven {
		t.Errorf("listeners %+v", d.Listeners)
	}
}

// TestNeeded: the variables without which the server does not live are in the draft, and no others.
func TestNeeded(t *testing.T) {
	p := freePorts(t, 1)
	for _, name := range []string{"A_KVD_LICENSE", "M_KVD_MODE", "Z_KVD_OTHER"} {
		t.Setenv(name, "value of {{"+name+"}}")
	}
	o := Options{Source: folder(t, map[string]string{"x": "y"}), Bare: func(environ []string) []string {
		return slices.DeleteFunc(environ, func(kv string) bool { return !strings.HasPrefix(kv, "PATH=") && !strings.HasPrefix(kv, "TMPDIR=") })
	}}
	o.Command = []string{self(t), "serve", "need-env Z_KVD_OTHER", "need-env A_KVD_LICENSE", fmt.Sprintf("listen-tcp 127.0.0.1:%d", p[0])}
	d, err := learnIt(t, t.Context(), o)
	if err != nil {
		t.Fatal(explain(err))
	}
	tpl, err := template.Parse("kvd", []byte(d.TOML))
	if err != nil {
		t.Fatal(err)
	}
	if len(tpl.Environment) != 2 || tpl.Environment["A_KVD_LICENSE"] != `value of {{"{{"}}A_KVD_LICENSE}}` || tpl.Environment["Z_KVD_OTHER"] == "" {
		t.Errorf("environment %q, words %q", tpl.Environment, d.Words)
	}
}

// TestTried: what came of bringing up the draft is said first, in the draft too.
func TestTried(t *testing.T) {
	p := freePorts(t, 1)
	for name, c := range map[string]struct {
		nodes int
		why   error
		want  string
	}{
		"all":  {3, nil, "The draft was brought up: 3 nodes."},
		"some": {1, errors.New("it is alone"), "with 1 node(s), and no more: it is alone"},
		"none": {0, &Error{Text: "no way", Log: []string{"FATAL: x"}}, "THE DRAFT DOES NOT COME UP: no way\n  | FATAL: x"},
	} {
		t.Run(name, func(t *testing.T) {
			tried := filepath.Join(t.TempDir(), "tried")
			o := Options{Source: folder(t, map[string]string{"x": "y"}), Command: []string{self(t), "serve", fmt.Sprintf("listen-tcp 127.0.0.1:%d", p[0])}}
			o.Try = func(_ context.Context, toml string) (int, error) {
				if err := os.WriteFile(tried, []byte(toml), 0o644); err != nil {
					return 0, err
				}
				return c.nodes, c.why
			}
			d, err := learnIt(t, t.Context(), o)
			if err != nil {
				t.Fatal(explain(err))
			}
			if d.Nodes != c.nodes || (d.Trouble != "") != (c.why != nil) || !strings.Contains(d.Words[0], c.want) {
				t.Errorf("draft %+v", d)
			}
			text, err := os.ReadFile(tried)
			if err != nil || !strings.HasSuffix(d.TOML, string(text[strings.Index(string(text), "\nsummary"):])) || !strings.Contains(d.TOML, "# - "+strings.Split(d.Words[0], "\n")[0]) {
				t.Errorf("tried was\n%s\nand the draft is\n%s", text, d.TOML)
			}
		})
	}
}
