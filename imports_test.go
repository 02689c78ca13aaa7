package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rule says which packages below a folder may import what: an import that starts with one of deny is an error in every
// file below in, unless the file is below one of but.
type rule struct {
	in   string
	deny []string
	but  []string
	why  string
}

var rules = []rule{
	{in: "launcher", deny: []string{"onemore/nodecore"}, but: []string{"launcher/launchertest"}, why: "launcher and nodecore share no code"},
	{in: "nodecore", deny: []string{"onemore/launcher", "onemore/templates"}, why: "launcher and nodecore share no code"},
	{in: "launcher/internal", deny: []string{"onemore/launcher/cli", "onemore/launcher/launchertest"}, why: "arrows point down"},
	{in: "nodecore/internal", deny: []string{"onemore/nodecore/cli"}, why: "arrows point down"},
	{in: "launcher/internal/confedit", deny: []string{"os", "net", "time", "math/rand", "onemore/"}, why: "confedit is pure"},
	{in: "launcher/internal/plan", deny: []string{"os", "net/http", "time", "math/rand", "crypto/rand", "onemore/launcher/internal/keeper", "onemore/launcher/internal/ports", "onemore/launcher/internal/proc", "onemore/launcher/internal/state", "onemore/launcher/internal/probe", "onemore/launcher/internal/nodedir"}, why: "plan is pure"},
	{in: "launcher/internal/export", deny: []string{"os", "net", "time", "math/rand", "crypto/rand"}, why: "export is pure"},
	{in: "e2e", deny: []string{"onemore/"}, why: "the whole program is tested from outside"},
	{in: "bench", deny: []string{"onemore/"}, why: "the whole program is measured from outside"},
	{in: "templates", deny: []string{"onemore/"}, why: "templates are data"},
	{in: ".", deny: []string{"github.com/spf13/cobra"}, but: []string{"launcher/cli", "nodecore/cli", "docs/man", "main.go"}, why: "cobra stands in the command lines only"},
	{in: ".", deny: []string{"github.com/hashicorp/memberlist"}, but: []string{"nodecore/internal/member"}, why: "member is the only user of memberlist"},
	{in: ".", deny: []string{"github.com/mochi-mqtt/"}, but: []string{"nodecore/internal/broker"}, why: "broker is the only user of the MQTT engine"},
	{in: ".", deny: []string{"os/exec", "github.com/shirou/gopsutil"}, but: []string{"launcher/internal/proc", "nodecore/internal/floor", "e2e", "bench"}, why: "proc is the only user of os/exec and gopsutil"},
}

// mayKnow is what the packages below launcher/internal and nodecore/internal import of each other; one without an entry imports none.
// docs/architecture.md has it as a picture.
var mayKnow = map[string][]string{
	"template": {"confedit", "schema"},
	"schema":   {"nearest"},
	"project":  {"schema"},
	"plan":     {"confedit", "nearest", "template"},
	"export":   {"plan"},
	"probe":    {"proc"},
	"release":  {"archive", "state"},
	"learn":    {"confedit", "nodedir", "ports", "probe", "proc", "state", "template"},
	"control":  {"plan"},
	// What a keeper is made of, from the bottom to the top.
	"node":      {"confedit", "control", "nodedir", "plan", "ports", "probe", "proc", "state"},
	"cluster":   {"control", "node", "nodedir", "plan", "ports", "probe", "proc", "state"},
	"operation": {"cluster", "control", "node", "nodedir", "plan", "ports", "probe", "state"},
	"keeper":    {"cluster", "control", "node", "nodedir", "operation", "proc", "state"},
	// The built-in node.
	"peer":   {"ring"},
	"broker": {"netpoll", "peer", "ring", "store", "topic", "webcheck"},
	"member": {"faults"},
	"floor":  {"member"}, // measures what a cluster of nothing but members costs
}

func TestImports(t *testing.T) {
	seen := 0
	knows := map[string]map[string]bool{}
	walkGo(t, func(file string, imports []string) {
		seen++
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, imp := range imports {
			for _, r := range rules {
				if below(file, r.in) && !belowAny(file, r.but) && hasPrefix(imp, r.deny) {
					t.Errorf("%s imports %s: %s", file, imp, r.why)
				}
			}
			checkSibling(t, file, imp, knows)
		}
	})
	if seen < 50 {
		t.Fatalf("looked at %d files only: the walk is broken", seen)
	}
	for me, others := range mayKnow {
		for _, other := range others {
			if !knows[me][other] {
				t.Errorf("%s may import %s, and does not: take it out of mayKnow", me, other)
			}
		}
	}
}

// checkSibling reports an import of another internal package of the same half that is not in mayKnow, and notes it in knows.
func checkSibling(t *testing.T, file, imp string, knows map[string]map[string]bool) {
	t.Helper()
	for _, internal := range []string{"launcher/internal/", "nodecore/internal/"} {
		other, ok := strings.CutPrefix(imp, "onemore/"+internal)
		if !ok || !strings.HasPrefix(file, internal) {
			continue
		}
		me, _, _ := strings.Cut(strings.TrimPrefix(file, internal), "/")
		if knows[me] == nil {
			knows[me] = map[string]bool{}
		}
		knows[me][other] = true
		if other != me && !slices.Contains(mayKnow[me], other) {
			t.Errorf("%s imports %s: %s knows only %v", file, imp, me, mayKnow[me])
		}
	}
}

// TestLinks: what renders manual pages, and what tests import, is not linked into the program.
func TestLinks(t *testing.T) {
	var p struct{ ImportPath string }
	seen := 0
	never := []string{"testing", "github.com/spf13/cobra/doc", "github.com/cpuguy83/go-md2man/", "github.com/rogpeppe/", "pgregory.net/"}
	goList(t, &p, func() bool {
		seen++
		if hasPrefix(p.ImportPath, never) {
			t.Errorf("the program links %s", p.ImportPath)
		}
		return true
	}, "-deps", "-json=ImportPath", ".")
	if seen < 100 {
		t.Errorf("found %d packages only: the list is broken", seen)
	}
}

// TestNoServerNames: a server is data. A name in launcher's Go code would be a special case.
func TestNoServerNames(t *testing.T) {
	names := []string{"emqx", "nats", "etcd", "redis", "rabbit", "mosquitto", "mnesia", "epmd", "kafka", "zookeeper"}
	seen := 0
	err := filepath.WalkDir("launcher", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		for _, name := range names {
			if line, ok := grepCode(t, path, name); ok {
				t.Errorf("%s names a server: %s", path, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("looked at %d files only: the walk is broken", seen)
	}
}

func TestPackageDocs(t *testing.T) {
	docs := map[string]bool{}
	walkGo(t, func(file string, _ []string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(file)
		docs[dir] = docs[dir] || f.Doc != nil
	})
	for dir, ok := range docs {
		if !ok {
			t.Errorf("package in %s has no package comment", dir)
		}
	}
}

// TestNoSleep: a fixed time is too long on one machine and too short on another. Tests wait for what they need, too.
func TestNoSleep(t *testing.T) {
	walkGo(t, func(file string, _ []string) {
		if line, ok := grepCode(t, file, "time."+"sleep("); ok {
			t.Errorf("%s sleeps: %s", file, line)
		}
	})
}

func walkGo(t *testing.T, visit func(file string, imports []string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imp)
		}
		visit(filepath.ToSlash(path), imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func below(file, dir string) bool {
	return dir == "." || file == dir || strings.HasPrefix(file, dir+"/")
}

func belowAny(file string, dirs []string) bool {
	for _, d := range dirs {
		if below(file, d) {
			return true
		}
	}
	return false
}

// hasPrefix matches a whole import path, or all below one that ends in a slash or is a module.
func hasPrefix(imp string, deny []string) bool {
	for _, d := range deny {
		if imp == d || strings.HasPrefix(imp, strings.TrimSuffix(d, "/")+"/") {
			return true
		}
	}
	return false
}

// grepCode finds a word in a file's code; comments may name servers as examples.
func grepCode(t *testing.T, path, word string) (string, bool) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(src)) {
		code, _, _ := strings.Cut(line, "//")
		if strings.Contains(strings.ToLower(code), word) && !allowed(code, word) {
			return strings.TrimSpace(line), true
		}
	}
	return "", false
}

// allowed are config dialects, which are called after the program that speaks them: formats, not servers. Help texts may
// show a template's name in an example.
func allowed(code, word string) bool {
	code = strings.TrimSpace(code)
	return strings.HasPrefix(code, "Example:") || strings.Contains(code, "confedit:dialect")
}
