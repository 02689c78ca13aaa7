// Package confedit changes values in configuration files and keeps every other byte: comments, order, indentation, line
// ends, a missing final newline. It parses for positions and splices values in; it never prints a file anew.
//
// It is pure: bytes in, bytes out, no files, no clock. It is not a configuration reader: it knows the shape of each
// format well enough to find where a key's value stands and what it says, and leaves its meaning to the server.
//
// Start at Apply. Each dialect is one syntax value (syntax.go) in a file of its own: toml.go, properties.go, blocks.go,
// hocon.go, directives.go, ini.go, json.go, yaml.go. What they share is the scanner (scan.go), which reads white space,
// comments, lists (rules.go) and strings (scan_strings.go) by the rules of the dialect; the tree of positions (tree.go);
// the choice of how a text is written (encode in syntax.go); and the placing of new lines and members (place.go).
//
// # Keys
//
// A key is a dotted path: `listeners.tcp.default.bind`. A segment that holds a dot, or is empty, is quoted:
// `a."b.c".d`. An element of an array is its index, from 0: `seeds.0`. In the flat formats (properties and directives) the
// whole key is the name as the file has it, dots and all. In ini it is `section.key`, or `key` before any section.
//
// # Rules
//
//   - A value that is set to what it is leaves the file as it is; setting twice is setting once.
//   - Where a key stands several times, the one that wins in that format is changed.
//   - A default that is commented out is not there.
//   - A missing key is added to its table, section or block, which is made when it is missing too. Elements of arrays,
//     and members of what holds a plain value, are not added: that is an error.
//   - Included files are not looked at: what they set does not count.
package confedit

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Edit sets one key.
type Edit struct {
	Key string `json:"key"`
	// Value is the text that the key shall have. It is written in the kind (string, number, bool) that the present
	// value has where it fits; for a missing key, integers, floats, true and false are written bare and everything else
	// as a string, quoted where the format asks for it.
	Value string `json:"value"`
	// Raw says that Value is the format's own syntax for one value (an array, a quoted text) and is written verbatim.
	Raw bool `json:"raw,omitempty"`
	// Present says that a file without the key stays without it.
	Present bool `json:"present,omitempty"`
	// Default says that a file with the key keeps its value.
	Default bool `json:"default,omitempty"`
	// Unset takes out the lines of all keys that match Key, in which * stands for anything, but of those that other edits
	// set. It goes before all other edits, and only with formats of one key a line: CanUnset.
	Unset bool `json:"unset,omitempty"`
}

// String is the edit for people.
func (e Edit) String() string {
	switch {
	case e.Unset:
		return "remove " + e.Key
	case e.Present:
		return fmt.Sprintf("%s = %s, if it is there", e.Key, e.Value)
	case e.Default:
		return fmt.Sprintf("%s = %s, if it is not there", e.Key, e.Value)
	}
	return e.Key + " = " + e.Value
}

// Entry is a scalar key of a file.
type Entry struct {
	Key   string `json:"key"` // as Edit takes it
	Value string `json:"value"`
	Line  int    `json:"line"` // of the value, from 1
}

// SyntaxError says where a file could not be understood.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

const (
	maxSize  = 16 << 20 // bytes of a file: more is not a configuration file
	maxDepth = 200      // nested values, and segments of a key
	maxKey   = 1024     // bytes of a key
)

// Apply returns src with the edits made in order. It is all or nothing: when any edit can't be made, the error joins
// one error per such edit, each naming its key, and no bytes are returned. src itself is never written to.
func Apply(format string, src []byte, edits []Edit) ([]byte, error) {
	syn, root, err := open(format, src)
	if err != nil {
		return nil, err
	}
	d := draft{syn: syn, src: src, root: root}
	var errs []error
	for _, e := range edits {
		if e.Unset {
			errs = append(errs, d.unset(e.Key, edits))
		}
	}
	for _, e := range edits {
		if !e.Unset {
			errs = append(errs, d.set(e))
		}
	}
	errs = append(errs, d.flush())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return bytes.Clone(d.src), nil
}

// List returns every scalar that is in effect (a value that a later one overrides is not), in the order of the file.
// Elements of arrays are listed under the array's key and their index: `seeds.0`.
func List(format string, src []byte) ([]Entry, error) {
	syn, root, err := open(format, src)
	if err != nil {
		return nil, err
	}
	l := lister{syn: syn, src: src}
	l.walk(root, nil)
	if l.err != nil {
		return nil, l.err
	}
	sort.SliceStable(l.found, func(i, j int) bool { return l.found[i].at < l.found[j].at })
	lines, at := 1, 0
	entries := make([]Entry, len(l.found))
	for i, f := range l.found {
		lines += bytes.Count(src[at:f.at], []byte{'\n'})
		at = f.at
		f.entry.Line = lines
		entries[i] = f.entry
	}
	return entries, nil
}

func open(format string, src []byte) (syntax, *node, error) {
	syn, err := syntaxOf(format)
	if err != nil {
		return syntax{}, nil, err
	}
	if len(src) > maxSize {
		return syntax{}, nil, fmt.Errorf("parse %s: %d bytes is too large for a configuration file", format, len(src))
	}
	root, err := syn.parse(src)
	if err != nil {
		return syntax{}, nil, fmt.Errorf("parse %s: %w", format, err)
	}
	return syn, root, nil
}

// lister collects the scalars of a tree.
type lister struct {
	syn   syntax
	src   []byte
	found []foundEntry
	err   error
}

type foundEntry struct {
	at    int
	entry Entry
}

func (l *lister) walk(n *node, path []string) {
	if l.err != nil {
		return
	}
	if !n.scalar() {
		for i, child := range n.children {
			l.walk(child, append(path[:len(path):len(path)], n.nameOf(i)))
		}
		return
	}
	key := l.syn.key(path)
	if len(key) > maxKey {
		l.err = fmt.Errorf("list keys: %w", syntaxErr(l.src, n.from, "a key is longer than %d bytes", maxKey))
		return
	}
	l.found = append(l.found, foundEntry{at: n.from, entry: Entry{Key: key, Value: n.text}})
}

// draft is a file while edits are made to it.
type draft struct {
	syn     syntax
	src     []byte
	root    *node
	pending []change // of src, apart from each other
}

// change is one edit as it will be spliced in.
type change struct {
	patch
	edit Edit
	path []string
	want string // the text that must then be found at path
}

// set makes one edit, or puts it on the pending list. An edit that rests on the outcome of pending ones, or that must be
// judged alone, makes these happen first.
func (d *draft) set(e Edit) error {
	fail := func(err error) error { return fmt.Errorf("set %q: %w", e.Key, err) }
	if !utf8.ValidString(e.Value) || strings.ContainsRune(e.Value, 0) || !utf8.ValidString(e.Key) {
		return fail(errors.New("key and value must be valid text"))
	}
	path, err := d.syn.path(d.root, e.Key)
	if err != nil {
		return fail(err)
	}
	if len(d.syn.key(path)) > maxKey {
		return fail(fmt.Errorf("the key is longer than %d bytes", maxKey))
	}
	n := d.syn.find(d.root, path)
	if n == nil && e.Present || n != nil && e.Default {
		return nil
	}
	if n == nil || e.Raw || d.touches(n) {
		if err := d.flush(); err != nil {
			return err
		}
		if path, err = d.syn.path(d.root, e.Key); err != nil {
			return fail(err)
		}
	}
	c, err := d.change(e, path)
	if err != nil {
		return fail(err)
	}
	if c == nil {
		return nil
	}
	d.pending = append(d.pending, *c)
	if e.Raw || c.from == c.to {
		return d.flush()
	}
	return nil
}

func (d *draft) touches(n *node) bool {
	for _, c := range d.pending {
		if c.from <= n.to && n.from <= c.to {
			return true
		}
	}
	return false
}

// change finds what has to be written for an edit; nil when the file says so already.
func (d *draft) change(e Edit, path []string) (*change, error) {
	n := d.syn.find(d.root, path)
	if e.Raw {
		e.Value = strings.TrimSpace(e.Value)
	}
	switch {
	case n == nil:
		text, err := d.text(e, nil)
		if err != nil {
			return nil, err
		}
		p, err := d.syn.add(d.src, d.root, path, text)
		if err != nil {
			return nil, err
		}
		return &change{patch: p, edit: e, path: path, want: text}, nil
	case e.Raw && n.from < n.to && string(d.src[n.from:n.to]) == e.Value:
		return nil, nil
	case !e.Raw && n.scalar() && n.kind != kindNull && n.text == e.Value:
		return nil, nil
	case n.spread:
		return nil, fmt.Errorf("line %d: it is no single text: set the keys below it", lineOf(d.src, n.from))
	case !e.Raw && !n.scalar():
		return nil, fmt.Errorf("line %d: it is no single value: a raw value can replace it", lineOf(d.src, n.from))
	}
	text, err := d.text(e, n)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", lineOf(d.src, n.from), err)
	}
	lead := ""
	if n.from == n.to {
		lead = n.lead
	}
	return &change{patch: patch{n.from, n.to, lead + text}, edit: e, path: path, want: text}, nil
}

func (d *draft) text(e Edit, old *node) (string, error) {
	if e.Raw {
		return e.Value, nil
	}
	return d.syn.encode(old, e.Value)
}

// flush splices the pending changes in and makes sure, by parsing the outcome, that each key now has what it should.
// When that is not so, the changes are dropped and the error names their keys.
func (d *draft) flush() error {
	if len(d.pending) == 0 {
		return nil
	}
	changes := d.pending
	d.pending = nil
	patches := make([]patch, len(changes))
	for i, c := range changes {
		patches[i] = c.patch
	}
	next := splice(d.src, patches)
	root, err := d.syn.parse(next)
	if err != nil {
		var errs []error
		for _, c := range changes {
			errs = append(errs, fmt.Errorf("set %q: the file can't be parsed with the value %q: %w", c.edit.Key, c.want, err))
		}
		return errors.Join(errs...)
	}
	var errs []error
	for _, c := range changes {
		n := d.syn.find(root, c.path)
		if n == nil || string(next[n.from:n.to]) != c.want || !c.edit.Raw && n.text != c.edit.Value {
			errs = append(errs, fmt.Errorf("set %q: %q can't be written as one value of this format", c.edit.Key, c.want))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	d.src, d.root = next, root
	return nil
}
