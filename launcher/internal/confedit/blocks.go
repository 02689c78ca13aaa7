package confedit

import (
	"strings"
)

// blocksSyntax is the dialect of keys and blocks with loose separators: `key: value`, `key = value`, `key value`,
// `block { … }`, `[arrays]`, comments after # and //, members parted by new lines, commas or semicolons. A key is one
// name, dots and all; case is no difference, but an exact match is preferred. Of keys the last wins, and a block that
// stands twice is not merged: the last one counts. `$NAME` is a reference, and is replaced as a whole.
// A size with a suffix (1GB) is a number where it replaces one; for a new key it is text, unless it is given raw.
func blocksSyntax() syntax {
	return syntax{
		rules: blocksRules,
		parse: parseBlocks,
		path:  dottedPath,
		key:   joinPath,
		find:  findFold,
		bare:  bareBlocks,
		quote: quoteBlocks,
		add:   addBlocks,

		lastTable: true,
	}
}

// bareBlocks reads the text as a value to see what it would be.
func bareBlocks(text string) (kind, bool) {
	if text == "" || strings.ContainsAny(text, "\"'#{}[](),;\\ \t\r\n") || strings.HasPrefix(text, "//") || !graphic(text) {
		return kindString, false
	}
	root, err := parseBlocks([]byte("k: " + text + "\n"))
	if err != nil || len(root.children) != 1 {
		return kindString, false
	}
	n := root.children[0]
	return n.kind, n.scalar() && n.text == text
}

// graphic reports whether a text is printable ASCII: what else is white space depends on the reader.
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

// unicodeSpace is what Unicode calls white space.
const unicodeSpace = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

var blocksRules = &rules{
	space:     unicodeSpace,
	comment:   blocksComment,
	newline:   true,
	cr:        true,
	semicolon: true,
	trailing:  true,
	multiline: true,
	escapes:   &escapes{letters: `tnr"\`, runes: []rune("\t\n\r\"\\"), hex: "x", bytes: true},
}

// blocksComment passes a comment, which ends at a carriage return, too.
func blocksComment(s *scanner) bool {
	if s.peek() != '#' && !s.has("//") {
		return false
	}
	for !s.eof() && s.peek() != '\n' && s.peek() != '\r' {
		s.pos++
	}
	return true
}

type blocksParser struct {
	scanner
	scopes []*node // the blocks around the value that is read, in which its variables are looked up
}

func parseBlocks(src []byte) (*node, error) {
	sc, err := newScanner(src, blocksRules)
	if err != nil {
		return nil, err
	}
	p := blocksParser{scanner: sc}
	p.skipSpace()
	root := newTable(0, len(src))
	if p.peek() != '{' {
		root.spread = true
		return root, p.list(root, 0, p.member)
	}
	if root, err = p.table(p.member); err != nil {
		return nil, err
	}
	root.spread = true
	return root, p.end()
}

// member reads a key and its value, and what ends them.
func (p *blocksParser) member(in *node) error {
	start := p.pos
	name, err := p.name()
	if err != nil {
		return err
	}
	if name.quote == "" && strings.EqualFold(name.text, "include") && p.spaceWidth() > 0 {
		return p.include(in, start)
	}
	p.skipSpaces()
	if p.peek() == '=' || p.peek() == ':' {
		p.pos++
	} else if p.eof() {
		return p.errorf(start, "a key without a value: %.60q", name.text)
	}
	p.skipBlanks()
	if in.origin == originInline {
		p.skipSpaces()
	}
	p.scopes = append(p.scopes, in)
	val, err := p.value()
	p.scopes = p.scopes[:len(p.scopes)-1]
	if err != nil {
		return err
	}
	in.put(name.text, val, start)
	return nil
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
	for !p.eof() && p.spaceWidth() == 0 && p.peek() != '=' && p.peek() != ':' {
		p.pos++
	}
	name := string(p.src[start:p.pos])
	if name == "" || strings.IndexByte("{}[](),;", name[0]) >= 0 {
		p.pos = start
		return nil, p.errorf(start, "expected a key, got %s", p.what())
	}
	return &node{text: name}, nil
}

// include reads the name of an included file.
func (p *blocksParser) include(in *node, at int) error {
	p.skipBlanks()
	var name string
	if q := p.peek(); q == '"' || q == '\'' {
		start := p.pos
		for p.pos++; p.peek() != q; p.pos++ {
			if p.atLineEnd() {
				return p.errorf(start, "a quote is not closed")
			}
		}
		p.pos++
		name = string(p.src[start+1 : p.pos-1])
	} else {
		n, err := p.bare(" \t\r\n;}", func(string) (kind, bool) { return kindString, true })
		if err != nil {
			return err
		}
		name = n.text
	}
	in.includes = append(in.includes, include{Include: Include{Path: name}, at: at})
	return nil
}

func (p *blocksParser) value() (*node, error) {
	switch c := p.peek(); {
	case c == '{':
		return p.table(p.member)
	case c == '[':
		return p.array(p.value)
	case c == '"' || c == '\'':
		return p.quoted()
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
		return appendLines(src, nestedBlocks(names, ": ", value)...), nil
	}
	member := nested(names, ": ", value, " { ", " }")
	if n.origin == originInline {
		return brackets{pad: " ", unit: "  "}.addInside(src, n, member), nil
	}
	return appendLines(src, member), nil
}

// nestedBlocks writes a key in blocks of their own, a line each.
func nestedBlocks(names []string, sep, value string) []string {
	var lines []string
	last := len(names) - 1
	for i, name := range names[:last] {
		lines = append(lines, strings.Repeat("  ", i)+name+" {")
	}
	lines = append(lines, strings.Repeat("  ", last)+names[last]+sep+value)
	for i := last - 1; i >= 0; i-- {
		lines = append(lines, strings.Repeat("  ", i)+"}")
	}
	return lines
}
