package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"onemore/launcher/internal/template"
	"onemore/templates"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// goldenOptions are the same for every template, so that a template that is new is covered without a word here. What a
// source says that a template can't do without is in testdata/sources.
func goldenOptions(tt *testing.T, t *template.Template, nodes ...int) Options {
	tt.Helper()
	o := Options{
		Cluster: "default", ID: "0123456789abcdef", Secret: "00112233445566778899aabbccddeeff", Dir: "/home/u/.local/state/onemore/default",
		Nodes: nodes, Onemore: "/usr/local/bin/onemore", Tools: map[string]string{},
	}
	if t.Program.Command != "" {
		o.Bin = "/usr/bin/" + t.Program.Command
	}
	for _, name := range t.Program.Needs {
		o.Tools[name] = "/usr/bin/" + name
	}
	if t.Copy.Source == "required" {
		o.Source = "/home/u/" + t.Name
		var err error
		if o.Config, err = t.ReadConfig(os.DirFS(filepath.Join("testdata", "sources", t.Name)), o.Source, nil); err != nil {
			tt.Fatal(err)
		}
	}
	return o
}

// TestGoldenPlans keeps, for every template that comes with onemore, the whole plan of three nodes and of a fourth that
// is added while node 1 is down. After a change that is meant: go test ./launcher/internal/plan -update, and read the
// difference.
func TestGoldenPlans(t *testing.T) {
	set := template.NewSet(templates.FS)
	names, err := set.Names()
	if err != nil || len(names) == 0 {
		t.Fatalf("templates %v, %v", names, err)
	}
	h := Host{EphemeralLow: 32768, EphemeralHigh: 60999}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			tpl, err := set.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			three, err := Make(tpl, goldenOptions(t, tpl, 1, 2, 3), h)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".json", three)
			if tpl.Membership == "fixed" {
				if _, err := Make(tpl, Options{Formed: three, Nodes: []int{4}}, h); err == nil {
					t.Error("a node was added to a cluster that keeps its nodes")
				}
				return
			}
			four, err := Make(tpl, Options{Formed: three, Nodes: []int{4}, Acting: []int{2, 3}}, h)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+"-add.json", four.node(4))
		})
	}
}

func compareGolden(t *testing.T, file string, got any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "plans", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (a new template? run this test with -update)", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s differs (run with -update if it is meant):\n%s", path, diff)
	}
}
