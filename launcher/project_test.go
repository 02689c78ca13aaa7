package launcher

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestOptionsOver(t *testing.T) {
	a, b := FilePlan{Path: "a", Text: "flag"}, FilePlan{Path: "a", Text: "project"}
	flags := Options{Cluster: "mine", Offset: 5, Set: map[string]int{"http": 1}, Env: map[string]string{"A": "flag"}, Roles: map[string]int{"broker": 2}, User: "me", Files: []FilePlan{a},
		Nodes: map[int]NodeOptions{2: {Source: "/new", Env: map[string]string{"A": "2"}}}}
	under := Options{Cluster: "theirs", Template: "kvd", Offset: 9, Base: "auto", Least: 4, Timeout: time.Second, Set: map[string]int{"http": 2, "ws": 3},
		Env: map[string]string{"A": "project", "B": "project"}, Roles: map[string]int{"broker": 1, "controller": 3}, User: "you", Files: []FilePlan{b},
		Nodes: map[int]NodeOptions{2: {Source: "/old", Bin: "/bin/old", Env: map[string]string{"B": "2"}}, 3: {Bin: "/bin/3"}}}
	want := Options{Cluster: "mine", Template: "kvd", Offset: 5, Base: "auto", Least: 4, Timeout: time.Second, Set: map[string]int{"http": 1, "ws": 3},
		Env: map[string]string{"A": "flag", "B": "project"}, Roles: map[string]int{"broker": 2, "controller": 3}, User: "me", Params: map[string]string{}, Files: []FilePlan{b, a},
		Nodes: map[int]NodeOptions{2: {Source: "/new", Bin: "/bin/old", Env: map[string]string{"A": "2", "B": "2"}, Set: map[string]int{}}, 3: {Bin: "/bin/3"}}}
	before := under.Nodes[2].Env["A"]
	if d := cmp.Diff(want, flags.Over(under), cmpopts.IgnoreUnexported(Options{})); d != "" {
		t.Error(d)
	}
	if under.Nodes[2].Env["A"] != before || under.Nodes[2].Source != "/old" {
		t.Error("the project's options were changed")
	}
}

// TestInitProject: what init writes is a project that says what was given, for a cluster named after the folder.
func TestInitProject(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My Shop (2)")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ProjectFile)
	if err := InitProject(path, Options{Template: "./kvd.toml", Source: "server", Count: 4}); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadProject(path)
	if err != nil || p.Cluster != "my-shop-2" || p.Options.Least != 4 || p.Options.Template != filepath.Join(wd, "kvd.toml") || p.Options.Source != filepath.Join(wd, "server") {
		t.Errorf("%+v, %v", p, err)
	}
	in, ok := errors.AsType[*InputError](InitProject(path, Options{}))
	if !ok || !errors.Is(in, fs.ErrExist) {
		t.Errorf("error %v", in)
	}
	for folder, want := range map[string]string{"a": "a", "": "default", "...": "default", "ÄÖ": "default", "A_b": "a-b",
		"a-very-long-name-of-a-folder": "a-very-long-name-of-a-fo"} {
		if got := clusterName(folder); got != want {
			t.Errorf("folder %q makes %q, want %q", folder, got, want)
		}
	}
}
