package confedit

import (
	"bytes"
	"strings"
)

// word reads on in a bare text that started at the given place.
func (p *blocksParser) word(start int) (*node, error) {
	var b strings.Builder
	b.Write(p.src[start:p.pos])
	escaped := false
	for !p.eof() && strings.IndexByte(" \t\r\n;,]}", p.peek()) < 0 {
		switch p.peek() {
		case '\\':
			escaped = true
			if err := p.escape(&b); err != nil {
				return nil, err
			}
			continue
		case '\'':
			return nil, p.errorf(p.pos, "a quote inside of a bare text")
		}
		b.WriteByte(p.peek())
		p.pos++
	}
	n := &node{kind: kindString, from: start, to: p.pos, text: b.String()}
	if n.text == "" {
		if !p.eof() {
			return nil, p.errorf(start, "expected a value, got %s", p.what())
		}
		if start > 0 && !isBlank(p.src[start-1]) {
			n.lead = " "
		}
		return n, nil
	}
	switch lower := strings.ToLower(n.text); {
	case escaped:
	case lower == "true" || lower == "false" || lower == "on" || lower == "off" || lower == "yes" || lower == "no":
		n.kind = kindBool
	case n.text[0] == '$' && !strings.HasPrefix(n.text, "$2a$"): // the latter is a hashed password
		n.kind, n.ref = kindOther, p.variable(n.text[1:])
	}
	return n, nil
}

// variable looks up a name among the keys that stand before it, in the innermost block first.
func (p *blocksParser) variable(name string) *reference {
	ref := &reference{name: name}
	for i := len(p.scopes) - 1; i >= 0 && ref.target == nil; i-- {
		ref.target = p.scopes[i].child(name)
	}
	return ref
}

// paragraph reads a text between parentheses, the closing one alone on its line.
func (p *blocksParser) paragraph() (*node, error) {
	start := p.pos
	for at := p.pos + 1; ; {
		i := bytes.Index(p.src[at:], []byte("\n)"))
		if i < 0 {
			return nil, p.errorf(start, "a text in parentheses is not closed")
		}
		end := at + i + 2
		if end == len(p.src) || p.src[end] == '\n' || p.src[end] == '\r' {
			p.pos = end
			return &node{kind: kindString, from: start, to: end, text: string(p.src[start+1 : end-1]), quote: "("}, nil
		}
		at = end - 1
	}
}

// number reads what starts with a digit or a minus: an integer with or without a suffix, a float, a date, or in the end
// a bare text, such as an address.
func (p *blocksParser) number() (*node, error) {
	start := p.pos
	negative := p.peek() == '-'
	if negative {
		p.pos++
	}
	n := p.digits()
	if n == 0 {
		return nil, p.errorf(start, "expected a digit, got %s", p.what())
	}
	done := func(k kind) (*node, error) {
		return &node{kind: k, from: start, to: p.pos, text: string(p.src[start:p.pos])}, nil
	}
	switch c := p.peek(); {
	case c == '-' && !negative:
		if _, ok := shaped(string(p.src[start:min(len(p.src), start+20)]), "dddd-dd-ddTdd:dd:ddZ"); !ok {
			return nil, p.errorf(start, "a date must be in the form 2006-01-02T15:04:05Z")
		}
		p.pos = start + 20
		return done(kindOther)
	case c == '.':
		p.pos++
		if p.digits() == 0 {
			return nil, p.errorf(start, "expected a digit after a dot, got %s", p.what())
		}
		if p.peek() != '.' {
			return done(kindNumber)
		}
		for isDigit(p.peek()) || p.peek() == '.' || p.peek() == ':' || p.peek() == '-' {
			p.pos++
		}
		return done(kindString)
	case c != 0 && strings.IndexByte("kKmMgGtTpPeE", c) >= 0:
		p.pos++
		for c := p.peek(); c != 0 && strings.IndexByte("bBiI", c) >= 0; c = p.peek() {
			p.pos++
		}
	case negative:
		return done(kindNumber)
	}
	if p.eof() || strings.IndexByte(" \t\r\n;,]}", p.peek()) >= 0 {
		return done(kindNumber)
	}
	return p.word(start)
}

func (p *blocksParser) digits() int {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	return p.pos - start
}
