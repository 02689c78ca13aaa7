package confedit

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

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
	p := patch{n.from, n.to, text}
	if n.from == n.to {
		p = patch{n.from, n.to + n.drop, n.lead + text + n.tail}
	}
	return &change{patch: p, edit: e, path: path, want: text}, nil
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
