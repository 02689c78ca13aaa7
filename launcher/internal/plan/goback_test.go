package plan

import (
	"fmt"
	"testing"
)

// TestGoBack: a node goes back to its own; the others, and those that are added, keep what they have.
func TestGoBack(t *testing.T) {
	own := func(source string) NodeOptions { return NodeOptions{Source: source, Env: map[string]string{"A": "1"}} }
	for _, c := range []struct {
		name string
		now  Options
		back []int
		was  Options
		want string // the cluster's source, then what nodes 1 to 3 have of their own
	}{
		{"one of all", Options{Source: "new"}, []int{2}, Options{Source: "old"}, `"new" ["" "old" ""]`},
		{"all", Options{Source: "new"}, []int{3, 2, 1}, Options{Source: "old"}, `"old" ["" "" ""]`},
		{"all, from none", Options{Source: "new"}, []int{3, 2, 1}, Options{}, `"" ["" "" ""]`},
		{"one of all, from none", Options{Source: "new"}, []int{2}, Options{}, `"" ["new" "" "new"]`},
		{"one beside another's", Options{Source: "old", Node: map[int]NodeOptions{1: own("b"), 2: own("c")}}, []int{1}, Options{Source: "old"}, `"old" ["" "c" ""]`},
		{"to its own", Options{Source: "new"}, []int{1}, Options{Source: "old", Node: map[int]NodeOptions{1: own("mine")}}, `"new" ["mine" "" ""]`},
	} {
		p := &Plan{Options: c.now, Nodes: []Node{{Index: 1}, {Index: 2}, {Index: 3}}}
		for _, i := range c.back {
			p.GoBack(i, c.was)
		}
		o := p.Options
		if got := fmt.Sprintf("%q %q", o.Source, []string{o.Node[1].Source, o.Node[2].Source, o.Node[3].Source}); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for i, n := range c.now.Node {
			if len(o.Node[i].Env) != len(n.Env) {
				t.Errorf("%s: node %d lost its environment", c.name, i)
			}
		}
	}
}
