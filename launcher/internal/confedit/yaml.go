package confedit

import (
	"errors"
	"strings"
)

// yamlSyntax is YAML with block and flow collections in one document. Anchors, tags and aliases are passed over: an
// anchored value that is changed changes for its aliases too, and an alias is a text to be replaced as a whole. Keys
// written with `? ` and several documents in one file are refused. Of keys that stand twice the last wins.
func yamlSyntax() syntax {
	return syntax{
		parse: parseYAML,
		path:  dottedPath,
		key:   joinPath,
		find:  findExact,
		bare:  bareYAML,
		quote: quoteYAML,
		add:   addYAML,
		plain: true,
	}
}

type yamlParser struct{ scanner }

func parseYAML(src []byte) (*node, error) {
	sc, err := newScanner(src)
	if err != nil {
		return nil, err
	}
	for i, c := range src {
		if c == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			return nil, sc.errorf(i, "a carriage return without a new line")
		}
	}
	p := yamlParser{sc}
	if err := p.prologue(); err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	if !p.eof() && !p.marker() {
		if root, err = p.block(-1); err != nil {
			return nil, err
		}
		if root.scalar() {
			return nil, p.errorf(root.from, "expected a mapping, got a single value")
		}
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	for p.marker() && p.peek() == '.' {
		p.pos += 3
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	switch {
	case p.eof():
		return root, nil
	case p.marker():
		return nil, p.errorf(p.pos, "more than one document in a file")
	}
	return nil, p.errorf(p.pos, "expected a key at the column of those above, got %s", p.what())
}

// prologue passes directives and the start of the document.
func (p *yamlParser) prologue() error {
	if err := p.toContent(); err != nil {
		return err
	}
	for p.peek() == '%' {
		p.skipLine()
		if err := p.toContent(); err != nil {
			return err
		}
	}
	if p.marker() && p.peek() == '-' {
		p.pos += 3
		return p.toContent()
	}
	return nil
}

// marker tells whether the start or end of a document comes next.
func (p *yamlParser) marker() bool {
	return (p.has("---") || p.has("...")) && p.blankAt(3) && lineStart(p.src, p.pos) == p.pos
}

// blankAt tells whether the byte so far ahead is white space or the end of the file.
func (p *yamlParser) blankAt(ahead int) bool {
	c := p.at(ahead)
	return c == 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r'
}

// toContent passes blanks, comments and line ends up to the next text. Tabs must not indent it.
func (p *yamlParser) toContent() error {
	for {
		start := p.pos
		p.skipBlanks()
		switch {
		case p.eof():
			return nil
		case p.peek() == '#' && (p.pos > start || p.pos == 0 || p.src[p.pos-1] == '\n' || isBlank(p.src[p.pos-1])):
			p.skipLine()
		case p.peek() == '\n' || p.peek() == '\r':
			p.pos++
		default:
			if start == lineStart(p.src, start) && strings.ContainsRune(string(p.src[start:p.pos]), '\t') {
				return p.errorf(p.pos, "a tab indents this line")
			}
			return nil
		}
	}
}

// column is how far the next byte is from the start of its line; -1 where no more content of the document comes.
func (p *yamlParser) column() int {
	if p.eof() || p.marker() {
		return -1
	}
	return p.pos - lineStart(p.src, p.pos)
}

func (p *yamlParser) dash() bool { return p.peek() == '-' && p.blankAt(1) }

// block reads the node that starts here and whose lines are indented by more than its parent.
func (p *yamlParser) block(parent int) (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.dash() {
		return p.sequence(p.column())
	}
	if p.peek() == '?' && p.blankAt(1) {
		return nil, p.errorf(p.pos, "keys written with '? ' are not supported")
	}
	start := p.pos
	_, isKey, err := p.tryKey()
	if err != nil {
		return nil, err
	}
	p.pos = start
	if isKey {
		return p.mapping(p.column())
	}
	return p.inLine(parent)
}

// inLine reads a node that can follow a key on its line, or properties and then any node.
func (p *yamlParser) inLine(parent int) (*node, error) {
	after, tagged := p.pos, false
	for p.peek() == '&' || p.peek() == '!' {
		for !p.blankAt(0) {
			p.pos++
		}
		after, tagged = p.pos, true
		p.skipBlanks()
	}
	if tagged && (p.atLineEnd() || p.peek() == '#') {
		return p.below(parent, after)
	}
	n, err := p.content(parent)
	if err != nil {
		return nil, err
	}
	if tagged && n.scalar() {
		n.kind = kindOther
	}
	return n, nil
}

func (p *yamlParser) content(parent int) (*node, error) {
	var n *node
	var err error
	switch c := p.peek(); {
	case c == '|' || c == '>':
		return p.blockText(parent)
	case c == '{' || c == '[' || c == '"' || c == '\'':
		n, err = p.flow()
	default:
		n, err = p.plainText(parent, false)
	}
	if err != nil {
		return nil, err
	}
	end := p.pos
	p.skipBlanks()
	if !p.atLineEnd() && (p.peek() != '#' || p.pos == end) {
		return nil, p.errorf(p.pos, "expected the end of a value, got %s", p.what())
	}
	return n, nil
}

// below reads the node on the lines below a key, a dash or properties, which end at after: nothing, if these lines are
// not indented.
func (p *yamlParser) below(parent, after int) (*node, error) {
	if err := p.toContent(); err != nil {
		return nil, err
	}
	if p.column() > parent {
		return p.block(parent)
	}
	return &node{kind: kindNull, from: after, to: after, lead: " "}, nil
}

func (p *yamlParser) sequence(column int) (*node, error) {
	n := &node{kind: kindArray, from: p.pos}
	for p.column() == column && p.dash() {
		p.pos++
		after := p.pos
		p.skipBlanks()
		var val *node
		var err error
		if p.atLineEnd() || p.peek() == '#' {
			val, err = p.below(column, after)
		} else {
			val, err = p.block(column)
		}
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, val)
		n.to = val.to
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	if p.column() > column {
		return nil, p.errorf(p.pos, "expected '- ' at the column of those above, got %s", p.what())
	}
	return n, nil
}

func (p *yamlParser) mapping(column int) (*node, error) {
	n := newTable(p.pos, p.pos)
	n.indent = column
	for p.column() == column {
		if p.dash() {
			break
		}
		start := p.pos
		name, ok, err := p.tryKey()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, p.errorf(start, "expected a key and ':'")
		}
		p.pos++
		val, err := p.member(column)
		if err != nil {
			return nil, err
		}
		n.put(name, val)
		n.to, n.last, n.lastKey = val.to, val.to, start
		if err := p.toContent(); err != nil {
			return nil, err
		}
	}
	if p.column() > column {
		return nil, p.errorf(p.pos, "expected a key at the column of those above, got %s", p.what())
	}
	return n, nil
}

// member reads what follows the colon of a key.
func (p *yamlParser) member(column int) (*node, error) {
	after := p.pos
	p.skipBlanks()
	if !p.atLineEnd() && p.peek() != '#' {
		if p.dash() || p.peek() == '?' && p.blankAt(1) {
			return nil, p.errorf(p.pos, "a block can't start on the line of its key")
		}
		return p.inLine(column)
	}
	if err := p.toContent(); err != nil {
		return nil, err
	}
	if p.column() == column && p.dash() {
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		return p.sequence(column)
	}
	return p.below(column, after)
}

// tryKey reads a key up to its colon; false when what comes next is none.
func (p *yamlParser) tryKey() (string, bool, error) {
	for p.peek() == '&' || p.peek() == '!' {
		for !p.blankAt(0) {
			p.pos++
		}
		p.skipBlanks()
	}
	start := p.pos
	switch c := p.peek(); c {
	case '"', '\'':
		end := p.quotedLine()
		if end < 0 {
			return "", false, nil
		}
		s := p.scanner
		s.pos = end
		if s.skipBlanks(); s.peek() != ':' || !(&yamlParser{s}).blankAt(1) {
			return "", false, nil
		}
		n, err := p.quotedText()
		if err != nil {
			return "", false, err
		}
		p.pos = s.pos
		return n.text, true, nil
	case '{', '[', '|', '>', '#', '%', '@', '`', ',', '}', ']':
		return "", false, nil
	}
	for ; !p.atLineEnd(); p.pos++ {
		switch c := p.peek(); {
		case c == ':' && p.blankAt(1):
			return strings.TrimRight(string(p.src[start:p.pos]), " \t"), p.pos > start, nil
		case c == '#' && p.pos > start && isBlank(p.src[p.pos-1]):
			return "", false, nil
		}
	}
	return "", false, nil
}

func addYAML(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	depth := len(way) - 1
	n, rest := way[depth], path[depth:]
	column := -1
	switch {
	case n.kind == kindNull && n.from == n.to && depth > 0 && way[depth-1].kind == kindTable:
		if in := way[depth-1]; in.origin != originInline {
			column = in.indent + unitYAML(root)
		}
	case n.kind == kindTable && n.spread:
		return patch{}, errors.New("it can't be added: the pair has no braces around it")
	case n.kind == kindTable && n.origin == originInline:
	case n.kind == kindTable:
		column = n.indent
	default:
		if err := canAdd(way, path); err != nil {
			return patch{}, err
		}
	}
	if column < 0 {
		member := keyYAML(rest[len(rest)-1]) + ": " + value
		for i := len(rest) - 2; i >= 0; i-- {
			member = keyYAML(rest[i]) + ": {" + member + "}"
		}
		if n.kind == kindNull {
			return patch{n.from, n.to, n.lead + "{" + member + "}"}, nil
		}
		return brackets{commas: true, unit: "  "}.addInside(src, n, member), nil
	}
	lines := make([]string, len(rest))
	for i, name := range rest {
		lines[i] = strings.Repeat(" ", column+i*unitYAML(root)) + keyYAML(name) + ":"
	}
	lines[len(rest)-1] += " " + value
	return insertLines(src, n.to, lines...), nil
}

// unitYAML is by how many columns the file indents a block.
func unitYAML(root *node) int {
	for _, kid := range root.kids {
		if kid.kind == kindTable && kid.indent > root.indent {
			return kid.indent - root.indent
		}
	}
	return 2
}

func keyYAML(name string) string {
	if k, ok := bareYAML(name); ok && k == kindString && !strings.Contains(name, ":") {
		return name
	}
	return quoteJSON(name)
}
