package confedit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// removal is what is cut out of a file for all Unset edits.
type removal struct {
	draft   *draft
	matches []func(names []string, below bool) bool
	kept    [][]string // the keys that other edits set
	cuts    []cut
	nodes   map[*node]bool // that go, with all below them
}

// cut is a part of the file that goes.
type cut struct {
	span
	listed bool   // it is a member of a list in brackets
	text   string // comes in its place
}

// unset takes out the keys that match a pattern of an Unset edit, and all below them, but for those that other edits set.
func (d *draft) unset(edits []Edit) error {
	var patterns []string
	r := removal{draft: d, nodes: map[*node]bool{}}
	for _, e := range edits {
		if !e.Unset {
			if names, err := d.syn.path(d.root, e.Key); err == nil { // else the edit itself reports it
				r.kept = append(r.kept, names)
			}
			continue
		}
		match, err := matcher(e.Key)
		if err != nil {
			return fmt.Errorf("unset %q: %w", e.Key, err)
		}
		r.matches = append(r.matches, match)
		patterns = append(patterns, strconv.Quote(e.Key))
	}
	if r.walk(d.root, nil, false); len(r.cuts) == 0 {
		return nil
	}
	next := d.src
	for _, c := range merged(r.cuts) {
		from, to := d.syn.extent(next, c)
		next = splice(next, []patch{{from, to, c.text}})
	}
	root, err := d.syn.parse(next)
	if err == nil && !slices.Equal(leaves(d.root, r.nodes), leaves(root, nil)) {
		err = errors.New("other keys would change")
	}
	if err != nil {
		return fmt.Errorf("unset %s: line %d: %w", strings.Join(patterns, ", "), lineOf(d.src, r.cuts[0].from), err)
	}
	d.src, d.root = next, root
	return nil
}

// walk finds what goes of a table or array; all is set where everything goes that is not kept.
func (r *removal) walk(n *node, names []string, all bool) {
	gone := 0
	for i, child := range n.children {
		at := append(names[:len(names):len(names)], n.nameOf(i))
		goes := all || slices.ContainsFunc(r.matches, func(match func([]string, bool) bool) bool { return match(at, true) })
		switch {
		case !goes:
			r.walk(child, at, false)
		case !slices.ContainsFunc(r.kept, func(kept []string) bool { return len(kept) >= len(at) && slices.Equal(kept[:len(at)], at) }):
			r.remove(n, child)
			gone++
		case !child.scalar() && !slices.ContainsFunc(r.kept, func(kept []string) bool { return slices.Equal(kept, at) }):
			r.walk(child, at, true)
		}
	}
	if gone > 0 && gone == len(n.children) && r.draft.syn.indented && n.origin != originInline && n != r.draft.root && n.listStart(r.draft.src) == 0 {
		r.cuts = append(r.cuts, cut{span: span{n.from, n.to}, text: map[kind]string{kindTable: "{}", kindArray: "[]"}[n.kind]})
	}
}

func (r *removal) remove(in, n *node) {
	r.nodes[n] = true
	listed := in.listStart(r.draft.src) != 0
	spans := slices.Clone(n.allSpans())
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	for i, sp := range spans {
		if last := len(r.cuts) - 1; i > 0 && n.kind == kindTable && n.spread {
			between := scanner{src: r.draft.src, rules: r.draft.syn.rules, pos: r.cuts[last].to}
			if between.skipSpace(); between.pos == sp.from && sp.to > r.cuts[last].to { // only comments in between
				r.cuts[last].to = sp.to
				continue
			}
		}
		r.cuts = append(r.cuts, cut{span: sp, listed: listed})
	}
}

// listStart is the bracket that a table or array starts with; 0 when it has none.
func (n *node) listStart(src []byte) byte {
	if n.from < len(src) && n.from < n.to && (src[n.from] == '{' || src[n.from] == '[') && (n.kind == kindArray && !n.spread || n.origin == originInline) {
		return src[n.from]
	}
	return 0
}

// merged returns cuts from the last to the first, without those that are inside others.
func merged(cuts []cut) []cut {
	slices.SortStableFunc(cuts, func(a, b cut) int {
		return cmp.Or(a.from-b.from, b.to-a.to, len(b.text)-len(a.text))
	})
	var out []cut
	for _, c := range cuts {
		if last := len(out) - 1; last < 0 || c.from >= out[last].to && c.span != out[last].span {
			out = append(out, c)
		} else {
			out[last].to = max(out[last].to, c.to)
		}
	}
	slices.Reverse(out)
	return out
}

// extent is what of the file is to be cut, so that neither a separator nor an empty line stays.
func (s syntax) extent(src []byte, c cut) (from, to int) {
	from, to = c.from, c.to
	if c.text != "" {
		return from, to
	}
	sc := scanner{src: src, rules: s.rules, pos: to}
	parted := false
	if c.listed || s.rules.newline {
		if sc.skipBlanks(); c.listed && !s.rules.newline {
			sc.skipSpace()
		}
		if parted = sc.peek() == ',' || sc.peek() == ';' && s.rules.semicolon; parted {
			to = sc.pos + 1
		} else if before := bytes.TrimRight(src[:from], " \t\r\n"); c.listed && bytes.HasSuffix(before, []byte(",")) {
			return len(before) - 1, to
		}
	}
	sc.pos = to
	sc.skipBlanks()
	after := sc.pos
	if s.rules.comment != nil {
		s.rules.comment(&sc)
	}
	start := lineStart(src, from)
	alone := strings.Trim(string(src[start:from]), " \t\f"+bom) == ""
	switch {
	case alone && sc.atLineEnd():
		if bytes.HasPrefix(src[start:], []byte(bom)) {
			start += len(bom)
		}
		return start, min(len(src), endOfLine(src, sc.pos))
	case s.indented && !c.listed: // the first key of an element: what follows comes up to its dash
		sc.skipSpace()
		return from, sc.pos
	case parted:
		return from, after
	}
	return from, to
}

// endOfLine is where the next line starts.
func endOfLine(src []byte, at int) int {
	if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(src)
}

// leaves are the texts of all scalars in the order of the file, without those below certain nodes.
func leaves(root *node, without map[*node]bool) []string {
	var found []*node
	var walk func(n *node)
	walk = func(n *node) {
		if n.scalar() {
			found = append(found, n)
		}
		for _, child := range n.children {
			if !without[child] {
				walk(child)
			}
		}
	}
	walk(root)
	slices.SortStableFunc(found, func(a, b *node) int { return a.from - b.from })
	var texts []string
	for _, n := range found {
		texts = append(texts, n.text)
	}
	return texts
}
