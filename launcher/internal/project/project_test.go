package project

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// write lays a project folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, map[string]string{FileName: `
cluster = "shop"
template = "./own/kvd.toml"
source = "server"
bin = "/opt/kvd"
nodes = 4
offset = 10
base = 20000
host = "127.0.0.1"
spread = "port"
join = "command"
timeout = "90s"
[env]
A = "1"
[params]
size = "small"
[set]
http = 8080
[files]
"etc/a.conf" = "x = 1\n"
run = { from = "hook.sh" }
[node.3]
source = "../old"
bin = "bin/kvd"
[node.3.env]
A = "3"
[node.3.set]
http = 9090
[node.3.files]
"etc/a.conf" = { from = "a3.conf" }
`, "hook.sh": "#!/bin/sh\n", "a3.conf": "x = 3\n"})
	got, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	want := &Project{Path: filepath.Join(dir, FileName), Cluster: "shop", Template: filepath.Join(dir, "own/kvd.toml"), Source: filepath.Join(dir, "server"),
		Bin: "/opt/kvd", Nodes: 4, Offset: 10, Base: "20000", Host: "127.0.0.1", Spread: "port", Join: "command", Timeout: Duration{90 * time.Second},
		Env: map[string]string{"A": "1"}, Params: map[string]string{"size": "small"}, Set: map[string]int{"http": 8080},
		Files: map[string]*File{"etc/a.conf": {Text: "x = 1\n"}, "run": {Text: "#!/bin/sh\n", Exec: true, from: "hook.sh"}},
		Node: map[int]Node{3: {Source: filepath.Join(filepath.Dir(dir), "old"), Bin: filepath.Join(dir, "bin/kvd"), Env: map[string]string{"A": "3"},
			Set: map[string]int{"http": 9090}, Files: map[string]*File{"etc/a.conf": {Text: "x = 3\n", from: "a3.conf"}}}}}
	got.nodeTables, got.lines = nil, nil
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Project{}, File{})); d != "" {
		t.Error(d)
	}
}

func TestNamesStayNames(t *testing.T) {
	dir := write(t, map[string]string{FileName: "template = \"kvd\"\nbase = \"auto\"\n"})
	p, err := Load(filepath.Join(dir, FileName))
	if err != nil || p.Template != "kvd" || p.Base != "auto" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys": {"nodes = 3\nclustr = \"x\"\n[node.2]\nsauce = \"y\"\n", []string{"line 2: clustr: unknown key", "line 4: node.2.sauce: unknown key"}},
		"syntax":       {"nodes = 3\nenv = [\n", []string{"line 2: "}},
		"kind":         {"nodes = 3\noffset = \"many\"\n", []string{"line 2: offset: want a whole number, not a text"}},
		"kinds": {"env = 3\nparams = \"x\"\nset = true\nfiles = 5\nnode = 7\nhost = 1\ntimeout = 2\nnodes = 1.5\n", []string{
			"line 1: env: want a table, not a whole number", "line 2: params: want a table, not a text", "line 3: set: want a table, not true or false",
			"line 4: files: want a table", "line 5: node: want a table", `line 6: host: want a text, not a whole number: write "1"`,
			`line 7: timeout: "2": 2 what? write "2s"`, "line 8: nodes: want a whole number, not a number with a fraction"}},
		"kinds in tables": {"[env]\nA = 1\n[set]\nws = \"x\"\n[node]\n1 = 2\n[node.2]\nset = []\n[[params]]\n", []string{"line 2: env.A: want a text",
			"line 4: set.ws: want a whole number", "line 6: node.1: want a table", "line 8: node.2.set: want a table, not a list", "line 9: params: want a table"}},
		"case":         {"Nodes = 3\n", []string{"line 1: Nodes: unknown key"}},
		"join":         {"join = \"sideways\"\n", []string{`line 1: join: "sideways": use config, command or none`}},
		"a long text":  {"[files]\na = \"\"\"\noffset = 1\n\"\"\"\n[node.1]\nx = 1\n", []string{"line 6: node.1.x: unknown key"}},
		"no nodes":     {"nodes = 0\n", []string{"line 1: nodes: a cluster of 0 nodes"}},
		"less":         {"\nnodes = -2\n", []string{"line 2: nodes: a cluster of -2 nodes"}},
		"offset":       {"offset = -1\n", []string{"line 1: offset: -1 is no step"}},
		"offset 0":     {"offset = 0\n", []string{"line 1: offset: 0 is no step"}},
		"base":         {"base = \"up\"\n", []string{`line 1: base: "up" is neither`}},
		"base kind":    {"base = true\n", []string{`line 1: base: want "auto" or a whole number, not true or false`}},
		"clean env":    {"clean_env = \"yes\"\n", []string{"line 1: clean_env: want true or false, not a text"}},
		"base beyond":  {"base = 70000\n", []string{"line 1: base: "}},
		"spread":       {"spread = \"wide\"\n", []string{`line 1: spread: "wide"`}},
		"timeout":      {"timeout = \"soon\"\n", []string{`line 1: timeout: "soon" is no time`}},
		"no timeout":   {"timeout = \"-1s\"\n", []string{`line 1: timeout: "-1s"`}},
		"port":         {"[set]\nhttp = 99999\n[node.1.set]\nws = 0\n", []string{"line 2: set.http: 99999 is no port", "line 4: node.1.set.ws: 0 is no port"}},
		"node":         {"[node.first]\nbin = \"x\"\n[node.0]\n", []string{"line 1: node.first: a node's number", "line 3: node.0: a node's number"}},
		"node twice":   {"[node.1]\n[node.01]\n", []string{"line 2: node.01: a node's number"}},
		"path":         {"[files]\n\"../x\" = \"\"\n", []string{"line 2: files.\"../x\": want a path inside"}},
		"absolute":     {"[node.1.files]\n\"/etc/x\" = \"\"\n", []string{"want a path inside"}},
		"file kind":    {"[files]\nx = 3\n", []string{"want a text, or { from"}},
		"file keys":    {"[files]\nx = { from = \"a\", mode = 1 }\n", []string{"want a text, or { from"}},
		"missing":      {"[files]\nx = { from = \"nothere\" }\n", []string{"line 2: files.x: ", "nothere: no such file"}},
		"folder":       {"[files]\nx = { from = \".\" }\n", []string{"is no file"}},
		"binary":       {"[files]\nx = { from = \"bin\" }\n", []string{"is no text"}},
		"variable":     {"[env]\n\"A=B\" = \"x\"\n", []string{"line 2: env.\"A=B\": not a variable"}},
		"command":      {"command = []\n", []string{"line 1: command: it is empty"}},
		"no command":   {"ready = \"/\"\nlisteners = { http = 0 }\n", []string{"line 1: ready: it is for a program of your own", "line 2: listeners.http: 0 is no port"}},
		"both":         {"command = [\"x\"]\ntemplate = \"kvd\"\n", []string{"line 2: template: a cluster with a command has no template"}},
		"ready":        {"command = [\"x\"]\nready = \"/\"\n", []string{"line 2: ready: want the path of an HTTP request to the first of listeners"}},
		"listener":     {"command = [\"x\"]\n[listeners]\n\"a b\" = 1\n", []string{"line 3: listeners.\"a b\": letters, digits"}},
		"no array":     {"command = \"x\"\nwatch = [1]\n", []string{"line 1: command: want a list, not a text", "line 2: watch: want a text"}},
		"a name alone": {"stack = \"x\"\n", []string{"line 1: stack: x names a stack"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{FileName: c.text, "bin": "\x00\xff"})
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

func TestNoFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), FileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// keysOf are the keys of the file, as the types have them.
func keysOf(typ reflect.Type, prefix string, put func(string)) {
	for f := range typ.Fields() {
		if key := f.Tag.Get("toml"); key != "" && key != "-" {
			put(prefix + key)
		}
	}
}

func allKeys() []string {
	keys := []string{"node"}
	put := func(k string) { keys = append(keys, k) }
	keysOf(reflect.TypeFor[Project](), "", put)
	keysOf(reflect.TypeFor[Node](), "node.N.", put)
	return keys
}

// TestSample wants the sample to be a project file as it is, and with every comment that is a key taken away; and it
// names every key.
func TestSample(t *testing.T) {
	given := Project{Cluster: "shop", Template: "kvd", Source: "./a \"b\"", Nodes: 5}
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	if err := Write(path, Sample(given)); err != nil {
		t.Fatal(err)
	}
	p, err := Load(path)
	if err != nil || p.Cluster != "shop" || p.Template != "kvd" || p.Source != filepath.Join(dir, `a "b"`) || p.Nodes != 5 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := Write(path, "x"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file was replaced: %v", err)
	}
	live := regexp.MustCompile(`(?m)^# (\[[a-z0-9.]+\]|"?[A-Za-z_/.]+"? = .*)$`).ReplaceAllString(Sample(Project{}), "$1")
	var all map[string]any
	if _, err := toml.Decode(live, &all); err != nil {
		t.Fatalf("%v in\n%s", err, live)
	}
	for _, without := range []string{"command|listeners|ready|build|watch", "template|bin|join|params|size"} { // what excludes each other
		one := regexp.MustCompile(`(?m)^\[?(`+without+`)(\]| = ).*$`).ReplaceAllString(live, "")
		if _, err := parse(path, []byte(one)); err != nil {
			t.Errorf("%v in\n%s", err, one)
		}
	}
	for _, key := range allKeys() {
		at := any(all)
		for _, part := range strings.Split(strings.ReplaceAll(key, "N", "3"), ".") {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		if at == nil {
			t.Errorf("key %s is not in the sample", key)
		}
	}
}

// TestDocs wants every key in docs/project.md, and no other one.
func TestDocs(t *testing.T) {
	src, err := os.ReadFile("../../../docs/project.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, key := range allKeys() {
		want[key] = true
	}
	got := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(src), -1) {
		got[m[1]] = true
	}
	delete(want, "node") // its table is a section
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
