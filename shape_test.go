package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a newcomer can hold in the head: longer files and functions, and types with more methods, are to be divided.
const (
	maxFileLines     = 400
	maxFunctionLines = 60
	maxMethods       = 25
)

// TestShape checks the sizes of files, functions and types. Functions of tests may be longer: a test is a list of steps.
func TestShape(t *testing.T) {
	methods := map[string]int{}
	seen := 0
	walkGo(t, func(file string, _ []string) {
		seen++
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(src), "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: divide it", file, n, maxFileLines)
		}
		if !strings.HasSuffix(file, "_test.go") {
			checkFunctions(t, file, src, methods)
		}
	})
	for name, n := range methods {
		if n > maxMethods {
			t.Errorf("%s has %d methods, more than %d: divide it", name, n, maxMethods)
		}
	}
	if seen < 50 || len(methods) < 50 {
		t.Fatalf("looked at %d files and %d types only: the walk is broken", seen, len(methods))
	}
}

// checkFunctions reports long functions of a file and counts methods by folder and receiver.
func checkFunctions(t *testing.T, file string, src []byte, methods map[string]int) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		if lines > maxFunctionLines {
			t.Errorf("%s: %s has %d lines, more than %d: divide it", file, fn.Name.Name, lines, maxFunctionLines)
		}
		if fn.Recv != nil {
			methods[filepath.Dir(file)+"."+receiver(fn)]++
		}
	}
}

// receiver is the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return "?"
		}
	}
}
