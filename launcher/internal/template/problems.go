package template

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// problems collects what is wrong with a template, so that all of it is reported at once.
type problems struct {
	list []problem
}

// problem is one of them. Its key is a path such as edit[1].set, segments counted from 0 in arrays of tables.
type problem struct {
	key  string
	text string
}

func (p *problems) add(key, format string, args ...any) {
	p.list = append(p.list, problem{key, fmt.Sprintf(format, args...)})
}

// err joins the problems; src may be nil, then they have no line numbers.
func (p *problems) err(name string, src []byte) error {
	if len(p.list) == 0 {
		return nil
	}
	places := linesOf(src)
	errs := make([]error, 0, len(p.list))
	for _, one := range p.list {
		where := ""
		if n := places.find(one.key); n > 0 {
			where = "line " + strconv.Itoa(n) + ": "
		}
		errs = append(errs, fmt.Errorf("template %q: %s%s: %s", name, where, one.key, one.text))
	}
	return errors.Join(errs...)
}

// lines maps key paths to the lines on which they stand. It is a guess from the look of the text, good enough to lead
// an author to the place: the toml package has no positions of keys that it could decode.
type lines map[string]int

var (
	tableLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*(\[\[?)\s*([^\[\]]+?)\s*\]`) })
	keyLine   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*([A-Za-z0-9_."'-]+)\s*=`) })
	arrayPart = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\[\d+\]`) })
)

func linesOf(src []byte) lines {
	found := make(lines)
	note := func(key string, line int) {
		for _, k := range []string{key, arrayPart().ReplaceAllString(key, "")} {
			if found[k] == 0 {
				found[k] = line
			}
		}
	}
	table, counts := "", make(map[string]int)
	for i, text := range strings.Split(string(src), "\n") {
		if m := tableLine().FindStringSubmatch(text); m != nil {
			table = numbered(m[2], counts)
			if m[1] == "[[" {
				counts[table]++
				table += "[" + strconv.Itoa(counts[table]-1) + "]"
			}
			note(table, i+1)
		} else if m := keyLine().FindStringSubmatch(text); m != nil {
			key := m[1]
			if table != "" {
				key = table + "." + key
			}
			note(key, i+1)
		}
	}
	return found
}

// numbered puts the present number behind each part of a table's name that is an array of tables, the last part apart.
func numbered(name string, counts map[string]int) string {
	parts := strings.Split(name, ".")
	path := ""
	for i, part := range parts {
		if path != "" {
			path += "."
		}
		path += part
		if n := counts[path]; n > 0 && i < len(parts)-1 {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
	}
	return path
}

// find gives the line of the longest known beginning of a key path, 0 if there is none.
func (l lines) find(key string) int {
	for key != "" {
		if n := l[key]; n > 0 {
			return n
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return 0
		}
		key = key[:cut]
	}
	return 0
}
