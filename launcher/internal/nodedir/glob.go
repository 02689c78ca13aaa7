package nodedir

import (
	"fmt"
	"path"
	"strings"
)

// patterns are slash-separated globs, relative to the root of a tree. "*", "?"
// and "[a-z]" match within one element, "**" matches any number of elements, at
// the end at least one. A pattern that matches a directory covers all that is in
// it.
type patterns [][]string

func parsePatterns(globs []string) (patterns, error) {
	all := make(patterns, 0, len(globs))
	for _, g := range globs {
		clean := strings.Trim(path.Clean("/"+g), "/")
		if clean == "" {
			return nil, fmt.Errorf("pattern %q matches the whole directory", g)
		}
		elements := strings.Split(clean, "/")
		for _, e := range elements {
			if _, err := path.Match(e, ""); err != nil {
				return nil, fmt.Errorf("pattern %q: %w", g, err)
			}
		}
		all = append(all, elements)
	}
	return all, nil
}

// match reports whether a pattern names the path itself. The copy asks on its way
// down, so a path below a matched one is never asked about.
func (p patterns) match(rel string) bool {
	if len(p) == 0 {
		return false
	}
	elements := strings.Split(rel, "/")
	for _, pattern := range p {
		if matchElements(pattern, elements) {
			return true
		}
	}
	return false
}

// cover reports whether a pattern names the path or one above it.
func (p patterns) cover(rel string) bool {
	for i := 0; i < len(rel); i++ {
		if rel[i] == '/' && p.match(rel[:i]) {
			return true
		}
	}
	return p.match(rel)
}

func matchElements(pattern, elements []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			return matchRest(pattern[1:], elements)
		}
		if len(elements) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], elements[0]); !ok || err != nil {
			return false
		}
		pattern, elements = pattern[1:], elements[1:]
	}
	return len(elements) == 0
}

// matchRest matches what follows "**" with every tail of the elements.
func matchRest(pattern, elements []string) bool {
	if len(pattern) == 0 {
		return len(elements) > 0
	}
	for i := range elements {
		if matchElements(pattern, elements[i:]) {
			return true
		}
	}
	return false
}

// Matcher returns a function that reports whether one of the globs names a path, or a folder that it is in.
func Matcher(globs []string) (func(rel string) bool, error) {
	p, err := parsePatterns(globs)
	return p.cover, err
}
