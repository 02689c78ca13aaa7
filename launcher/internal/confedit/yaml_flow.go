package confedit

import "strings"

// flow reads a collection in brackets or a quoted text.
func (p *yamlParser) flow() (*node, error) {
	switch p.peek() {
	case '{':
		return p.table(p.flowMember)
	case '[':
		return p.array(p.flowElement)
	}
	return p.quotedText()
}

// flowNode reads any node between brackets.
func (p *yamlParser) flowNode() (*node, error) {
	tagged, after := false, p.pos
	for p.peek() == '&' || p.peek() == '!' {
		for !p.blankAt(0) && strings.IndexByte(",[]{}", p.peek()) < 0 {
			p.pos++
		}
		tagged, after = true, p.pos
		p.skipSpace()
	}
	switch c := p.peek(); {
	case c == '{' || c == '[' || c == '"' || c == '\'':
		n, err := p.flow()
		if tagged && err == nil && n.scalar() {
			n.kind = kindOther
		}
		return n, err
	case tagged && strings.IndexByte(",]}:", c) >= 0:
		p.pos = after
		return &node{kind: kindNull, from: after, to: after, lead: " "}, nil
	case c == '?' && p.blankAt(1):
		return nil, p.errorf(p.pos, "keys written with '? ' are not supported")
	}
	n, err := p.plainText(-1, true)
	if tagged && err == nil {
		n.kind = kindOther
	}
	return n, err
}

// flowComment passes a comment between brackets, which must follow white space.
func flowComment(s *scanner) bool {
	if s.peek() != '#' || !isBlank(s.src[s.pos-1]) && s.src[s.pos-1] != '\n' {
		return false
	}
	s.skipLine()
	return true
}

// flowMember reads a key and its value between braces.
func (p *yamlParser) flowMember(n *node) error {
	start := p.pos
	key, err := p.flowNode()
	if err != nil {
		return err
	}
	if !key.scalar() {
		return p.errorf(key.from, "a key must be a plain text")
	}
	val, err := p.flowValue(key)
	if err != nil {
		return err
	}
	n.put(key.text, val, start)
	return nil
}

// flowElement reads an element between brackets, which may be a pair without braces.
func (p *yamlParser) flowElement() (*node, error) {
	val, err := p.flowNode()
	if err != nil {
		return nil, err
	}
	p.skipSpace()
	if p.peek() != ':' || !val.scalar() {
		p.pos = val.to
		return val, nil
	}
	pair := newTable(val.from, val.to)
	pair.spread = true
	child, err := p.flowValue(val)
	if err != nil {
		return nil, err
	}
	pair.put(val.text, child, val.from)
	pair.to = child.to
	return pair, nil
}

// flowValue reads the value of a key, which may have none.
func (p *yamlParser) flowValue(key *node) (*node, error) {
	if p.skipSpace(); p.peek() != ':' {
		p.pos = key.to
		return &node{kind: kindNull, from: key.to, to: key.to, lead: ": "}, nil
	}
	p.pos++
	after := p.pos
	p.skipSpace()
	if c := p.peek(); c == ',' || c == '}' || c == ']' {
		p.pos = after
		return &node{kind: kindNull, from: after, to: after, lead: " "}, nil
	}
	return p.flowNode()
}

// yamlRules are for what stands between brackets or quotes.
var yamlRules = &rules{
	space:    " \t\n\r",
	comment:  flowComment,
	trailing: true,
	escapes: &escapes{
		letters: "0abt\tnvfre \"/\\N_LP",
		runes:   []rune("\x00\a\b\t\t\n\v\f\r\x1b \"/\\\u0085\u00a0\u2028\u2029"),
		hex:     "xuU",
		pairs:   true,
	},
}
