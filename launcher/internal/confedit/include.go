package confedit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Include is a directive by which a file has others read in its place.
type Include struct {
	Path     string   `json:"path"`            // as the file has it, a glob for a whole directory
	Line     int      `json:"line"`            // of the directive, from 1
	Table    []string `json:"table,omitempty"` // the names of the table in which the keys then are; none at the top
	Optional bool     `json:"optional,omitempty"`
	Remote   bool     `json:"remote,omitempty"` // no path of a file, but an URL or a name that only the server looks up
}

// Unread is an include that Follow did not follow.
type Unread struct {
	File string `json:"file"` // which has the directive
	Include
	Why string `json:"why"`
}

// include is a directive in the tree, and, where it was followed, what it led to.
type include struct {
	Include
	at    int // where the directive starts
	files []*File
}

const maxIncludes = 10 // files that include each other

// Includes returns the include directives of a file in its order.
func (f *File) Includes() []Include {
	var all []Include
	for _, in := range f.includes {
		all = append(all, in.Include)
	}
	return all
}

// findIncludes collects the directives in a table and below it.
func (f *File) findIncludes(n *node, names []string) {
	for i := range n.includes {
		in := &n.includes[i]
		in.Table = names
		f.includes = append(f.includes, in)
	}
	for i, child := range n.children {
		f.findIncludes(child, append(names[:len(names):len(names)], n.nameOf(i)))
	}
}

// Follow is Read of a file of a directory, together with the files that it includes as far as these are in there, too:
// List, Match and Get then read all of them. Unread returns the includes that were not followed. after are files of the
// directory that the server reads after this one, as if it had them at its end.
func Follow(dir fs.FS, format, name string, env func(name string) (string, bool), after ...string) (*File, error) {
	f, err := follow(dir, format, path.Clean(name), env, 0)
	if err != nil {
		return nil, err
	}
	for _, more := range after {
		sub, err := follow(dir, format, path.Clean(more), env, 1)
		if err != nil {
			return nil, err
		}
		f.includes = append(f.includes, &include{Include: Include{Path: more}, at: len(f.src), files: []*File{sub}})
		f.unread = append(f.unread, sub.unread...)
	}
	return f, nil
}

func follow(dir fs.FS, format, name string, env func(name string) (string, bool), depth int) (*File, error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("read %q: more than %d files include each other", name, maxIncludes)
	}
	src, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	f, err := Read(format, src, env)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	f.name = name
	for _, in := range f.includes {
		names, why := f.included(dir, in)
		if why != "" {
			f.unread = append(f.unread, Unread{File: name, Include: in.Include, Why: why})
		}
		for _, name := range names {
			sub, err := follow(dir, format, name, env, depth+1)
			if err != nil {
				return nil, fmt.Errorf("line %d of %q: %w", in.Line, f.name, err)
			}
			in.files = append(in.files, sub)
			f.unread = append(f.unread, sub.unread...)
		}
	}
	return f, nil
}

// included returns the names of the files that a directive leads to, or why it can't be followed.
func (f *File) included(dir fs.FS, in *include) (names []string, why string) {
	name := in.Path
	if !f.syn.workingDir {
		name = path.Join(path.Dir(f.name), name)
	}
	name = path.Clean(name)
	switch {
	case in.Remote:
		return nil, "it is no file"
	case path.IsAbs(in.Path) || !fs.ValidPath(name):
		return nil, "it leads outside of the directory"
	}
	if strings.ContainsAny(name, "*?[") {
		names, err := fs.Glob(dir, name)
		if err != nil {
			return nil, err.Error()
		}
		return names, ""
	}
	if _, err := fs.Stat(dir, name); err == nil {
		return []string{name}, ""
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err.Error()
	}
	if in.Optional {
		return nil, ""
	}
	return nil, "there is no such file"
}

// withIncluded adds the entries of included files, and keeps only those that are in effect.
func (f *File) withIncluded(entries []Entry, wanted func(*node, []string) bool) ([]Entry, error) {
	followed := false
	for _, in := range f.includes {
		for _, sub := range in.files {
			followed = true
			more, err := sub.entries(func(n *node, names []string) bool { return wanted(n, append(slices.Clone(in.Table), names...)) })
			if err != nil {
				return nil, err
			}
			for _, e := range more {
				if len(in.Table) > 0 {
					e.Key = joinPath(in.Table) + "." + e.Key
				}
				entries = append(entries, e)
			}
		}
	}
	if !followed {
		return entries, nil
	}
	return slices.DeleteFunc(entries, func(e Entry) bool {
		w, err := f.winner(e.Key)
		return err == nil && (w.node == nil || w.file.name != e.File)
	}), nil
}

// Unread returns the includes of this file, and of those that it includes, that were not followed.
func (f *File) Unread() []Unread { return f.unread }

// Where returns the name of the file whose value of a key is in effect, and the key by which that file has it; false when
// none has it.
func (f *File) Where(key string) (file, keyThere string, ok bool, err error) {
	w, err := f.winner(key)
	if err != nil || w.node == nil {
		return "", "", false, err
	}
	return w.file.name, w.key, true, nil
}

// winner is a value that is in effect, and where.
type winner struct {
	file *File
	node *node
	key  string // in that file
}

// winner looks for a key in this file and those that it includes. Of several that have it, the last one counts; where
// tables don't merge, that is so for each table on the way.
func (f *File) winner(key string) (winner, error) {
	names, err := f.syn.path(f.root, key)
	if err != nil {
		return winner{}, fmt.Errorf("get %q: %w", key, err)
	}
	best, at := winner{}, -1
	if n := f.find(names); n != nil {
		best, at = winner{f, n, key}, n.from
	}
	for _, in := range f.includes {
		depth := len(in.Table)
		if depth >= len(names) || !slices.Equal(in.Table, names[:depth]) || in.at < at || f.hides(in, names[:depth+1]) {
			continue
		}
		for _, sub := range in.files {
			w, err := sub.winner(f.syn.key(names[depth:]))
			if err != nil {
				return winner{}, err
			}
			if w.node != nil || sub.has(names[depth]) && f.syn.lastTable {
				best, at = w, in.at
			}
		}
	}
	return best, nil
}

// hides reports whether a table stands after an include, and so, in a format of that kind, in the place of an included one.
func (f *File) hides(in *include, names []string) bool {
	table := f.syn.find(f.root, names)
	return f.syn.lastTable && table != nil && table.from > in.at
}

// has reports whether the file, or one that it includes, has a key at its top.
func (f *File) has(name string) bool {
	w, err := f.winner(f.syn.key([]string{name}))
	return err == nil && w.node != nil
}
