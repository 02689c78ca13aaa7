package confedit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// flatten writes a decoded file as one text a scalar, under the key that List would give it. Empty tables and arrays are
// left out.
func flatten(into map[string]string, path []string, v any) {
	at := func(name string) []string { return append(path[:len(path):len(path)], name) }
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			flatten(into, at(name), child)
		}
	case []map[string]any:
		for i, child := range v {
			flatten(into, at(fmt.Sprint(i)), child)
		}
	case []any:
		for i, child := range v {
			flatten(into, at(fmt.Sprint(i)), child)
		}
	case nil:
		if len(path) > 0 {
			into[joinPath(path)] = "<nil> "
		}
	default:
		into[joinPath(path)] = fmt.Sprintf("%T %v", v, v)
	}
}

// agree checks that a reader which took the file before takes it afterwards, sees the value, and sees nothing else changed.
func agree(t *testing.T, format string, decode func([]byte) (map[string]string, error), src, out []byte, key, value string) {
	t.Helper()
	before, err := decode(src)
	if err != nil || !utf8.Valid(src) {
		return
	}
	after, err := decode(out)
	if err != nil {
		t.Fatalf("the reference reader refuses the outcome: %v\nbefore %q\nafter  %q", err, src, out)
	}
	syn, root, err := open(format, out)
	if err != nil {
		t.Fatal(err)
	}
	path, err := syn.path(root, key)
	if err != nil {
		t.Fatal(err)
	}
	name := joinPath(path)
	_, got, _ := strings.Cut(after[name], " ")
	if format == "xml" { // whose reader here takes white space away
		value, got = strings.Trim(value, " \t\r\n"), strings.Trim(got, " \t\r\n")
	}
	if got != value && !sameNumber(after[name], value) {
		t.Fatalf("the reference reader finds %q at %q, not %q\nbefore %q\nafter  %q", after[name], name, value, src, out)
	}
	delete(before, name)
	delete(after, name)
	for key, value := range before { // a key without a value that became a table
		if strings.HasPrefix(value, "<nil>") && strings.HasPrefix(name, key+".") {
			delete(before, key)
			delete(after, key)
		}
	}
	if !maps.Equal(before, after) {
		t.Fatalf("the reference reader finds more changed\nbefore %q %v\nafter  %q %v", src, before, out, after)
	}
}

// sameNumber forgives a reader that prints a number in another way.
func sameNumber(got, value string) bool {
	kind, _, _ := strings.Cut(got, " ")
	return kind == "int64" || kind == "int" || kind == "float64" || kind == "uint64" || kind == "time.Time" || strings.HasPrefix(kind, "json.Number")
}

func decodeTOML(src []byte) (map[string]string, error) {
	var v map[string]any
	if err := toml.Unmarshal(src, &v); err != nil {
		return nil, err
	}
	flat := map[string]string{}
	flatten(flat, nil, v)
	return flat, nil
}

func decodeJSON(src []byte) (map[string]string, error) {
	var v any
	if err := json.Unmarshal(src, &v); err != nil {
		return nil, err
	}
	flat := map[string]string{}
	flatten(flat, nil, v)
	return flat, nil
}

func decodeYAML(src []byte) (map[string]string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, err
	}
	flat := map[string]string{}
	for _, n := range doc.Content {
		if err := flattenYAML(flat, nil, n); err != nil {
			return nil, err
		}
	}
	return flat, nil
}

// flattenYAML keeps the texts of keys and values as they are written, and of keys that stand twice the last.
func flattenYAML(into map[string]string, path []string, n *yaml.Node) error {
	at := func(name string) []string { return append(path[:len(path):len(path)], name) }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i]
			if name.Kind == yaml.AliasNode {
				name = &yaml.Node{Kind: yaml.ScalarNode, Value: "*" + name.Value}
			}
			if name.Kind != yaml.ScalarNode {
				return errors.New("a key is no text")
			}
			key := joinPath(at(name.Value))
			maps.DeleteFunc(into, func(have, _ string) bool { return have == key || strings.HasPrefix(have, key+".") })
			if err := flattenYAML(into, at(name.Value), n.Content[i+1]); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			if err := flattenYAML(into, at(fmt.Sprint(i)), child); err != nil {
				return err
			}
		}
	case yaml.AliasNode:
		into[joinPath(path)] = "alias *" + n.Value
	default:
		kind := "other"
		switch n.ShortTag() {
		case "!!str":
			kind = "string"
		case "!!null":
			kind = "<nil>"
		}
		if len(path) > 0 {
			into[joinPath(path)] = kind + " " + n.Value
		}
	}
	return nil
}

// sameReading checks that whatever the reference reader takes is taken here too, and read in the same way: the same keys,
// and the same text of every string.
func sameReading(t *testing.T, format string, decode func([]byte) (map[string]string, error), src []byte) {
	t.Helper()
	want, err := decode(src)
	if err != nil || !utf8.Valid(src) {
		return
	}
	entries, err := List(format, src)
	if err != nil {
		if strings.Contains(err.Error(), "defined twice") || strings.Contains(err.Error(), "can be extended") {
			return // the reference readers are lenient in this
		}
		if format == "yaml" || strings.Contains(err.Error(), "single value") || strings.Contains(err.Error(), "more than") || strings.Contains(err.Error(), "is longer") {
			return // its reader takes two documents, tabs and more that is better refused
		}
		t.Fatalf("%s: the reference reader takes what is refused here: %v\n%q", format, err, src)
	}
	got := map[string]string{}
	for _, e := range entries {
		got[e.Key] = e.Value
	}
	for key, value := range want {
		have, ok := got[key]
		kind, text, _ := strings.Cut(value, " ")
		if !ok || kind == "string" && have != text {
			t.Fatalf("%s: %q is %q here and %q to the reference reader\n%q", format, key, have, value, src)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Fatalf("%s: %v is not there to the reference reader\n%q", format, got, src)
	}
}
