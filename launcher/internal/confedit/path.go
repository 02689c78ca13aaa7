package confedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// splitPath reads a dotted key. In a quoted segment a backslash takes the next byte as it is.
func splitPath(key string) ([]string, error) {
	if key == "" {
		return nil, errors.New("the key is empty")
	}
	var path []string
	for rest := key; ; {
		var name string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				b.WriteByte(rest[i])
			}
			if i >= len(rest) {
				return nil, errors.New("a quote in the key is not closed")
			}
			name, rest = b.String(), rest[i+1:]
			if rest != "" && rest[0] != '.' {
				return nil, errors.New("a quoted segment of the key must be followed by a dot")
			}
		} else {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				i = len(rest)
			}
			if i == 0 {
				return nil, errors.New("the key has an empty segment")
			}
			name, rest = rest[:i], rest[i:]
		}
		path = append(path, name)
		if rest == "" {
			break
		}
		rest = rest[1:]
	}
	if len(path) > maxDepth {
		return nil, fmt.Errorf("the key has more than %d segments", maxDepth)
	}
	return path, nil
}

func dottedPath(_ *node, key string) ([]string, error) { return splitPath(key) }

// joinPath is the inverse of splitPath.
func joinPath(path []string) string {
	var b strings.Builder
	for i, name := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		if name != "" && name[0] != '"' && !strings.Contains(name, ".") {
			b.WriteString(name)
			continue
		}
		b.WriteByte('"')
		for j := 0; j < len(name); j++ {
			if name[j] == '"' || name[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(name[j])
		}
		b.WriteByte('"')
	}
	return b.String()
}

// flatPath reads a dotted key for formats in which files write one name for several segments: `a.b: 1` for a and b. The
// key is found however the file writes it, and a missing one is written as its table has others.
func flatPath(root *node, key string) ([]string, error) {
	path, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	names, rest, in := flatNames(root, path)
	if len(rest) > 1 && in.kind == kindTable && slices.ContainsFunc(in.names, isFlat) {
		return append(names, strings.Join(rest, ".")), nil
	}
	return append(names, rest...), nil
}

// keyIn is the key of a path, in which one name that stands for several segments is not quoted where flatPath finds it.
func (s syntax) keyIn(root *node, names []string) string {
	if s.flat && slices.ContainsFunc(names, isFlat) {
		key := joinPath(strings.Split(strings.Join(names, "."), "."))
		if found, err := flatPath(root, key); err == nil && slices.Equal(found, names) {
			return key
		}
	}
	return s.key(names)
}

// flatNames returns the names under which a table has as much of the path as it has, what is left of it, and the node that
// lacks that. Short names are preferred.
func flatNames(n *node, path []string) (names, rest []string, in *node) {
	rest, in = path, n
	for i := 1; i <= len(path) && len(rest) > 0; i++ {
		name := strings.Join(path[:i], ".")
		child := n.child(name)
		if child == nil {
			continue
		}
		below, left, last := flatNames(child, path[i:])
		if len(left) < len(rest) && (len(left) == 0 || !last.scalar() || len(names) == 0) {
			names, rest, in = append([]string{name}, below...), left, last
		}
	}
	return names, rest, in
}

// isFlat reports whether a name is one of several segments.
func isFlat(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) > 1 && !isDigit(name[0]) && !slices.ContainsFunc(parts, func(part string) bool { return !allWord(part) })
}

// severalPath reads a dotted key for formats in which a table may stand several times, and then is an array: without a
// number, a key means the first of them; where there is one only, the number 0 may be there.
func severalPath(root *node, key string) ([]string, error) {
	names, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	var path []string
	n := root
	for _, name := range names {
		if name == "0" && n != nil && n != root && n.kind != kindArray && n.child(name) == nil {
			continue
		}
		if n.repeated() && n.child(name) == nil && digits(name) < len(name) {
			path, n = append(path, "0"), n.children[0]
		}
		path = append(path, name)
		if n != nil {
			n = n.child(name)
		}
	}
	if n.repeated() {
		path = append(path, "0")
	}
	return path, nil
}

// repeated reports whether a node is an array of what stands several times.
func (n *node) repeated() bool { return n != nil && n.kind == kindArray && n.spread }
