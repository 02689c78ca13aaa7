package topic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		filter, name string
		want         bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a", false}, {"a/+", "a/", true}, {"a/+", "a/b/c", false},
		{"+/+", "/x", true}, {"+", "/x", false}, {"/+", "/x", true},
		{"#", "a/b/c", true}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"a/#", "b", false},
		{"+/#", "a", true}, {"a/+/#", "a/b", true}, {"a/+/#", "a", false},
		{"#", "$SYS/x", false}, {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true}, {"$SYS/+", "$SYS/x", true},
		{"a/+/c", "a/$b/c", true},
	} {
		if got := Match(tt.filter, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.filter, tt.name, got, tt.want)
		}
	}
}

// deep is a name of n levels.
func deep(n int) string { return strings.Repeat("a/", n-1) + "a" }

func TestParseFilter(t *testing.T) {
	for _, tt := range []struct {
		in, group, filter string
		ok                bool
	}{
		{"a/b", "", "a/b", true}, {"#", "", "#", true}, {"/", "", "/", true},
		{"$share/g/a/#", "g", "a/#", true}, {"$share/g//", "g", "/", true},
		{"$share/g", "", "", false}, {"$share", "", "", false}, {"$share//a", "", "", false}, {"$share/+/a", "", "", false}, {"$share/g/", "", "", false},
		{deep(MaxLevels), "", deep(MaxLevels), true}, {"$share/g/" + deep(MaxLevels), "g", deep(MaxLevels), true},
		{deep(MaxLevels + 1), "", "", false}, {"$share/g/" + deep(MaxLevels+1), "", "", false},
		{"", "", "", false}, {"a/#/b", "", "", false}, {"a#", "", "", false}, {"a/b+", "", "", false}, {"\xff", "", "", false}, {"a\x00", "", "", false},
	} {
		group, filter, ok := ParseFilter(tt.in)
		if ok != tt.ok || ok && (group != tt.group || filter != tt.filter) {
			t.Errorf("ParseFilter(%q) = %q, %q, %v, want %q, %q, %v", tt.in, group, filter, ok, tt.group, tt.filter, tt.ok)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "/": true, "$x": true, "$SYSTEM": true, "": false, "a/+": false, "#": false, "$SYS": false, "$SYS/a": false,
		deep(MaxLevels): true, deep(MaxLevels + 1): false, "$share/g/a": false, "a\x00": false, "\xff": false, strings.Repeat("a", MaxLen+1): false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%.20q) = %v, want %v", name, got, want)
		}
	}
}

// A tree says what Match says for every filter one by one, after any series of changes.
func TestTreeIsMatchOfAll(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "", "$x", "+"})
	rapid.Check(t, func(t *rapid.T) {
		var tree Tree[int, string]
		want := map[string]string{}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			levels := rapid.SliceOfN(level, 1, 4).Draw(t, "filter")
			if rapid.Bool().Draw(t, "hash") {
				levels = append(levels, "#")
			}
			filter, key := strings.Join(levels, "/"), rapid.IntRange(0, 30).Draw(t, "key")
			id := fmt.Sprint(key, " ", filter)
			_, had := want[id]
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				if got := tree.Delete(filter, key); got != had {
					t.Fatalf("Delete(%q, %d) = %v, want %v", filter, key, got, had)
				}
				delete(want, id)
			} else {
				if got := tree.Set(filter, key, id); got == had {
					t.Fatalf("Set(%q, %d) = %v, want %v", filter, key, got, !had)
				}
				want[id] = filter
			}
		}
		if tree.Len() != len(want) {
			t.Fatalf("Len() = %d, want %d", tree.Len(), len(want))
		}
		name := strings.ReplaceAll(strings.Join(rapid.SliceOfN(level, 1, 4).Draw(t, "name"), "/"), "+", "c")
		var got, exp []string
		tree.Match(name, func(_ int, id string) { got = append(got, id) })
		for id, filter := range want {
			if name != "" && Match(filter, name) {
				exp = append(exp, id)
			}
		}
		if name == "" {
			return
		}
		slices.Sort(got)
		slices.Sort(exp)
		if !slices.Equal(got, exp) {
			t.Fatalf("Match(%q) = %q, want %q", name, got, exp)
		}
	})
}

func (n *node[K, V]) count() int {
	all := 1
	for _, child := range n.next {
		all += child.count()
	}
	return all
}

func TestTreeForgetsEmptyBranches(t *testing.T) {
	var tree Tree[string, int]
	tree.Set("a/b/c", "k", 1)
	if v, ok := tree.Get("a/b/c", "k"); !ok || v != 1 {
		t.Fatalf("Get = %d, %v", v, ok)
	}
	tree.Set("a/x", "k", 2)
	tree.Delete("a/x", "k")
	if _, ok := tree.Get("a/b/c", "k"); !ok || tree.root.count() != 2 {
		t.Errorf("%d nodes hold one filter, found %v", tree.root.count()-1, ok)
	}
	tree.Delete("a/b/c", "k")
	if _, ok := tree.Get("a/b/c", "k"); ok || len(tree.root.next) != 0 {
		t.Errorf("the tree still holds %v", tree.root.next)
	}
}

// What a filter costs doesn't depend on its levels.
func TestTreeOfDeepFilters(t *testing.T) {
	var tree Tree[string, int]
	const n = 100
	for i := range n {
		tree.Set(fmt.Sprint(i, strings.Repeat("/", MaxLevels-1)), "k", i)
	}
	if got := tree.root.count(); got > 2*n {
		t.Errorf("%d nodes for %d filters", got, n)
	}
}

func BenchmarkTreeMatch(b *testing.B) {
	var tree Tree[int, int]
	for i := range 1000 {
		tree.Set(fmt.Sprintf("dev/%d/+", i), i, i)
	}
	n := 0
	for b.Loop() {
		tree.Match("dev/77/temp", func(int, int) { n++ })
	}
}
