package confedit

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
)

// Entry is a key of a file and its value.
type Entry struct {
	Key   string `json:"key"` // as Edit takes it
	Value string `json:"value"`
	Line  int    `json:"line"` // of the value, from 1
	// Kind is string, number, bool, null, other, array or table. The value of an array or table is its text as the file
	// has it, and nothing where it is not in one piece.
	Kind string `json:"kind"`
	// Reference is what the file has in place of the value: a variable, a substitution, an alias. Where it leads is not in
	// the file when Value is the same.
	Reference string `json:"reference,omitempty"`
	// File is the name of the file that says so; none for what Read was given.
	File string `json:"file,omitempty"`
}

// File is a configuration file that was read.
type File struct {
	syn  syntax
	src  []byte
	root *node
	env  func(name string) (string, bool)

	includes []*include // in the order of the file
	name     string     // where Follow read it
	unread   []Unread
}

// Read parses a file. Env looks up the variables that the file leaves to the environment; nil stands for an empty one.
func Read(format string, src []byte, env func(name string) (string, bool)) (*File, error) {
	syn, root, err := open(format, src)
	if err != nil {
		return nil, err
	}
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	f := &File{syn: syn, src: src, root: root, env: env}
	f.findIncludes(root, nil)
	slices.SortStableFunc(f.includes, func(a, b *include) int { return a.at - b.at })
	line := lineCounter{src: src, line: 1}
	for _, in := range f.includes {
		in.Line = line.at(in.at)
	}
	return f, nil
}

// List is File.List of a file without an environment.
func List(format string, src []byte) ([]Entry, error) {
	f, err := Read(format, src, nil)
	if err != nil {
		return nil, err
	}
	return f.List()
}

// List returns every scalar that is in effect (a value that a later one overrides is not), in the order of the file.
// Elements of arrays are listed under the array's key and their index: `seeds.0`.
func (f *File) List() ([]Entry, error) {
	return f.entries(func(n *node, _ []string) bool { return n.scalar() })
}

// Match returns the scalars and arrays whose keys match a pattern, in which * stands for anything within one segment, and ?
// and [a-z] for one byte. In the pattern no segment is quoted, and a name with dots counts as several.
func (f *File) Match(pattern string) ([]Entry, error) {
	match, err := matcher(pattern)
	if err != nil {
		return nil, fmt.Errorf("match %q: %w", pattern, err)
	}
	return f.entries(func(n *node, path []string) bool { return n.kind != kindTable && match(path, false) })
}

// Get returns what the file says at a key, which may be an array or a table; false when it says nothing.
func (f *File) Get(key string) (Entry, bool, error) {
	w, err := f.winner(key)
	if err != nil || w.node == nil {
		return Entry{}, false, err
	}
	e := w.file.entry(w.node, key)
	e.Line = lineOf(w.file.src, w.node.from)
	return e, true, nil
}

// matcher returns what reports whether a path matches a pattern, and, with below, whether it is below one that does.
func matcher(pattern string) (func(names []string, below bool) bool, error) {
	want := strings.Split(pattern, ".")
	for _, segment := range want {
		if _, err := path.Match(segment, ""); err != nil {
			return nil, err
		}
	}
	return func(names []string, below bool) bool {
		have := strings.Split(strings.Join(names, "."), ".")
		if len(have) < len(want) || len(have) > len(want) && !below {
			return false
		}
		for i, segment := range want {
			if ok, _ := path.Match(segment, have[i]); !ok && segment != "*" { // which stands for slashes, too
				return false
			}
		}
		return true
	}, nil
}

// entries returns those nodes that are wanted.
func (f *File) entries(wanted func(*node, []string) bool) ([]Entry, error) {
	type found struct {
		at    int
		entry Entry
	}
	var all []found
	var walk func(n *node, path []string) error
	walk = func(n *node, path []string) error {
		if wanted(n, path) {
			key := f.syn.keyIn(f.root, path)
			if len(key) > maxKey {
				return fmt.Errorf("list keys: %w", syntaxErr(f.src, n.from, "a key is longer than %d bytes", maxKey))
			}
			all = append(all, found{n.from, f.entry(n, key)})
		}
		for i, child := range n.children {
			if err := walk(child, append(path[:len(path):len(path)], n.nameOf(i))); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(f.root, nil); err != nil {
		return nil, err
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].at < all[j].at })
	line := lineCounter{src: f.src, line: 1}
	var entries []Entry
	for _, found := range all {
		found.entry.Line = line.at(found.at)
		entries = append(entries, found.entry)
	}
	return f.withIncluded(entries, wanted)
}

// lineCounter finds the lines of places that are asked for in the order of the file.
type lineCounter struct {
	src  []byte
	pos  int
	line int
}

func (l *lineCounter) at(pos int) int {
	l.line += bytes.Count(l.src[l.pos:pos], []byte{'\n'})
	l.pos = pos
	return l.line
}

// entry is what a node says, but for its line.
func (f *File) entry(n *node, key string) Entry {
	e := Entry{Key: key, Kind: n.kind.String(), Value: n.text, File: f.name}
	if n.ref != nil && n.scalar() {
		e.Reference = string(f.src[n.from:n.to])
		if to := f.resolve(n, &trail{}); to != nil {
			e.Kind, e.Value = to.kind.String(), to.text
			n = to
		}
	}
	if !n.scalar() && !n.spread && n.to <= len(f.src) {
		e.Value = string(f.src[n.from:n.to])
	}
	return e
}
