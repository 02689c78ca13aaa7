package confedit

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// mustApply makes edits that have to work.
func mustApply(t *testing.T, format, src string, edits ...Edit) string {
	t.Helper()
	out, err := Apply(format, []byte(src), edits)
	if err != nil {
		t.Fatalf("Apply(%s, %+v): %v\n%s", format, edits, err, src)
	}
	return string(out)
}

// values returns what List says as a map, but references as they are written; a key that is listed twice fails the test.
func values(t *testing.T, format string, src []byte) map[string]string {
	t.Helper()
	entries, err := List(format, src)
	if err != nil {
		t.Fatalf("List(%s): %v\n%q", format, err, src)
	}
	all := make(map[string]string, len(entries))
	for _, e := range entries {
		if _, ok := all[e.Key]; ok {
			t.Fatalf("List(%s): %q is listed twice\n%q", format, e.Key, src)
		}
		if all[e.Key] = e.Value; e.Reference != "" {
			all[e.Key] = e.Reference
		}
	}
	return all
}

// checkEdit sets one key of a file that can be parsed and checks all that must hold then. It returns nil when the edit
// was refused.
func checkEdit(t *testing.T, format string, src []byte, key, value string) []byte {
	t.Helper()
	before := values(t, format, src)
	kept := bytes.Clone(src)
	out, err := Apply(format, src, []Edit{{Key: key, Value: value}})
	if !bytes.Equal(src, kept) {
		t.Fatalf("%s: Apply wrote to its input", format)
	}
	if err != nil {
		if out != nil || !strings.Contains(err.Error(), "set ") {
			t.Fatalf("%s: a refused edit: bytes %q, error %v", format, out, err)
		}
		return nil
	}
	after := values(t, format, out)
	syn, root, err := open(format, out)
	if err != nil {
		t.Fatal(err)
	}
	path, err := syn.path(root, key)
	if err != nil {
		t.Fatal(err)
	}
	n := syn.find(root, path)
	if n == nil || !n.scalar() || n.text != value {
		t.Fatalf("%s: %q = %q is not there afterwards: %+v\nbefore %q\nafter  %q", format, key, value, n, src, out)
	}
	again, err := Apply(format, out, []Edit{{Key: key, Value: value}})
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("%s: set twice: %v\nonce  %q\ntwice %q", format, err, out, again)
	}
	name := syn.keyIn(root, canonical(syn, root, n))
	if !severalByNumber(format) { // there a key that stands twice is renamed by its number
		delete(before, name)
		delete(after, name)
		forgetEmpty(before, after, name)
		if !maps.Equal(before, after) {
			t.Fatalf("%s: %q = %q changed more\nbefore %q %v\nafter  %q %v", format, key, value, src, before, out, after)
		}
	}
	checkBytes(t, format, src, out, key)
	return out
}

// forgetEmpty drops a key without a value, or with a reference to one, that became the parent of name: it is no scalar
// any more.
func forgetEmpty(before, after map[string]string, name string) {
	for key, value := range before {
		if _, ok := after[key]; !ok && (value == "" || strings.HasPrefix(value, "${")) && strings.HasPrefix(name, key+".") {
			delete(before, key)
		}
	}
}

// canonical is the path by which List names a node.
func canonical(syn syntax, root, want *node) []string {
	var found []string
	var walk func(n *node, path []string)
	walk = func(n *node, path []string) {
		if n == want {
			found = path
			return
		}
		for i, child := range n.children {
			walk(child, append(path[:len(path):len(path)], n.nameOf(i)))
		}
	}
	walk(root, nil)
	return found
}

// checkBytes makes sure that nothing outside of the value changed, or, for a new key, that nothing was taken away.
func checkBytes(t *testing.T, format string, src, out []byte, key string) {
	t.Helper()
	syn, root, err := open(format, src)
	if err != nil {
		t.Fatal(err)
	}
	path, err := syn.path(root, key)
	if err != nil {
		t.Fatal(err)
	}
	if n := syn.find(root, path); n != nil {
		if !bytes.HasPrefix(out, src[:n.from]) || !bytes.HasSuffix(out, src[n.to+n.drop:]) || len(out) < n.from+len(src)-n.to {
			t.Fatalf("%s: %q: bytes outside of %d:%d changed\nbefore %q\nafter  %q", format, key, n.from, n.to, src, out)
		}
		return
	}
	rest := out
	for _, c := range src {
		i := bytes.IndexByte(rest, c)
		if i < 0 {
			t.Fatalf("%s: adding %q took bytes away\nbefore %q\nafter  %q", format, key, src, out)
		}
		rest = rest[i+1:]
	}
}

// checkAny feeds a file that may be anything.
func checkAny(t *testing.T, format string, src []byte, key, value string) {
	t.Helper()
	entries, err := List(format, src)
	if err != nil {
		if _, ok := errors.AsType[*SyntaxError](err); !ok && len(src) <= maxSize {
			t.Fatalf("%s: an error without a line: %v", format, err)
		}
		_, applied := Apply(format, src, []Edit{{Key: key, Value: value}})
		if applied == nil && !strings.Contains(err.Error(), "list keys") {
			t.Fatalf("%s: Apply takes what List refuses: %q", format, src)
		}
		return
	}
	lines := 1 + bytes.Count(src, []byte{'\n'})
	for _, e := range entries {
		if e.Line < 1 || e.Line > lines {
			t.Fatalf("%s: %+v is outside of the file %q", format, e, src)
		}
	}
	checkRead(t, format, src, entries, key)
	checkEdit(t, format, src, key, value)
	for i, e := range entries {
		if i%7 == 0 && i < 70 {
			checkSame(t, format, src, e)
			checkEdit(t, format, src, e.Key, value)
			checkRemove(t, format, src, e.Key)
		}
	}
}

// checkRemove takes a key out, and what is below its first segment.
func checkRemove(t *testing.T, format string, src []byte, key string) {
	t.Helper()
	syn, root, err := open(format, src)
	if err != nil {
		t.Fatal(err)
	}
	path, err := syn.path(root, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{path, path[:1]} {
		pattern := strings.Join(names, ".")
		if strings.ContainsAny(pattern, "*?[\\") {
			return
		}
		out, err := Apply(format, src, []Edit{{Key: pattern, Unset: true}})
		if err != nil && format == "hocon" && strings.Contains(err.Error(), "other keys would change") {
			return // a value that this one overrides would be in effect again
		}
		if err != nil {
			t.Fatalf("%s: %q can't be taken out: %v\n%q", format, pattern, err, src)
		}
		f, err := Read(format, out, nil)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := f.Match(pattern); err != nil || len(left) > 0 && !severalByNumber(format) && !indexed(names) {
			t.Fatalf("%s: %q is still there: %+v, %v\nbefore %q\nafter  %q", format, pattern, left, err, src, out)
		}
	}
}

// indexed reports whether a key may be one of an element, whose place the next one takes.
func indexed(names []string) bool {
	return strings.ContainsAny(strings.Join(names, "."), "0123456789")
}

// checkRead asks for what is listed in the other ways.
func checkRead(t *testing.T, format string, src []byte, entries []Entry, key string) {
	t.Helper()
	f, err := Read(format, src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok, err := f.Get(key); ok && (err != nil || e.Key != key) {
		t.Fatalf("%s: Get(%q): %+v, %v", format, key, e, err)
	}
	for i, e := range entries {
		got, ok, err := f.Get(e.Key)
		if i%5 == 0 && i < 50 && (got != e || !ok || err != nil) {
			t.Fatalf("%s: Get(%q): %+v, %v, %v, but List: %+v\n%q", format, e.Key, got, ok, err, e, src)
		}
	}
	for i, e := range entries {
		if i%5 > 0 || i >= 50 || strings.ContainsAny(e.Key, "*?[\\\"") {
			continue
		}
		if found, err := f.Match(e.Key); err != nil || !slices.Contains(found, e) {
			t.Fatalf("%s: Match(%q) finds %+v, %v", format, e.Key, found, err)
		}
	}
	for _, in := range f.Includes() {
		if in.Line < 1 || in.Line > 1+bytes.Count(src, []byte{'\n'}) {
			t.Fatalf("%s: %+v is outside of the file %q", format, in, src)
		}
	}
}

// checkSame sets a key to what it is.
func checkSame(t *testing.T, format string, src []byte, e Entry) {
	t.Helper()
	syn, root, err := open(format, src)
	if err != nil {
		t.Fatal(err)
	}
	path, err := syn.path(root, e.Key)
	if err != nil {
		t.Fatalf("%s: List names a key that Apply can't read: %q: %v", format, e.Key, err)
	}
	n := syn.find(root, path)
	if e.Reference != "" {
		return
	}
	if n == nil || n.text != e.Value {
		t.Fatalf("%s: %+v is not found by its name: %+v\n%q", format, e, n, src)
	}
	if n.kind == kindNull || !validText(e.Value) || !validText(e.Key) {
		return
	}
	out, err := Apply(format, src, []Edit{{Key: e.Key, Value: e.Value}})
	if err != nil || !bytes.Equal(out, src) {
		t.Fatalf("%s: setting %+v to what it is: %v\nbefore %q\nafter  %q", format, e, err, src, out)
	}
}

func validText(s string) bool { return strings.ToValidUTF8(s, "") == s && !strings.ContainsRune(s, 0) }

// severalByNumber lists the formats in which a key that stands a second time is renamed by its number.
func severalByNumber(format string) bool {
	return format == "redis" || format == "keyvalue" || format == "hcl" || format == "xml"
}
