package confedit

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonSyntax is JSON as RFC 8259 has it, without comments and trailing commas. Of members of one name the last wins.
func jsonSyntax() syntax {
	return syntax{
		parse: parseJSON,
		path:  dottedPath,
		key:   joinPath,
		find:  findExact,
		bare:  jsonBare,
		quote: func(s, _ string) (string, error) { return quoteJSON(s), nil },
		add:   addJSON,
	}
}

func jsonBare(s string) (kind, bool) {
	switch {
	case s == "true" || s == "false":
		return kindBool, true
	case s == "null":
		return kindNull, true
	case jsonNumber(s):
		return kindNumber, true
	}
	return kindString, false
}

type jsonParser struct{ scanner }

func parseJSON(src []byte) (*node, error) {
	sc, err := newScanner(src)
	if err != nil {
		return nil, err
	}
	p := jsonParser{sc}
	p.skipSpace()
	root, err := p.value()
	if err != nil {
		return nil, err
	}
	p.skipSpace()
	if !p.eof() {
		return nil, p.errorf(p.pos, "expected the end of the file, got %s", p.what())
	}
	if root.scalar() {
		return nil, p.errorf(root.from, "expected an object, got a single value")
	}
	return root, nil
}

func (p *jsonParser) skipSpace() {
	p.skip(" \t\r\n")
}

func (p *jsonParser) value() (*node, error) {
	switch c := p.peek(); c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.str()
	}
	start := p.pos
	for isWord(p.peek()) || p.peek() == '+' || p.peek() == '.' {
		p.pos++
	}
	text := string(p.src[start:p.pos])
	k, ok := jsonBare(text)
	if !ok {
		if text == "" {
			return nil, p.errorf(start, "expected a value, got %s", p.what())
		}
		return nil, p.errorf(start, "%.40q is no value", text)
	}
	return &node{kind: k, from: start, to: p.pos, text: text}, nil
}

func (p *jsonParser) object() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := newTable(p.pos, 0)
	p.pos++
	for {
		p.skipSpace()
		if p.peek() == '}' && n.last == 0 {
			break
		}
		n.lastKey = p.pos
		if p.peek() != '"' {
			return nil, p.errorf(p.pos, "expected a quoted name, got %s", p.what())
		}
		name, err := p.str()
		if err != nil {
			return nil, err
		}
		p.skipSpace()
		if p.peek() != ':' {
			return nil, p.errorf(p.pos, "expected ':' after a name, got %s", p.what())
		}
		p.pos++
		p.skipSpace()
		val, err := p.value()
		if err != nil {
			return nil, err
		}
		n.put(name.text, val)
		n.last = val.to
		p.skipSpace()
		if p.peek() == '}' {
			break
		}
		if p.peek() != ',' {
			return nil, p.errorf(p.pos, "expected ',' or '}' in an object, got %s", p.what())
		}
		p.pos++
	}
	p.pos++
	n.to = p.pos
	return n, nil
}

func (p *jsonParser) array() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := &node{kind: kindArray, from: p.pos}
	p.pos++
	for {
		p.skipSpace()
		if p.peek() == ']' && len(n.kids) == 0 {
			break
		}
		val, err := p.value()
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, val)
		p.skipSpace()
		if p.peek() == ']' {
			break
		}
		if p.peek() != ',' {
			return nil, p.errorf(p.pos, "expected ',' or ']' in an array, got %s", p.what())
		}
		p.pos++
	}
	p.pos++
	n.to = p.pos
	return n, nil
}

func (p *jsonParser) str() (*node, error) {
	start := p.pos
	text, end, err := unquoteJSON(p.src, p.pos)
	if err != nil {
		return nil, err
	}
	p.pos = end
	return &node{kind: kindString, from: start, to: end, text: text, quote: `"`}, nil
}

// unquoteJSON reads the JSON string that starts at the given quote and returns its text and where it ends.
func unquoteJSON(src []byte, start int) (string, int, error) {
	var b strings.Builder
	for i := start + 1; i < len(src); {
		switch c := src[i]; {
		case c == '"':
			return b.String(), i + 1, nil
		case c < ' ' && c != '\t':
			return "", 0, syntaxErr(src, start, "a string is not closed")
		case c != '\\':
			b.WriteByte(c)
			i++
		default:
			n := unescapeJSON(&b, string(src[i:min(len(src), i+12)]))
			if n == 0 {
				return "", 0, syntaxErr(src, i, "an unknown escape in a string")
			}
			i += n
		}
	}
	return "", 0, syntaxErr(src, start, "a string is not closed")
}

// unescapeJSON writes what the escape at the start of s stands for and returns its length, 0 when it is none.
func unescapeJSON(b *strings.Builder, s string) int {
	if len(s) < 2 {
		return 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		return 2
	}
	r, ok := hex4(s)
	if !ok {
		return 0
	}
	if low, ok := hex4(s[6:]); ok && utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			b.WriteRune(pair)
			return 12
		}
	}
	b.WriteRune(r) // a lone surrogate becomes U+FFFD
	return 6
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(code), err == nil
}

func addJSON(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	if err := canAdd(way, path); err != nil {
		return patch{}, err
	}
	n, rest := way[len(way)-1], path[len(way)-1:]
	for i := len(rest) - 1; i > 0; i-- {
		value = "{" + quoteJSON(rest[i]) + ": " + value + "}"
	}
	member := quoteJSON(rest[0]) + ": " + value
	return brackets{commas: true, unit: "  "}.addInside(src, n, member), nil
}
