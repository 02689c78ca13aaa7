package confedit

import "slices"

// reference is a value that is read from elsewhere: a variable, a substitution, an alias.
type reference struct {
	target   *node    // what it stands for, where the parser knows that
	path     []string // else the key that says so,
	name     string   // or the variable of the environment
	pieces   []*node  // of a text or a table that is put together: one after the other
	previous *node    // what the key was before the reference replaced it, in a format that goes back to that
}

// maxSteps is how many references are followed to resolve one value.
const maxSteps = 1000

// trail is the way from a reference to its value.
type trail struct {
	open  []*node // references that are being followed
	steps int
}

// resolve follows a reference to the value that it stands for; nil when that is not known.
func (f *File) resolve(n *node, t *trail) *node {
	if n.ref == nil || n.kind == kindTable {
		return n
	}
	if t.steps++; t.steps > maxSteps {
		return nil
	}
	ref := n.ref
	if slices.Contains(t.open, n) { // it speaks of what it was before
		ref = &reference{previous: n.ref.previous}
	}
	t.open = append(t.open, n)
	defer func() { t.open = t.open[:len(t.open)-1] }()
	if ref.pieces != nil {
		return f.concat(n, t)
	}
	target := ref.target
	if target == nil && ref.path != nil {
		target = f.syn.find(f.root, ref.path)
	}
	if target != nil {
		if to := f.resolve(target, t); to != nil {
			return to
		}
	}
	if to := f.fromIncludes(ref, t); to != nil {
		return to
	}
	if value, ok := f.env(ref.name); ok && ref.name != "" {
		k, _ := f.syn.bare(value)
		return &node{kind: k, text: value, from: n.from, to: n.from}
	}
	if ref.previous != nil {
		return f.resolve(ref.previous, t)
	}
	return nil
}

// fromIncludes is what a reference stands for when an included file says so: the last one counts.
func (f *File) fromIncludes(ref *reference, t *trail) *node {
	for _, in := range slices.Backward(f.includes) {
		path, depth := ref.path, len(in.Table)
		if path == nil { // a variable, whatever the table
			path, depth = []string{ref.name}, 0
		}
		if depth >= len(path) || !slices.Equal(path[:depth], in.Table[:depth]) {
			continue
		}
		for _, sub := range slices.Backward(in.files) {
			if n := findExact(sub.root, path[depth:]); n != nil {
				return sub.resolve(n, t)
			}
			if n := sub.fromIncludes(&reference{path: path[depth:]}, t); n != nil {
				return n
			}
		}
	}
	return nil
}

// concat is the text that the pieces of a reference make one after the other.
func (f *File) concat(n *node, t *trail) *node {
	whole := &node{from: n.from, to: n.from}
	for _, piece := range n.ref.pieces {
		to := f.resolve(piece, t)
		if to == nil || !to.scalar() || len(whole.text)+len(to.text) > maxSize {
			return nil
		}
		whole.text += to.text
	}
	return whole
}

// find returns the value of a key, also below references to tables and arrays.
func (f *File) find(path []string) *node {
	if n := f.syn.find(f.root, path); n != nil {
		return n
	}
	return f.findBelow(f.root, path, &trail{})
}

func (f *File) findBelow(n *node, path []string, t *trail) *node {
	way := descend(n, path, (*node).childFold)
	path = path[len(way)-1:]
	last := way[len(way)-1]
	if len(path) == 0 {
		return last
	}
	if last.ref == nil {
		return nil
	}
	sources := []*node{last}
	if last.ref.pieces != nil {
		sources = last.ref.pieces
	}
	for _, source := range slices.Backward(sources) { // the last one wins
		if source.ref == nil || source.kind == kindTable {
			continue
		}
		if to := f.resolve(source, t); to != nil && to != last && !to.scalar() && t.steps <= maxSteps {
			if found := f.findBelow(to, path, t); found != nil {
				return found
			}
		}
	}
	return nil
}
