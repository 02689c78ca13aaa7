package confedit

import (
	"errors"
	"fmt"
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
