package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layered are the packages whose files are layers too: a file calls only files below it, so that each can be read knowing only those.
var layered = []string{"keeper", "operation", "cluster", "node", "control"}

// TestFilesCallDown counts the upward calls between the files of each layered package, and wants none. Counted is each place where a
// function in one file calls a function or method that another file of the package declares, and the other file, directly or
// through further files, calls back: then neither of the two is below the other.
func TestFilesCallDown(t *testing.T) {
	exports := exportFiles(t)
	seen := 0
	for _, name := range layered {
		calls := callsBetweenFiles(t, "./launcher/internal/"+name, exports)
		seen += len(calls)
		for _, c := range calls {
			if back := pathOf(calls, c.to, c.from); back != nil {
				t.Errorf("%s calls %s in %s, which calls back: %s", c.at, c.name, c.to, strings.Join(back, " → "))
			}
		}
	}
	if seen < 100 {
		t.Errorf("found %d calls between files only: the search is broken", seen)
	}
}

// call is a place where a file calls what another one declares.
type call struct{ from, to, name, at string }

// callsBetweenFiles returns the calls between the files of a package, tests left out.
func callsBetweenFiles(t *testing.T, dir string, exports map[string]string) []call {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range goFiles(t, dir) {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	open := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("%q has no export data", path)
		}
		return os.Open(exports[path])
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", open)}
	pkg, err := config.Check(dir, fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	var out []call
	for id, obj := range info.Uses {
		fn, ok := obj.(*types.Func)
		if !ok || fn.Pkg() != pkg {
			continue
		}
		at, to := fset.Position(id.Pos()), fset.Position(fn.Origin().Pos()).Filename
		if at.Filename != to {
			out = append(out, call{from: at.Filename, to: to, name: fn.Name(), at: at.String()})
		}
	}
	slices.SortFunc(out, func(a, b call) int { return strings.Compare(a.at, b.at) })
	return out
}

// pathOf returns a way of calls from one file to another, or nil.
func pathOf(calls []call, from, to string) []string {
	before := map[string]string{from: from}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		file := next[0]
		if file == to {
			path := []string{file}
			for file != from {
				file = before[file]
				path = append([]string{file}, path...)
			}
			return path
		}
		for _, c := range calls {
			if c.from == file && before[c.to] == "" {
				before[c.to] = file
				next = append(next, c.to)
			}
		}
	}
	return nil
}

// goFiles are the files that the package in dir is built of here.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	var p struct{ GoFiles []string }
	goList(t, &p, func() bool { return false }, "-json=GoFiles", dir)
	return p.GoFiles
}

// exportFiles are the compiled packages below the layered ones, by import path.
func exportFiles(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var p struct{ ImportPath, Export string }
	args := []string{"-deps", "-export", "-json=ImportPath,Export"}
	for _, name := range layered {
		args = append(args, "./launcher/internal/"+name)
	}
	goList(t, &p, func() bool { out[p.ImportPath] = p.Export; return true }, args...)
	return out
}

// goList decodes what `go list` prints into p, value by value, as long as next wants more.
func goList(t *testing.T, p any, next func() bool, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(b))); ; {
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if !next() {
			return
		}
	}
}
