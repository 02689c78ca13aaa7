package confedit

import "strings"

// flow reads a collection in brackets or a quoted text.
func (p *yamlParser) flow() (*node, error) {
	switch p.peek() {
	case '{':
		return p.flowMapping()
	case '[':
		return p.flowSequence()
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
		p.flowSpace()
	}
	switch c := p.peek(); {
	case c == '{' || c == '[' || c == '"' || c == '\'':
		n, err := p.flow()
		if tagged && err == nil && n.scalar() {
			n.kind = kindOther
		}
		return n, err
	case tagged && strings.IndexByte(",]}:", c) >= 0:
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

// flowSpace passes white space, line ends and comments between brackets.
func (p *yamlParser) flowSpace() {
	for {
		switch c := p.peek(); {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.pos++
		case c == '#' && (isBlank(p.src[p.pos-1]) || p.src[p.pos-1] == '\n'):
			p.skipLine()
		default:
			return
		}
	}
}

func (p *yamlParser) flowMapping() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := newTable(p.pos, 0)
	n.origin = originInline
	p.pos++
	for {
		p.flowSpace()
		if p.peek() == '}' {
			p.pos++
			n.to = p.pos
			return n, nil
		}
		if n.last > 0 && n.comma == 0 {
			return nil, p.errorf(p.pos, "expected ',' or '}', got %s", p.what())
		}
		n.lastKey, n.comma = p.pos, 0
		key, err := p.flowNode()
		if err != nil {
			return nil, err
		}
		if !key.scalar() {
			return nil, p.errorf(key.from, "a key must be a plain text")
		}
		val, err := p.flowValue(key)
		if err != nil {
			return nil, err
		}
		n.put(key.text, val)
		n.last = val.to
		p.flowSpace()
		if p.peek() == ',' {
			n.comma = p.pos
			p.pos++
		}
	}
}

// flowValue reads the value of a key, which may have none.
func (p *yamlParser) flowValue(key *node) (*node, error) {
	p.flowSpace()
	if p.peek() != ':' {
		return &node{kind: kindNull, from: key.to, to: key.to, lead: ": "}, nil
	}
	p.pos++
	after := p.pos
	p.flowSpace()
	if c := p.peek(); c == ',' || c == '}' || c == ']' {
		return &node{kind: kindNull, from: after, to: after, lead: " "}, nil
	}
	return p.flowNode()
}

func (p *yamlParser) flowSequence() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := &node{kind: kindArray, from: p.pos}
	p.pos++
	for comma := true; ; {
		p.flowSpace()
		if p.peek() == ']' {
			p.pos++
			n.to = p.pos
			return n, nil
		}
		if !comma {
			return nil, p.errorf(p.pos, "expected ',' or ']', got %s", p.what())
		}
		val, err := p.flowNode()
		if err != nil {
			return nil, err
		}
		p.flowSpace()
		if p.peek() == ':' && val.scalar() { // a pair without braces
			pair := newTable(val.from, val.to)
			pair.spread = true
			kid, err := p.flowValue(val)
			if err != nil {
				return nil, err
			}
			pair.put(val.text, kid)
			pair.to = kid.to
			val = pair
		}
		n.kids = append(n.kids, val)
		p.flowSpace()
		if comma = p.peek() == ','; comma {
			p.pos++
		}
	}
}
