package template

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/confedit"
)

// edited reads the files in which the template sets keys, and notes in c.Elsewhere where such a key must be set in another place: the
// source has it in a file that the named one includes, or its value is a variable.
func (r *configReader) edited(c *Config) error {
	ours := r.t.ownKeys()
	for _, file := range slices.Sorted(maps.Keys(ours)) {
		list, err := r.list(file)
		if err != nil {
			return err
		}
		f := r.files[file]
		if f.File == nil {
			continue
		}
		for _, key := range ours[file] {
			if strings.Contains(key, "*") {
				continue
			}
			at, ok, err := whereOf(f.File, key)
			if err != nil {
				return fmt.Errorf("read %q: %w", file, err)
			}
			if at.File = file; ok && at.ToFile != "" && at.ToFile != path.Clean(file) {
				c.Elsewhere = append(c.Elsewhere, at)
			}
		}
		for _, e := range list {
			if e.File != "" && e.File != path.Clean(file) && matchesStar(ours[file], e.Key) {
				_, there, _, err := f.Where(e.Key)
				if err != nil {
					return fmt.Errorf("read %q: %w", file, err)
				}
				c.Elsewhere = append(c.Elsewhere, Elsewhere{File: file, Key: e.Key, ToFile: e.File, ToKey: there})
			}
		}
		r.variables(c, file, list, ours[file])
	}
	return nil
}

// whereOf returns the file and key under which a key is in the source (ok), or under which it would be added: in the innermost of its
// tables that is there (ok, with Missing). Without any of its tables, ok is false.
func whereOf(f *confedit.File, key string) (at Elsewhere, ok bool, err error) {
	rest := ""
	for outer := key; ; at.Missing = true {
		in, there, ok, err := f.Where(outer)
		if err != nil || ok {
			at.Key, at.ToFile, at.ToKey = key, in, there+rest
			return at, ok, err
		}
		cut := strings.LastIndexByte(outer, '.')
		if cut <= 0 || strings.Contains(outer, `"`) {
			return at, false, nil
		}
		outer, rest = outer[:cut], outer[cut:]+rest
	}
}

var variable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)$`) })

// variables finds the variables of a file (`key = $name`) that are used only by keys that the template sets, and notes that the first
// such key is set by changing the variable: a server may refuse a variable that is not used any more.
func (r *configReader) variables(c *Config, file string, list []confedit.Entry, ours []string) {
	users := map[string][]string{}
	others := map[string]bool{}
	for _, e := range list {
		m := variable().FindStringSubmatch(e.Reference)
		switch {
		case m == nil:
		case matchesAny(ours, e.Key):
			users[m[1]] = append(users[m[1]], e.Key)
		default:
			others[m[1]] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		in, there, ok, err := r.files[file].Where(name)
		if err == nil && ok && !others[name] {
			if in == "" {
				in = file
			}
			c.Elsewhere = append(c.Elsewhere, Elsewhere{File: file, Key: users[name][0], ToFile: in, ToKey: there})
		}
	}
}

// unread notes in c.Unread the includes that were not followed, and why.
func (r *configReader) unread(c *Config) error {
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		if r.files[file].File == nil {
			continue
		}
		for _, in := range r.files[file].Unread() {
			c.Unread = append(c.Unread, fmt.Sprintf("line %d of %s includes %s, which is not read: %s", in.Line, in.File, in.Path, in.Why))
		}
	}
	return nil
}

// ownKeys returns, by file, the keys that the template sets: those of its edits, listeners and places.
func (t *Template) ownKeys() map[string][]string {
	keys := map[string][]string{}
	t.eachEdit(func(_ string, e *Edit) {
		keys[e.File] = slices.AppendSeq(keys[e.File], maps.Keys(e.Set))
		keys[e.File] = slices.AppendSeq(keys[e.File], maps.Keys(e.Raw))
		keys[e.File] = slices.AppendSeq(keys[e.File], maps.Keys(e.Present))
		keys[e.File] = slices.AppendSeq(keys[e.File], maps.Keys(e.Default))
		keys[e.File] = append(keys[e.File], e.Unset...)
	})
	for _, l := range t.Listeners {
		if l.File == "" {
			continue
		}
		keys[l.File] = append(append(keys[l.File], l.Key), l.Also...)
	}
	for _, p := range t.Places {
		keys[p.File] = append(append(keys[p.File], p.Key), p.Also...)
	}
	return keys
}
