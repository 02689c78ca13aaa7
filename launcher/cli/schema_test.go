package cli

import (
	"bytes"
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"onemore/launcher/internal/project"
	"onemore/launcher/internal/schema"
	"onemore/launcher/internal/template"
)

var update = flag.Bool("update", false, "write the schemas in docs/schema anew")

// comments are those of the fields of all structs in a folder, by STRUCT.FIELD.
func comments(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	out := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			of, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range of.Fields.List {
				for _, name := range field.Names {
					text := strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
					out[spec.Name.Name+"."+name.Name] = text
				}
			}
			return true
		})
	}
	return out
}

// keyRows are the rows of a page's tables of keys: | `key` | text |.
func keyRows(t *testing.T, page string) map[string]string {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(src)) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && strings.HasPrefix(cells[1], " `") {
			out[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	return out
}

// TestSchemas wants docs/schema to be what the structs say.
func TestSchemas(t *testing.T) {
	for _, tt := range []struct {
		file, title, dir, page string
		make                   func(schema.About) *schema.Schema
	}{
		{"project.json", "onemore.toml: the cluster of a project", "project", "project.md", project.Schema},
		{"template.json", "template.toml: one kind of server", "template", "templates.md", template.Schema},
	} {
		about := comments(t, filepath.Join("..", "internal", tt.dir))
		rows := keyRows(t, filepath.Join("..", "..", "docs", tt.page))
		got, err := tt.make(func(of reflect.Type, f reflect.StructField) string {
			return cmp.Or(about[of.Name()+"."+f.Name], rows[strings.ToLower(of.Name())+".N."+f.Tag.Get("toml")], rows[f.Tag.Get("toml")])
		}).JSON(tt.title)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "schema", tt.file)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the structs say: go test ./launcher/cli -run TestSchemas -update", path)
		}
		if bytes.Count(got, []byte(`"description"`)) < 5 {
			t.Errorf("%s has hardly a description", path)
		}
	}
}
