package project

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStack(t *testing.T) {
	dir := write(t, map[string]string{FileName: `
stack = "shop"
base = "auto"
timeout = "90s"
[env]
DB = '{{(stack "db").URLs "client"}}'
[clusters.api]
needs = ["db", "mq"]
command = ["./api"]
listeners.http = 8080
nodes = 2
[clusters.db]
template = "./db.toml"
base = 20000
[clusters.db.node.2]
bin = "bin/db"
[clusters.mq]
`})
	p, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Stack
	if s == nil || s.Name != "shop" || !slices.Equal(s.Order, []string{"db", "mq", "api"}) || s.Env["DB"] == "" {
		t.Fatalf("got %+v", s)
	}
	api, db, mq := s.Clusters["api"], s.Clusters["db"], s.Clusters["mq"]
	if !slices.Equal(api.Needs, []string{"db", "mq"}) || api.Listeners["http"] != 8080 || api.Nodes != 2 || api.Base != "auto" || api.Timeout.Duration != 90*time.Second {
		t.Errorf("api: %+v", api)
	}
	if db.Template != filepath.Join(dir, "db.toml") || db.Base != "20000" || db.Node[2].Bin != filepath.Join(dir, "bin/db") || mq.Template != "" {
		t.Errorf("db: %+v, mq: %+v", db, mq)
	}
	if got := db.Where("node.2.bin"); !strings.HasSuffix(got, "line 16: clusters.db.node.2.bin") {
		t.Errorf("place %q", got)
	}
}

func TestStackRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"circle":      {"[clusters.a]\nneeds = [\"b\"]\n[clusters.b]\nneeds = [\"c\"]\n[clusters.c]\nneeds = [\"b\"]\n", []string{"line 4: clusters.b.needs: a circle, in which none can be the first: b needs c needs b"}},
		"itself":      {"[clusters.a]\nneeds = [\"a\"]\n", []string{"line 2: clusters.a.needs: a circle, in which none can be the first: a needs a"}},
		"no such":     {"[clusters.a]\nneeds = [\"z\"]\n[clusters.b]\n", []string{`line 2: clusters.a.needs: the stack has no cluster "z"; it has a, b`}},
		"outside":     {"nodes = 3\ntemplate = \"x\"\n[clusters.a]\n", []string{"line 1: nodes: in a stack it is for one cluster", "line 2: template: in a stack"}},
		"unknown":     {"stak = \"x\"\n[clusters.a]\nnods = 1\n", []string{"line 1: stak: unknown key", "line 3: clusters.a.nods: unknown key"}},
		"name":        {"[clusters.A]\n[clusters.a-very-long-name-of-one]\n", []string{"line 1: clusters.A: can't name", "line 2: clusters.a-very-long-name-of-one: can't name"}},
		"cluster":     {"[clusters.a]\ncluster = \"x\"\n", []string{"line 2: clusters.a.cluster: unknown key here"}},
		"kinds":       {"[clusters]\na = 1\n[clusters.b]\nneeds = \"a\"\nnodes = 0\n", []string{"line 2: clusters.a: want a table", "line 4: clusters.b.needs: want a list", "line 5: clusters.b.nodes: a cluster of 0"}},
		"none":        {"clusters = 3\n", []string{"line 1: clusters: want tables"}},
		"base":        {"base = \"x\"\n[clusters.a]\n", []string{`line 1: base: "x" is neither`}},
		"empty table": {"[clusters]\n", []string{"line 1: clusters: want tables"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{FileName: c.text})
			_, err := Load(filepath.Join(dir, FileName))
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}
