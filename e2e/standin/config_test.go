package main

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHOCON(t *testing.T) {
	tests := []struct {
		name, text string
		want       object
		fails      bool
	}{
		{name: "empty", text: " \n# nothing\n", want: object{}},
		{name: "dotted line after the block wins", text: "node {\n  name = a\n cookie = c\n}\nnode.name = \"b\"\n",
			want: object{"node": object{"name": "b", "cookie": "c"}}},
		{name: "objects merge", text: "a { b = 1 }\na : { c = 2 }", want: object{"a": object{"b": "1", "c": "2"}}},
		{name: "a value replaces an object", text: "a { b = 1 }\na = x", want: object{"a": "x"}},
		{name: "list", text: "s = [a@h, \"b@h\"\n c@h]", want: object{"s": []any{"a@h", "b@h", "c@h"}}},
		{name: "bare value", text: "bind = 0.0.0.0:1883 # why\nx = 1", want: object{"bind": "0.0.0.0:1883", "x": "1"}},
		{name: "inline", text: "a = { enable = true, b = 2 }", want: object{"a": object{"enable": "true", "b": "2"}}},
		{name: "quoted key", text: `"a.b".c = 1`, want: object{"a.b": object{"c": "1"}}},
		{name: "triple quotes", text: "a = \"\"\"x\"y\"\"\"", want: object{"a": `x"y`}},
		{name: "braces around", text: "{ a = 1 }", want: object{"a": "1"}},
		{name: "open brace", text: "a {", fails: true},
		{name: "open list", text: "a = [1", fails: true},
		{name: "open string", text: `a = "x`, fails: true},
		{name: "no value", text: "a = \n", fails: true},
		{name: "brace too many", text: "a = 1 }", fails: true},
		{name: "substitution", text: "a = ${b}", fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseHOCON("x", test.text)
			if test.fails {
				if err == nil {
					t.Fatalf("got %v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestShippedHOCON reads EMQX's own file; the long example beside it is for people, and no HOCON in places.
func TestShippedHOCON(t *testing.T) {
	text, err := fs.ReadFile(files, "release/5.0/etc/emqx.conf")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseHOCON("emqx.conf", string(text))
	if err != nil {
		t.Fatal(err)
	}
	if port := got.text("dashboard.listeners.http.bind", ""); port != "18083" {
		t.Errorf("dashboard port %q", port)
	}
}

func FuzzHOCON(f *testing.F) {
	for _, seed := range []string{"a { b = [1, {c = 2}] }", `"a".b : "x"`, "a = \"\"\"", "a.b.c=1\na=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseHOCON("x", text); err == nil {
			if _, err := parseHOCON("x", "\n"+text+"\n"); err != nil {
				t.Errorf("%q is read, but not between line ends: %v", text, err)
			}
		}
	})
}

func TestOverrides(t *testing.T) {
	got := overrides(environment{"EMQX_NODE__NAME=a@h", "EMQX_NODE_COOKIE=c", "HOME=/", "EMQX_LISTENERS__TCP__DEFAULT__BIND=1"})
	want := map[string]string{"node.name": "a@h", "node.cookie": "c", "listeners.tcp.default.bind": "1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNumber(t *testing.T) {
	for name, want := range map[nodeName]int{"emqx@h": 0, "emqx3@h": 3, "e2x41@h": 41, "4@h": 4, "emqx007@h.h2": 7, "emqx1x@h": 0} {
		if got, err := name.number(); err != nil || got != want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, name := range []nodeName{"emqx60166@h", "emqx99999999999999999999@h"} {
		if got, err := name.number(); err == nil {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestBindAddress(t *testing.T) {
	for value, want := range map[string]string{"1883": "0.0.0.0:1883", "127.0.0.1:11883": "127.0.0.1:11883", "[::1]:1": "[::1]:1"} {
		if got, err := bindAddress("k", value); err != nil || got != want {
			t.Errorf("%s: %s, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "x", "70000", "127.0.0.1:", "localhost:1"} {
		if got, err := bindAddress("k", value); err == nil {
			t.Errorf("%q: %s", value, got)
		}
	}
}

// TestFlat: the last of equal keys wins, in the file and over it in the environment.
func TestFlat(t *testing.T) {
	values, err := parseFlat("x", "## a = 0\na = 1\r\n a.b=x y = z\n\na = 2")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "2", "a.b": "x y = z"}, values); diff != "" {
		t.Error(diff)
	}
}
