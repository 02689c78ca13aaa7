// Package export makes of a plan the files by which another supervisor runs the same cluster. It is pure: it neither reads nor writes,
// and the same plan gives the same files. It does not plan: the plan that it is given has its directories where the supervisor's will be.
//
// Start at Systemd.
package export

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/plan"
)

// File is one file of what is exported.
type File struct {
	Path string // slash path below the folder into which is exported
	Text string
	Mode uint32
}

// Error is all for which a plan can't be exported.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// personal finds paths that belong to a person or do not last: no unit can count on them.
var personal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[\s"'=:,;(\[])((?:/home|/root|/run/user|/tmp|/var/tmp)/[^\s"',;)\]]*)`)
})

// checker collects the problems of a plan.
type checker struct{ problems []string }

func (c *checker) add(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// check refuses a plan of which onemore itself does a part that no supervisor takes over.
func check(p *plan.Plan) error {
	c := &checker{}
	if len(p.Options.Needs) > 0 {
		c.add("it needs other clusters of its stack, whose addresses are those of this host")
	}
	if len(p.Seed) > 0 {
		c.add("its seed is carried out once, by `up`")
	}
	for i := range p.Nodes {
		c.node(&p.Nodes[i])
	}
	for i := range p.Services {
		c.process("service "+p.Services[i].Name, p.Services[i].Files, p.Services[i].Command, p.Services[i].Env)
	}
	if len(c.problems) > 0 {
		return &Error{c.problems}
	}
	return nil
}

func (c *checker) node(n *plan.Node) {
	who := fmt.Sprintf("node %d", n.Index)
	for _, part := range []struct {
		is   bool
		what string
	}{
		{n.Source != "", "is copied from " + n.Source},
		{len(n.Join) > 0, "joins by commands of `up`"},
		{len(n.Form) > 0, "forms its cluster by commands of `up`"},
		{len(n.Prepare) > 0, "is prepared by commands of `up` before its first start"},
		{n.Bootstrap != nil, "founds its cluster by a start that differs from all others"},
	} {
		if part.is {
			c.add("%s %s", who, part.what)
		}
	}
	c.process(who, n.Files, n.Command, n.StartEnv, n.Env, n.Stop.Command, []string{n.Workdir})
	if n.Workdir != n.Dir && !strings.HasPrefix(n.Workdir, n.Dir+"/") {
		c.add("%s runs in %s, outside of its own directory", who, n.Workdir)
	}
}

// process looks for personal paths in what a process is started with, and in its files.
func (c *checker) process(who string, files []plan.File, texts ...[]string) {
	seen := map[string]bool{}
	look := func(where, text string) {
		for _, m := range personal().FindAllStringSubmatch(text, -1) {
			if !seen[m[1]] {
				seen[m[1]] = true
				c.add("%s names %s in %s, which a service can't count on", who, m[1], where)
			}
		}
	}
	for _, list := range texts {
		for _, text := range list {
			look("its command or environment", text)
		}
	}
	for _, f := range files {
		look(f.Path, f.Text)
	}
}

// nodeFiles are the files of a node's directory, edited as `up` does it.
func nodeFiles(n *plan.Node) ([]File, error) {
	var out []File
	for _, e := range n.Edits {
		there := slices.ContainsFunc(n.Files, func(f plan.File) bool { return f.Path == e.File })
		if !there && !e.IfExists {
			return nil, fmt.Errorf("node %d: %s is to be edited, and is no file of its template", n.Index, e.File)
		}
	}
	for _, f := range n.Files {
		text, err := n.Edited(f.Path, []byte(f.Text))
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", n.Index, err)
		}
		mode := f.Mode &^ 0o077 // texts may have the cluster's secret
		out = append(out, File{Path: below(path.Join(n.Dir, f.Path)), Text: string(text), Mode: mode})
	}
	return out, nil
}

// below is an absolute path as one below the folder into which is exported.
func below(abs string) string { return strings.TrimPrefix(path.Clean(abs), "/") }
