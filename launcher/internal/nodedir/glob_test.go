package nodedir

import "testing"

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"a", "a", true},
		{"/a/", "a", true},
		{"a", "b/a", false},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"a/*", "a", false},
		{"**", "a", true},
		{"**", "a/b", true},
		{"a/**", "a", false},
		{"a/**", "a/b", true},
		{"a/**", "a/b/c", true},
		{"**/c", "c", true},
		{"**/c", "a/b/c", true},
		{"a/**/c", "a/c", true},
		{"a/**/c", "a/b/b/c", true},
		{"a/**/c", "b/c", false},
		{"**/b/**", "a/b/c/d", true},
		{"**/b/**", "a/b", false},
		{"*.pid", "x.pid", true},
		{"[ab]?", "ax", true},
		{"[ab]?", "cx", false},
	} {
		p, err := parsePatterns([]string{tt.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(tt.path); got != tt.want {
			t.Errorf("%q on %q: got %v", tt.pattern, tt.path, got)
		}
	}
	p, err := parsePatterns([]string{"lib"})
	if err != nil {
		t.Fatal(err)
	}
	if !p.cover("lib/a/b") || !p.cover("lib") || p.cover("libs/a") || p.match("lib/a") {
		t.Error("cover and match are mixed up")
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add("a/**/b", "a/x/b")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := parsePatterns([]string{pattern})
		if err != nil {
			return
		}
		if p.match(path) && !p.cover(path) {
			t.Errorf("%q matches %q and does not cover it", pattern, path)
		}
	})
}
