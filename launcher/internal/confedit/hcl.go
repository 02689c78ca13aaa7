package confedit

import (
	"errors"
	"slices"
	"strings"
)

// hclSyntax is HCL: attributes `a = value`, blocks `a "label" { … }`, objects and lists; comments after #, // and between
// /* and */. The labels of a block are segments of its key: `listener.tcp.address`. A block that stands several times is
// an array: `listener.tcp.1.address`, and without a number the first. An expression is a text to be replaced as a whole.
func hclSyntax() syntax {
	return syntax{
		rules: hclRules,
		parse: parseHCL,
		path:  severalPath,
		key:   joinPath,
		find:  findExact,
		bare:  jsonBare,
		quote: func(s, _ string) (string, error) { return quoteHCL(s), nil },
		add:   addHCL,
	}
}

var hclRules = &rules{
	space:    " \t\n\r",
	comment:  hclComment,
	newline:  true,
	late:     true,
	trailing: true,
	escapes:  &escapes{letters: `nrt"\`, runes: []rune("\n\r\t\"\\"), hex: "uU", pairs: true},
}

type hclParser struct{ scanner }

func parseHCL(src []byte) (*node, error) {
	sc, err := newScanner(src, hclRules)
	if err != nil {
		return nil, err
	}
	p := hclParser{sc}
	root := newTable(len(src), len(src))
	root.spread = true
	return root, p.list(root, 0, p.member)
}

// member reads an attribute or a block.
func (p *hclParser) member(in *node) error {
	start := p.pos
	var names []string
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		names = append(names, name)
		p.skipBlanks()
		if c := p.peek(); c == '=' || c == ':' || c == '{' {
			break
		}
		if len(names) > maxDepth {
			return p.errorf(start, "more than %d labels", maxDepth)
		}
	}
	if p.peek() != '{' {
		if len(names) > 1 {
			return p.errorf(start, "expected '{' after the labels of a block, got %s", p.what())
		}
		p.pos++
		p.skipSpace()
		val, err := p.value()
		if err == nil {
			in.put(names[0], val, start)
		}
		return err
	}
	val, err := p.table(p.member)
	if err != nil {
		return err
	}
	val.spans, val.origin = []span{{start, p.pos}}, originHeader
	for _, label := range names[:len(names)-1] {
		next := in.child(label)
		if next == nil || next.kind != kindTable {
			next = newTable(start, start)
			next.spread = true
			in.replace(label, next)
		}
		in = next
	}
	in.repeat(names[len(names)-1], val)
	return nil
}

func (p *hclParser) name() (string, error) {
	if p.peek() == '"' {
		n, err := p.quoted()
		if err != nil {
			return "", err
		}
		return n.text, nil
	}
	start := p.pos
	for isWord(p.peek()) || p.peek() == '.' || p.peek() >= 0x80 {
		p.pos++
	}
	if p.pos == start {
		return "", p.errorf(start, "expected a name, got %s", p.what())
	}
	return string(p.src[start:p.pos]), nil
}

func (p *hclParser) value() (*node, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '{':
		return p.table(p.member)
	case c == '[':
		return p.array(p.value)
	case p.has("<<"):
		return p.heredoc()
	}
	end, err := p.expression()
	if err != nil {
		return nil, err
	}
	text := string(p.src[start:end])
	p.pos = end
	if text == "" {
		return nil, p.errorf(start, "expected a value, got %s", p.what())
	}
	if k, ok := jsonBare(text); ok {
		return &node{kind: k, from: start, to: end, text: text}, nil
	}
	n := &node{kind: kindOther, from: start, to: end, text: text}
	if s := (scanner{src: p.src[:end], rules: hclRules, pos: start}); text[0] == '"' && !strings.Contains(strings.NewReplacer("$${", "", "%%{", "").Replace(text), "{") {
		str, err := s.quoted()
		if err == nil && s.pos == end {
			str.text = strings.NewReplacer("$${", "${", "%%{", "%{").Replace(str.text)
			return str, nil
		}
	}
	return n, nil
}

func addHCL(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	if err := canAdd(way, path); err != nil {
		return patch{}, err
	}
	n, names := way[len(way)-1], hclNames(path[len(way)-1:])
	if n.origin != originInline && slices.ContainsFunc(names, func(name string) bool { return name[0] == '"' }) {
		return patch{}, errors.New("it can't be added: this is no name of an attribute or a block")
	}
	if n.spread && n != root { // named by the labels of its blocks alone
		if len(names) < 2 {
			return patch{}, errors.New("it can't be added: blocks of that name have labels")
		}
		header := path[0]
		for _, label := range path[1:len(way)] {
			header += " " + quoteHCL(label)
		}
		n, names = root, append([]string{header}, names[1:]...)
	}
	lines := nestedBlocks(names, " = ", value)
	switch {
	case n == root:
		return appendLines(src, lines...), nil
	case n.origin == originHeader:
		return addToBlock(src, n, lines), nil
	}
	return brackets{unit: "  ", pad: " "}.addInside(src, n, nested(names, " = ", value, " = { ", " }")), nil
}

// addToBlock puts lines at the end of a block. One that stands on a line of its own is spread over several: it can't hold
// more than one attribute there.
func addToBlock(src []byte, n *node, lines []string) patch {
	indent, eol := indentAt(src, n.from), eolOf(src)
	unit := indent + "  "
	inner := string(src[n.from+1 : n.to-1])
	if strings.Contains(inner, "\n") {
		at := n.from
		if n.last > 0 {
			at, unit = n.last, indentAt(src, n.lastKey)
		}
		for i := range lines {
			lines[i] = unit + lines[i]
		}
		return insertLines(src, at, lines...)
	}
	if inner = strings.Trim(inner, " \t"); inner != "" {
		lines = append([]string{inner}, lines...)
	}
	return patch{n.from + 1, n.to - 1, eol + unit + strings.Join(lines, eol+unit) + eol + indent}
}

// hclNames are names as they are written.
func hclNames(path []string) []string {
	names := make([]string, len(path))
	for i, name := range path {
		if names[i] = name; !allWord(name) || isDigit(name[0]) || name[0] == '-' {
			names[i] = quoteHCL(name)
		}
	}
	return names
}
