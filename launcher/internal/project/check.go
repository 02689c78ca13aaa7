package project

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// check collects what is wrong, with the lines where the keys stand.
type check struct {
	path  string
	lines map[string]int
	found []problem
}

type problem struct {
	line int
	text string
}

func (c *check) add(key toml.Key, format string, args ...any) {
	line := 0
	for n := len(key); n > 0 && line == 0; n-- {
		line = c.lines[strings.Join(key[:n], "\x00")]
	}
	c.found = append(c.found, problem{line, fmt.Sprintf("%s: %s", key, fmt.Sprintf(format, args...))})
}

func (c *check) err() error {
	slices.SortFunc(c.found, func(a, b problem) int { return cmp.Or(a.line-b.line, cmp.Compare(a.text, b.text)) })
	errs := make([]error, 0, len(c.found))
	for _, p := range c.found {
		if p.line > 0 {
			errs = append(errs, fmt.Errorf("%s: line %d: %s", c.path, p.line, p.text))
		} else {
			errs = append(errs, fmt.Errorf("%s: %s", c.path, p.text))
		}
	}
	return errors.Join(errs...)
}

// check looks at what TOML's types don't say, and numbers the nodes.
func (p *Project) check(c *check) {
	if p.Nodes < 0 || p.Nodes == 0 && c.lines["nodes"] > 0 {
		c.add(toml.Key{"nodes"}, "a cluster of %d nodes can't be", p.Nodes)
	}
	if p.Offset < 0 || p.Offset > 65535 {
		c.add(toml.Key{"offset"}, "%d is no step between ports", p.Offset)
	}
	if _, err := strconv.Atoi(string(p.Base)); err != nil && p.Base != "" && p.Base != "auto" {
		c.add(toml.Key{"base"}, `%q is neither "auto" nor a number that is added to every port`, p.Base)
	}
	if p.Spread != "" && p.Spread != "port" && p.Spread != "address" {
		c.add(toml.Key{"spread"}, "%q: use port or address", p.Spread)
	}
	checkShared(c, nil, p.Set, p.Env, p.Files)
	p.Node = make(map[int]Node, len(p.given))
	for _, name := range slices.Sorted(maps.Keys(p.given)) {
		key := toml.Key{"node", name}
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || strconv.Itoa(i) != name {
			c.add(key, "a node's number was wanted: [node.1], [node.2], …")
			continue
		}
		n := p.given[name]
		p.Node[i] = n
		checkShared(c, key, n.Set, n.Env, n.Files)
	}
}

// checkShared looks at what the project and a single node have alike.
func checkShared(c *check, at toml.Key, set map[string]int, env map[string]string, files map[string]*File) {
	key := func(more ...string) toml.Key { return append(slices.Clone(at), more...) }
	for name, port := range set {
		if port < 1 || port > 65535 {
			c.add(key("set", name), "%d is no port (1 to 65535)", port)
		}
	}
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			c.add(key("env", name), "not a variable of an environment")
		}
	}
	for path, f := range files {
		if !fs.ValidPath(path) || path == "." {
			c.add(key("files", path), "want a path inside the node directory, with slashes")
		}
		if err := checkText(f.Text); err != nil {
			c.add(key("files", path), "%v", err)
		}
	}
}

func checkText(s string) error {
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		return errors.New("is no text; put what is binary into the source")
	}
	return nil
}

var (
	tableLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*\[\[?\s*([^\[\]]+?)\s*\]`) })
	keyLine   = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=`)
	})
	segment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"[^"]*"|'[^']*'|[A-Za-z0-9_-]+`) })
)

// linesOf finds the lines of keys by the look of the text: the toml package tells no positions of keys that it could
// decode. Keys are joined by a NUL.
func linesOf(src []byte) map[string]int {
	found := map[string]int{}
	var table []string
	for i, text := range strings.Split(string(src), "\n") {
		var key []string
		if m := tableLine().FindStringSubmatch(text); m != nil {
			table = segments(m[1])
			key = table
		} else if m := keyLine().FindStringSubmatch(text); m != nil {
			key = append(slices.Clone(table), segments(m[1])...)
		}
		for n := 1; n <= len(key); n++ {
			if k := strings.Join(key[:n], "\x00"); found[k] == 0 {
				found[k] = i + 1
			}
		}
	}
	return found
}

func segments(key string) []string {
	parts := segment().FindAllString(key, -1)
	for i, p := range parts {
		parts[i] = strings.Trim(p, `"'`)
	}
	return parts
}
