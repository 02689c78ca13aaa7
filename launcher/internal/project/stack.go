package project

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"onemore/launcher/internal/schema"
)

// Stack is a file with [clusters.NAME]: several clusters that are brought up and taken down together.
type Stack struct {
	Name     string              `toml:"stack"`
	Base     Base                `toml:"base"`    // of every cluster that has none of its own, as are those below
	Host     string              `toml:"host"`    //
	Timeout  Duration            `toml:"timeout"` //
	Env      map[string]string   `toml:"env"`     // for those who use the stack: texts
	Clusters map[string]*Project `toml:"-"`
	Order    []string            `toml:"-"` // the clusters, each after those that it needs
}

// maxMember is the length of a cluster's name in a stack, in bytes: with the stack's it is the cluster's on the host.
const maxMember = 20

var memberName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`) })

// parseStack fills a project from a file that has clusters.
func (p *Project) parseStack(c *check, values map[string]any) {
	s := &Stack{Clusters: map[string]*Project{}}
	p.Stack = s
	tables, ok := values["clusters"].(map[string]any)
	if !ok || len(tables) == 0 {
		c.add(toml.Key{"clusters"}, "want tables: [clusters.NAME]")
		return
	}
	delete(values, "clusters")
	for name := range values {
		if fieldOf(reflect.TypeFor[Stack](), name) < 0 && (name == "node" || fieldOf(reflect.TypeFor[Project](), name) >= 0) {
			c.add(toml.Key{name}, "in a stack it is for one cluster: write it below [clusters.NAME]")
			delete(values, name)
		}
	}
	c.conform(schema.Of(reflect.TypeFor[Stack](), nil), nil, values)
	c.fill(nil, values, reflect.ValueOf(s).Elem())
	s.check(c)
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		s.Clusters[name] = p.parseMember(c, name, tables[name])
	}
	s.sort(c)
}

// check checks the keys of the stack itself.
func (s *Stack) check(c *check) {
	c.at = nil
	whole := Project{Base: s.Base, Host: s.Host}
	whole.check(c)
	checkTables(c, nil, nil, s.Env, nil)
}

// parseMember reads one cluster of a stack.
func (p *Project) parseMember(c *check, name string, value any) *Project {
	one := &Project{Path: p.Path, lines: p.lines, at: toml.Key{"clusters", name}}
	if len(name) > maxMember || !memberName().MatchString(name) {
		c.add(one.at, "can't name a cluster of a stack: at most %d small letters, digits and -, with a letter first", maxMember)
	}
	table, ok := value.(map[string]any)
	if !ok {
		c.conform(&schema.Schema{Type: "object"}, one.at, value)
		return one
	}
	for _, key := range []string{"cluster", "stack", "clusters"} {
		if _, ok := table[key]; ok {
			c.add(slices.Concat(one.at, toml.Key{key}), "unknown key here; the cluster is called %s", name)
			delete(table, key)
		}
	}
	if needs, ok := table["needs"]; ok {
		key := slices.Concat(one.at, toml.Key{"needs"})
		c.conform(schema.Of(reflect.TypeFor[[]string](), nil), key, needs)
		c.fill(key, needs, reflect.ValueOf(&one.Needs).Elem())
		delete(table, "needs")
	}
	one.decode(c, table)
	if one.Base == "" {
		one.Base = p.Stack.Base
	}
	if one.Host == "" {
		one.Host = p.Stack.Host
	}
	if one.Timeout.Duration == 0 {
		one.Timeout = p.Stack.Timeout
	}
	return one
}

// sort fills Order. A need that is not there, and a circle of needs, are problems.
func (s *Stack) sort(c *check) {
	names := slices.Sorted(maps.Keys(s.Clusters))
	for _, name := range names {
		for _, need := range s.Clusters[name].Needs {
			if s.Clusters[need] == nil {
				c.add(toml.Key{"clusters", name, "needs"}, "the stack has no cluster %q; it has %s", need, strings.Join(names, ", "))
			}
		}
	}
	if len(c.found) > 0 {
		return
	}
	placed := map[string]bool{}
	for len(placed) < len(names) {
		before := len(placed)
		for _, name := range names {
			if !placed[name] && !slices.ContainsFunc(s.Clusters[name].Needs, func(need string) bool { return !placed[need] }) {
				placed[name] = true
				s.Order = append(s.Order, name)
			}
		}
		if len(placed) == before {
			circle := s.circle(names, placed)
			c.add(toml.Key{"clusters", circle[0], "needs"}, "a circle, in which none can be the first: %s", strings.Join(circle, " needs "))
			return
		}
	}
}

// circle is a circle of needs among those that could not be placed, its first name at both ends.
func (s *Stack) circle(names []string, placed map[string]bool) []string {
	var way []string
	at := names[slices.IndexFunc(names, func(name string) bool { return !placed[name] })]
	for {
		if i := slices.Index(way, at); i >= 0 {
			return append(way[i:], at)
		}
		way = append(way, at)
		needs := s.Clusters[at].Needs
		at = needs[slices.IndexFunc(needs, func(need string) bool { return !placed[need] })]
	}
}
