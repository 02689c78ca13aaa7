package confedit

import (
	"bytes"
	"fmt"
	"path"
	"slices"
)

// CanUnset tells whether keys can be taken out of files of the format.
func CanUnset(format string) bool {
	syn, err := syntaxOf(format)
	return err == nil && syn.lines
}

// unset takes out the lines of the keys that match a pattern, but of those that one of the edits sets.
func (d *draft) unset(pattern string, edits []Edit) error {
	fail := func(err error) error { return fmt.Errorf("unset %q: %w", pattern, err) }
	if !d.syn.lines {
		return fail(fmt.Errorf("it can't be done in this format"))
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fail(err)
	}
	goes := func(name string) bool {
		match, _ := path.Match(pattern, name)
		return match && !slices.ContainsFunc(edits, func(e Edit) bool { return !e.Unset && e.Key == name })
	}
	for i := slices.IndexFunc(d.root.names, goes); i >= 0; i = slices.IndexFunc(d.root.names, goes) {
		n := d.root.children[i]
		from, to := lineStart(d.src, n.from), len(d.src)
		if end := bytes.IndexByte(d.src[n.to:], '\n'); end >= 0 {
			to = n.to + end + 1
		}
		next := splice(d.src, []patch{{from, to, ""}})
		root, err := d.syn.parse(next)
		if err != nil {
			return fail(err)
		}
		d.src, d.root = next, root // an earlier line of the same key counts now
	}
	return nil
}
