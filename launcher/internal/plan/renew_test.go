package plan

import (
	"fmt"
	"testing"

	"onemore/launcher/internal/confedit"
)

// TestChanged: only what differs is written, and a removal never stands alone.
func TestChanged(t *testing.T) {
	edits := func(file string, kv ...string) FileEdit {
		e := FileEdit{File: file, Format: "properties"}
		for i := 0; i < len(kv); i += 2 {
			e.Edits = append(e.Edits, confedit.Edit{Key: kv[i], Value: kv[i+1]})
		}
		return e
	}
	unset := edits("a", "k", "1")
	unset.Edits = append(unset.Edits, confedit.Edit{Key: "x.*", Unset: true})
	file := func(text string) File { return File{Path: "a", Text: text} }
	for _, c := range []struct {
		name      string
		had, next Node
		want      string
	}{
		{"nothing", Node{Edits: []FileEdit{edits("a", "k", "1")}, Files: []File{file("t")}}, Node{Edits: []FileEdit{edits("a", "k", "1")}, Files: []File{file("t")}}, "[] []"},
		{"one edit of two", Node{Edits: []FileEdit{edits("a", "k", "1", "l", "2")}}, Node{Edits: []FileEdit{edits("a", "k", "1", "l", "3")}}, "[] [a l=3]"},
		{"the same key of another file", Node{Edits: []FileEdit{edits("a", "k", "1")}}, Node{Edits: []FileEdit{edits("b", "k", "1")}}, "[] [b k=1]"},
		{"a member's edits", Node{Joined: []FileEdit{edits("a", "k", "1")}}, Node{Joined: []FileEdit{edits("a", "k", "2")}}, "[] [a k=2]"},
		{"a file, and an edit of it", Node{Files: []File{file("t")}}, Node{Files: []File{file("u")}, Edits: []FileEdit{edits("a", "k", "2")}}, "[a=u] [a k=2]"},
		{"a file that gives way to the source's", Node{Files: []File{{Path: "a", Text: "t", Existing: "keep"}}}, Node{Files: []File{{Path: "a", Text: "u", Existing: "keep"}}}, "[] []"},
		{"a removal that is new", Node{Edits: []FileEdit{edits("a", "k", "1")}}, Node{Edits: []FileEdit{unset}}, "[] [a k=1 x.*=]"},
		{"an edit that is no more", Node{Edits: []FileEdit{edits("a", "k", "1")}}, Node{}, "[] []"},
	} {
		files, changed := c.had.Changed(c.next)
		var fs, es []string
		for _, f := range files {
			fs = append(fs, f.Path+"="+f.Text)
		}
		for _, e := range changed {
			text := e.File
			for _, one := range e.Edits {
				text += " " + one.Key + "=" + one.Value
			}
			es = append(es, text)
		}
		if got := fmt.Sprint(fs, " ", es); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestStanding: calls are those of the new plan, what stands on the disk is the old one's.
func TestStanding(t *testing.T) {
	had := &Plan{Nodes: []Node{{Index: 1, Command: []string{"old"}, Env: []string{"A=1"}, Leave: []Call{{Node: 1}}}}}
	next := &Plan{Nodes: []Node{{Index: 1, Command: []string{"new"}, Env: []string{"A=2"}, Leave: []Call{{Node: 2}}}, {Index: 2, Command: []string{"new"}}}}
	got := had.Standing(next)
	if n := got.Nodes[0]; n.Command[0] != "old" || n.Env[0] != "A=1" || n.Leave[0].Node != 2 {
		t.Errorf("node 1: %+v", n)
	}
	if got.Nodes[1].Command[0] != "new" || next.Nodes[0].Command[0] != "new" {
		t.Errorf("node 2, or the plan itself, has changed: %+v", got.Nodes)
	}
}
