package plan

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/template"
)

// TestOwnSource: the listeners, places and passwords of a node with a source of its own are where that source has them.
func TestOwnSource(t *testing.T) {
	tmpl, err := template.Parse("kv", []byte(kv))
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) *template.Config {
		t.Helper()
		c, err := tmpl.ReadConfig(fstest.MapFS{"s.conf": {Data: []byte(text)}}, "/src", nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	o := Options{Cluster: "c", ID: "ID", Secret: "S", Dir: "/h/c", Nodes: []int{1, 2}, Source: "/src", Config: read("listen.a = 6000\nstore = here\npassword = one\n"),
		Node: map[int]NodeOptions{2: {Source: "/other"}}, Configs: map[int]*template.Config{2: read("listen.a = 6500\nstore = /var/kv\npassword = two\nadmin.port = 7000\n")}}
	p, err := Make(tmpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	value := func(n Node, key string) string {
		for _, e := range n.Edits {
			if i := slices.IndexFunc(e.Edits, func(e confedit.Edit) bool { return e.Key == key }); i >= 0 {
				return e.Edits[i].Value
			}
		}
		return ""
	}
	if got := value(p.Nodes[0], "store"); got != "" {
		t.Errorf("node 1 has its store at %q", got)
	}
	if got := value(p.Nodes[1], "store"); got != "data" {
		t.Errorf("node 2 has its store at %q", got)
	}
	for i, want := range []string{"PASSWORD=one", "PASSWORD=two"} {
		if !slices.Contains(p.Nodes[i].Env, want) {
			t.Errorf("node %d has no %s: %v", i+1, want, p.Nodes[i].Env)
		}
	}
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "store = /var/kv") }) {
		t.Errorf("nobody is told of the store: %v", p.Notes)
	}
	o.Configs[2] = read("listen.b = 6600\n")
	if _, err := Make(tmpl, o, Host{}); err == nil || !strings.Contains(err.Error(), "source of node 2 has a listener that the cluster's source does not have: listen.b (port 6600)") {
		t.Errorf("a listener that only one source has: %v", err)
	}
}
