package confedit

import (
	"strings"
	"testing"
)

func TestRemove(t *testing.T) {
	tests := []struct {
		name, format, src, patterns string // patterns with a + are keys that are set to 9 in the same call
		want                        string
	}{
		{"key", "toml", "a = 1 # x\nb = 2\n", "a", "b = 2\n"},
		{"section with comments", "toml", "x = 1\n\n[a]\n# of a\nb = 1\n\n# of b\nc = 2\n[d]\ne = 1\n", "a", "x = 1\n\n[d]\ne = 1\n"},
		{"sections below", "toml", "[a]\nb = 1\n[c]\nd = 1\n[a.e]\nf = 1\n", "a", "[c]\nd = 1\n"},
		{"dotted", "toml", "a.b = 1\na.c = 2\nd = 3\n", "a", "d = 3\n"},
		{"inline", "toml", "a = { b = 1, c = 2 }\nd = [1, 2, 3]\n", "a.b d.1", "a = { c = 2 }\nd = [1, 3]\n"},
		{"last of inline", "toml", "a = { b = 1, c = 2 }\nd = [1, 2]\n", "a.c d.1", "a = { b = 1 }\nd = [1]\n"},
		{"table of an array", "toml", "[[a]]\nb = 1\n[[a]]\nb = 2\n", "a.0", "[[a]]\nb = 2\n"},
		{"all but one", "toml", "[a.x]\nb = 1\nc = 1\n[a.y]\nb = 1\n", "a.* +a.x.b", "[a.x]\nb = 9\n"},
		{"lines", "json", "{\n  \"a\": 1,\n  \"b\": {\"x\": 1},\n  \"c\": 3\n}\n", "b", "{\n  \"a\": 1,\n  \"c\": 3\n}\n"},
		{"last lines", "json", "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n", "b c", "{\n  \"a\": 1\n}\n"},
		{"on a line", "json", `{"a": 1, "b": [1, 2], "a": 3}`, "a b.1", `{"b": [1]}`},
		{"all", "json", `{"a": 1, "b": 2}`, "*", `{}`},
		{"block", "nats", "port: 1\ncluster {\n  name: x\n}\nhost: h; debug: true\n", "cluster debug", "port: 1\nhost: h; \n"},
		{"in a block", "nats", "cluster { name: x, port: 1, host: h }\n", "cluster.port cluster.host", "cluster { name: x }\n"},
		{"every block of the name", "nats", "a { x: 1 }\nb: 1\na { x: 2 }\n", "a", "b: 1\n"},
		{"pieces of an object", "hocon", "a { b = 1, c = 2 }\nd = 1\na.b = 3\na { e = 1 }\n", "a", "d = 1\n"},
		{"in pieces", "hocon", "a { b = 1, c = 2 }\na.b = 3\n", "a.b", "a { c = 2 }\n"},
		{"listeners", "hocon", "listeners.tcp.default { bind = 1 }\nlisteners.ssl.default { bind = 2 }\n", "listeners.ssl.*", "listeners.tcp.default { bind = 1 }\n"},
		{"directive", "redis", "save 900 1\nport 1 \nsave 60 5\n", "save", "port 1 \n"},
		{"one of several", "redis", "save 900 1\nsave 60 5\nsave 1 1\n", "save.1", "save 900 1\nsave 1 1\n"},
		{"section", "ini", "g = 1\n[a]\n; of a\nx = 1\n[b]\ny = 1\n[a]\nz = 1\n", "a", "g = 1\n[b]\ny = 1\n"},
		{"of a section", "ini", "[a]\nx = 1 ; c\ny = 2\n", "a.x", "[a]\ny = 2\n"},
		{"key", "yaml", "a: 1 # x\nb:\n  c: 1\n  d: 2\ne: 3\n", "b.c a", "b:\n  d: 2\ne: 3\n"},
		{"block", "yaml", "a: 1\nb:\n  c: 1\n  d: |\n    t\n    t\ne: 3\n", "b", "a: 1\ne: 3\n"},
		{"only key of a block", "yaml", "a:\n  b: 1\nc: 1\n", "a.b", "a:\n  {}\nc: 1\n"},
		{"element", "yaml", "a:\n- 1\n- b: 1\n  c: 2\n- 3\n", "a.0 a.1.b", "a:\n- c: 2\n- 3\n"},
		{"all elements", "yaml", "a:\n  - 1\n  - 2\n", "a.*", "a:\n  []\n"},
		{"flow", "yaml", "a: {b: 1, c: [1, 2], d: x}\n", "a.b a.c.0", "a: {c: [2], d: x}\n"},
		{"flat", "yaml", "http.port: 1\nhttp.host: h\nx: 1\n", "http.*", "x: 1\n"},
		{"everything", "yaml", "# c\na: 1\n", "*", "# c\n"},
	}
	for _, tt := range tests {
		var edits []Edit
		for _, p := range strings.Fields(tt.patterns) {
			if key, ok := strings.CutPrefix(p, "+"); ok {
				edits = append(edits, set(key, "9"))
			} else {
				edits = append(edits, Edit{Key: p, Unset: true})
			}
		}
		if got := mustApply(t, tt.format, tt.src, edits...); got != tt.want {
			t.Errorf("%s, %s: got\n%s\nwant\n%s", tt.format, tt.name, got, tt.want)
		}
	}
}
