package confedit

import (
	"strings"
)

// tomlSyntax is TOML 1.0, and what 1.1 adds to it. A key that stands twice is an error, as the format says.
func tomlSyntax() syntax {
	return syntax{
		rules: tomlRules,
		parse: parseTOML,
		path:  dottedPath,
		key:   joinPath,
		find:  findExact,
		bare:  tomlBare,
		quote: quoteTOML,
		add:   addTOML,
	}
}

var tomlRules = &rules{
	space:    " \t\n",
	comment:  commentBy("#"),
	trailing: true,
	escapes:  &escapes{letters: `btnfre"\`, runes: []rune("\b\t\n\f\r\x1b\"\\"), hex: "xuU"},
}

type tomlParser struct {
	scanner
	root    *node
	section *node // whose lines these are: the root, or the table of the last header
}

func parseTOML(src []byte) (*node, error) {
	sc, err := newScanner(src, tomlRules)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.origin, root.spread = originHeader, true
	p := tomlParser{scanner: sc, root: root, section: root}
	for {
		p.skipSpace()
		if p.eof() {
			return root, nil
		}
		if p.peek() == '[' {
			if root.from == len(src) {
				root.from, root.to = p.pos, p.pos // the first header: where the root's own lines end
			}
			err = p.header()
		} else {
			err = p.member(p.section)
		}
		if err != nil {
			return nil, err
		}
		p.skipBlanks()
		if p.peek() == '#' {
			p.skipLine()
		}
		if !p.atLineEnd() {
			return nil, p.errorf(p.pos, "expected the end of the line, got %s", p.what())
		}
	}
}

// header reads `[a.b]` or `[[a.b]]` and makes its table the current section.
func (p *tomlParser) header() error {
	start := p.pos
	width := 1
	if p.has("[[") {
		width = 2
	}
	p.pos += width
	path, err := p.key()
	if err != nil {
		return err
	}
	if !p.has(strings.Repeat("]", width)) {
		return p.errorf(p.pos, "expected the end of a table's header, got %s", p.what())
	}
	p.pos += width
	section := newTable(start, start)
	section.origin, section.spread = originHeader, true
	section.last, section.lastKey = p.pos, start
	section.spans = []span{{start, p.pos}}
	in, err := p.parent(start, section, path[:len(path)-1])
	if err != nil {
		return err
	}
	name := path[len(path)-1]
	old := in.child(name)
	switch {
	case width == 2 && old == nil:
		list := &node{kind: kindArray, from: start, to: start, spread: true, children: []*node{section}}
		in.replace(name, list)
	case width == 2 && old.kind == kindArray && old.spread:
		old.children = append(old.children, section)
	case width == 1 && old == nil:
		in.replace(name, section)
	case width == 1 && old.kind == kindTable && old.origin == originImplied:
		section.names, section.children, section.index = old.names, old.children, old.index
		in.children[in.index[name]] = section
	default:
		return p.errorf(start, "%q is defined twice", joinPath(path))
	}
	p.section = section
	return nil
}

// parent walks to the table that a header's last segment is put into.
func (p *tomlParser) parent(start int, section *node, path []string) (*node, error) {
	in := p.root
	for i, name := range path {
		next := in.child(name)
		if next == nil {
			next = newTable(start, start)
			next.owner, next.spread = section, true
			in.replace(name, next)
		}
		if next.kind == kindArray && next.spread {
			next = next.children[len(next.children)-1]
		}
		if next.kind != kindTable || next.origin == originInline {
			return nil, p.errorf(start, "%q is no table that can be extended", joinPath(path[:i+1]))
		}
		in = next
	}
	return in, nil
}

// member reads `key = value` into the table, whose lines or brackets these are.
func (p *tomlParser) member(base *node) error {
	start := p.pos
	path, err := p.key()
	if err != nil {
		return err
	}
	if p.peek() != '=' {
		return p.errorf(p.pos, "expected '=' after a key, got %s", p.what())
	}
	p.pos++
	p.skipBlanks()
	val, err := p.value()
	if err != nil {
		return err
	}
	base.last, base.lastKey = val.to, start
	in := base
	for i, name := range path[:len(path)-1] {
		next := in.child(name)
		if next == nil {
			next = newTable(start, start)
			next.origin, next.owner, next.spread = originDotted, base, true
			in.replace(name, next)
		}
		if next.kind != kindTable || next.origin == originInline || next.origin == originHeader {
			return p.errorf(start, "%q is no table that can be extended here", joinPath(path[:i+1]))
		}
		next.last, next.lastKey = val.to, start
		in = next
	}
	name := path[len(path)-1]
	if in.child(name) != nil {
		return p.errorf(start, "%q is defined twice", joinPath(path))
	}
	in.put(name, val, start)
	return nil
}

// key reads a dotted key and the blanks around it.
func (p *tomlParser) key() ([]string, error) {
	var path []string
	for {
		p.skipBlanks()
		start := p.pos
		switch c := p.peek(); {
		case c == '"' || c == '\'':
			s, err := p.str()
			if err != nil {
				return nil, err
			}
			if len(s.quote) > 1 {
				return nil, p.errorf(start, "a key can't be a string of several lines")
			}
			path = append(path, s.text)
		default:
			for isWord(p.peek()) {
				p.pos++
			}
			if p.pos == start {
				return nil, p.errorf(p.pos, "expected a key, got %s", p.what())
			}
			path = append(path, string(p.src[start:p.pos]))
		}
		if len(path) > maxDepth {
			return nil, p.errorf(start, "a key has more than %d segments", maxDepth)
		}
		p.skipBlanks()
		if p.peek() != '.' {
			return path, nil
		}
		p.pos++
	}
}

func addTOML(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	if err := canAdd(way, path); err != nil {
		return patch{}, err
	}
	n, rest := way[len(way)-1], path[len(way)-1:]
	base := n
	if n.origin == originDotted {
		for i, on := range way {
			if on == n.owner {
				base, rest = on, path[i:]
			}
		}
	}
	line := tomlKey(rest) + " = " + value
	switch {
	case base.origin == originInline:
		return brackets{commas: true, pad: " ", unit: "  "}.addInside(src, base, line), nil
	case n.origin == originImplied:
		at := n.owner.last
		table := append(namesOf(way), rest[:len(rest)-1]...)
		return insertLines(src, at, "", "["+tomlKey(table)+"]", tomlKey(rest[len(rest)-1:])+" = "+value), nil
	case n == root && len(rest) > 1:
		return appendBlock(src, "["+tomlKey(rest[:len(rest)-1])+"]", tomlKey(rest[len(rest)-1:])+" = "+value), nil
	case n == root && n.last == 0:
		return addFirst(src, n.from, line), nil
	}
	return insertLines(src, n.last, indentAt(src, n.lastKey)+line), nil
}
