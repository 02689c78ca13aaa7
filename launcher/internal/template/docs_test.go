package template

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// keysOf collects every TOML key of a type, and of the types inside of it.
func keysOf(typ reflect.Type, keys map[string]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[Duration]() {
		return
	}
	for f := range typ.Fields() {
		key := f.Tag.Get("toml")
		if key != "" && key != "-" {
			keys[key] = true
		}
		if f.IsExported() || f.Anonymous {
			keysOf(f.Type, keys)
		}
	}
}

// TestDocs wants every key, every name and every function of the language in docs/templates.md.
func TestDocs(t *testing.T) {
	src, err := os.ReadFile("../../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(src)
	keys := make(map[string]bool)
	keysOf(reflect.TypeFor[document](), keys)
	keysOf(reflect.TypeFor[joinTable](), keys)
	if len(keys) < 60 || !keys["grace"] || !keys["if_exists"] || !keys["listeners"] {
		t.Fatalf("%d keys were found: %v", len(keys), keys)
	}
	for key := range keys {
		if !strings.Contains(doc, "`"+key+"`") && !strings.Contains(doc, "["+key+".") && !strings.Contains(doc, "["+key+"]") {
			t.Errorf("key %q is not in docs/templates.md", key)
		}
	}
	for name := range scopeNames()[inNode] {
		if !strings.Contains(doc, "`."+name) {
			t.Errorf("{{.%s}} is not in docs/templates.md", name)
		}
	}
	for name := range functions() {
		if !strings.Contains(doc, "`"+name+" ") && !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("function %q is not in docs/templates.md", name)
		}
	}
	for _, signal := range signalNames {
		if !strings.Contains(doc, "`"+signal+"`") {
			t.Errorf("signal %s is not in docs/templates.md", signal)
		}
	}
}

// TestDocsExample wants the worked example, and the recipes, to be templates.
func TestDocsExample(t *testing.T) {
	src, err := os.ReadFile("../../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(src), "```toml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if i > 0 { // a recipe is a part of one
			head := "[node]\nname = \"n{{.NameIndex}}\"\n[program]\nneeds = [\"etcdctl\", \"initdb\", \"pg_basebackup\"]\n"
			for _, name := range []string{"client", "peer", "cluster"} {
				head += "[listeners." + name + "]\nport = 1\n"
			}
			if !strings.Contains(text, "[start]") {
				head += "[start]\ncommand = [\"x\"]\n"
			}
			text = head + strings.ReplaceAll(text, `file = "server.conf"`, `file = "server.conf"`+"\nformat = \"properties\"")
		}
		tpl, err := Parse("example", []byte(text))
		if err != nil {
			t.Errorf("example %d: %v\n%s", i, err, text)
			continue
		}
		if i == 0 && !slices.Equal(listenerNames(tpl.Listeners), []string{"admin", "bus", "client"}) {
			t.Errorf("listeners %v", listenerNames(tpl.Listeners))
		}
	}
}
