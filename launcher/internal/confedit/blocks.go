package confedit

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// blocksSyntax is the dialect of keys and blocks with loose separators: `key: value`, `key = value`, `key value`,
// `block { … }`, `[arrays]`, comments after # and //, members parted by new lines, commas or semicolons. A key is one
// name, dots and all; case is no difference, but an exact match is preferred. Of keys the last wins, and a block that
// stands twice is not merged: the last one counts. `$NAME` is a reference, and is replaced as a whole.
// A size with a suffix (1GB) is a number where it replaces one; for a new key it is text, unless it is given raw.
func blocksSyntax() syntax {
	return syntax{
		parse: parseBlocks,
		path:  dottedPath,
		key:   joinPath,
		find:  findFold,
		bare:  bareBlocks,
		quote: quoteBlocks,
		add:   addBlocks,
	}
}

// bareBlocks reads the text as a value to see what it would be.
func bareBlocks(text string) (kind, bool) {
	if text == "" || strings.ContainsAny(text, "\"'#{}[](),;\\ \t\r\n") || strings.HasPrefix(text, "//") || !graphic(text) {
		return kindString, false
	}
	root, err := parseBlocks([]byte("k: " + text + "\n"))
	if err != nil || len(root.kids) != 1 {
		return kindString, false
	}
	n := root.kids[0]
	return n.kind, n.scalar() && n.text == text
}

// graphic tells whether a text is printable ASCII: what else is white space depends on the reader.
func graphic(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

func quoteBlocks(s, quotes string) (string, error) {
	if quotes == "'" && !hasControl(s) && !strings.Contains(s, "'") {
		return "'" + s + "'", nil
	}
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return `"` + r.Replace(s) + `"`, nil
}

type blocksParser struct {
	scanner
	wrapped bool // the whole file stands between braces
}

func parseBlocks(src []byte) (*node, error) {
	sc, err := newScanner(src)
	if err != nil {
		return nil, err
	}
	p := blocksParser{scanner: sc}
	root := newTable(0, len(src))
	root.spread = true
	p.skipEmpty()
	if p.peek() == '{' {
		root.from = p.pos
		root.origin = originInline
		p.wrapped = true
		p.pos++
	}
	for {
		p.skipEmpty()
		if p.wrapped && p.peek() == '}' {
			p.pos++
			root.to = p.pos
			p.skipEmpty()
			if !p.eof() {
				return nil, p.errorf(p.pos, "expected the end of the file, got %s", p.what())
			}
			return root, nil
		}
		if p.eof() {
			if p.wrapped {
				return nil, p.errorf(root.from, "a block is not closed")
			}
			return root, nil
		}
		if err := p.member(root); err != nil {
			return nil, err
		}
	}
}

// space returns the width of the white space that comes next, 0 when there is none.
func (p *blocksParser) space() int {
	c := p.peek()
	if c < utf8.RuneSelf {
		if c == ' ' || c >= '\t' && c <= '\r' {
			return 1
		}
		return 0
	}
	if r, width := utf8.DecodeRune(p.src[p.pos:]); unicode.IsSpace(r) {
		return width
	}
	return 0
}

func (p *blocksParser) skipSpace() {
	for w := p.space(); w > 0; w = p.space() {
		p.pos += w
	}
}

// comment passes a comment, if one comes next.
func (p *blocksParser) comment() bool {
	if p.peek() != '#' && !p.has("//") {
		return false
	}
	for !p.eof() && p.peek() != '\n' && p.peek() != '\r' {
		p.pos++
	}
	return true
}

func (p *blocksParser) skipEmpty() {
	for p.skipSpace(); p.comment(); p.skipSpace() {
	}
}

// member reads a key and its value, and what ends them.
func (p *blocksParser) member(in *node) error {
	start := p.pos
	name, err := p.name()
	if err != nil {
		return err
	}
	if name.quote == "" && strings.EqualFold(name.text, "include") && p.space() > 0 {
		if err := p.include(); err != nil {
			return err
		}
		in.last, in.lastKey, in.comma = p.pos, start, 0
		return p.end(in)
	}
	p.skipSpace()
	if p.peek() == '=' || p.peek() == ':' {
		p.pos++
	} else if p.eof() {
		return p.errorf(start, "a key without a value: %.60q", name.text)
	}
	p.skipBlanks()
	if in.origin == originInline {
		p.skipSpace()
	}
	val, err := p.value()
	if err != nil {
		return err
	}
	in.put(name.text, val)
	in.last, in.lastKey, in.comma = val.to, start, 0
	return p.end(in)
}

// end reads up to where the next member may start.
func (p *blocksParser) end(in *node) error {
	for {
		p.skipBlanks()
		switch c := p.peek(); {
		case c == ',' || c == ';':
			in.comma = p.pos
			p.pos++
			return nil
		case c == '\n' || c == '\r' || p.eof() || p.comment():
			return nil
		case c == '}' && in.origin == originInline:
			return nil
		default:
			return p.errorf(p.pos, "expected the end of a value, got %s", p.what())
		}
	}
}

func (p *blocksParser) name() (*node, error) {
	start := p.pos
	if q := p.peek(); q == '"' || q == '\'' {
		for p.pos++; !p.eof(); p.pos++ {
			if p.peek() == q {
				p.pos++
				return &node{text: string(p.src[start+1 : p.pos-1]), quote: string(q)}, nil
			}
		}
		return nil, p.errorf(start, "a quoted key is not closed")
	}
	for !p.eof() && p.space() == 0 && p.peek() != '=' && p.peek() != ':' {
		p.pos++
	}
	name := string(p.src[start:p.pos])
	if name == "" || strings.IndexByte("{}[](),;", name[0]) >= 0 {
		p.pos = start
		return nil, p.errorf(start, "expected a key, got %s", p.what())
	}
	return &node{text: name}, nil
}

// include passes the name of an included file.
func (p *blocksParser) include() error {
	p.skipBlanks()
	start := p.pos
	if q := p.peek(); q == '"' || q == '\'' {
		for p.pos++; p.peek() != q; p.pos++ {
			if p.atLineEnd() {
				return p.errorf(start, "a quote is not closed")
			}
		}
		p.pos++
		return nil
	}
	for !p.eof() && strings.IndexByte(" \t\r\n;}", p.peek()) < 0 {
		p.pos++
	}
	if p.pos == start {
		return p.errorf(start, "expected the name of a file, got %s", p.what())
	}
	return nil
}

func (p *blocksParser) value() (*node, error) {
	switch c := p.peek(); {
	case c == '{':
		return p.block()
	case c == '[':
		return p.array()
	case c == '"' || c == '\'':
		return p.quoted(c)
	case c == '(':
		return p.paragraph()
	case c == '-' || isDigit(c):
		return p.number()
	case c == '.':
		return nil, p.errorf(p.pos, "a number must start with a digit")
	case c == '\n' || c == '\r':
		return nil, p.errorf(p.pos, "expected a value, got the end of the line")
	}
	return p.word(p.pos)
}

func (p *blocksParser) block() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := newTable(p.pos, 0)
	n.origin = originInline
	p.pos++
	for {
		p.skipEmpty()
		if p.eof() {
			return nil, p.errorf(n.from, "a block is not closed")
		}
		if p.peek() == '}' {
			p.pos++
			n.to = p.pos
			return n, nil
		}
		if err := p.member(n); err != nil {
			return nil, err
		}
	}
}

func (p *blocksParser) array() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := &node{kind: kindArray, from: p.pos}
	p.pos++
	for {
		p.skipEmpty()
		if p.peek() == ']' {
			p.pos++
			n.to = p.pos
			return n, nil
		}
		if p.eof() || p.peek() == ',' {
			return nil, p.errorf(n.from, "an array is not closed, or lacks an element")
		}
		val, err := p.value()
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, val)
		p.skipBlanks()
		p.comment()
		switch c := p.peek(); c {
		case ',', '\n', '\r':
			p.pos++
		case ']':
		default:
			return nil, p.errorf(p.pos, "expected ',' or ']' in an array, got %s", p.what())
		}
	}
}

func addBlocks(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).childFold)
	if err := canAdd(way, path); err != nil {
		return patch{}, err
	}
	n, rest := way[len(way)-1], path[len(way)-1:]
	names := make([]string, len(rest))
	for i, name := range rest {
		if names[i] = name; !allWord(name) || strings.EqualFold(name, "include") {
			q := `"`
			if strings.Contains(name, q) {
				q = "'"
			}
			names[i] = q + name + q
		}
	}
	if n.origin != originInline && len(names) > 1 {
		return appendLines(src, nestedBlocks(names, value)...), nil
	}
	member := names[len(names)-1] + ": " + value
	for i := len(names) - 2; i >= 0; i-- {
		member = names[i] + " { " + member + " }"
	}
	if n.origin == originInline {
		return brackets{pad: " ", unit: "  "}.addInside(src, n, member), nil
	}
	return appendLines(src, member), nil
}

// nestedBlocks writes a key in blocks of their own, a line each.
func nestedBlocks(names []string, value string) []string {
	var lines []string
	last := len(names) - 1
	for i, name := range names[:last] {
		lines = append(lines, strings.Repeat("  ", i)+name+" {")
	}
	lines = append(lines, strings.Repeat("  ", last)+names[last]+": "+value)
	for i := last - 1; i >= 0; i-- {
		lines = append(lines, strings.Repeat("  ", i)+"}")
	}
	return lines
}
