package confedit

import (
	"bytes"
	"strings"
)

// value reads the pieces of a value, which are concatenated as long as they stand on one line.
func (p *hoconParser) value() (*node, error) {
	var pieces []*node
	end := p.pos
	for {
		p.skipBlanks()
		if p.valueEnds() {
			break
		}
		n, err := p.piece()
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, n)
		end = p.pos
	}
	if len(pieces) == 0 {
		return nil, p.errorf(p.pos, "expected a value, got %s", p.what())
	}
	p.pos = end
	if len(pieces) == 1 {
		return pieces[0], nil
	}
	return p.concat(pieces), nil
}

func (p *hoconParser) valueEnds() bool {
	return p.atLineEnd() || p.comment() || strings.IndexByte(",}]", p.peek()) >= 0
}

func (p *hoconParser) piece() (*node, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		text, end, err := unquoteHOCON(p.src, start)
		if err != nil {
			return nil, err
		}
		p.pos = end
		return &node{kind: kindString, from: start, to: end, text: text, quote: `"`}, nil
	case p.has("${"):
		i := bytes.IndexAny(p.src[start:], "}\n")
		if i < 0 || p.src[start+i] == '\n' {
			return nil, p.errorf(start, "a substitution is not closed")
		}
		p.pos = start + i + 1
		return &node{kind: kindOther, from: start, to: p.pos, text: string(p.src[start:p.pos])}, nil
	}
	for !p.valueEnds() && strings.IndexByte(" \t\"{[", p.peek()) < 0 && !p.has("${") {
		p.pos++
	}
	text := string(p.src[start:p.pos])
	return &node{kind: hoconKind(text), from: start, to: p.pos, text: text}, nil
}

// concat makes one value of several pieces: objects merge, arrays follow each other, all else is text.
func (p *hoconParser) concat(pieces []*node) *node {
	n := &node{from: pieces[0].from, to: pieces[len(pieces)-1].to}
	tables, arrays, others := 0, 0, 0
	for _, piece := range pieces {
		switch piece.kind {
		case kindTable:
			tables++
		case kindArray:
			arrays++
		case kindOther:
			others++
		}
	}
	switch {
	case tables > 0:
		n.kind, n.spread = kindTable, true
		for _, piece := range pieces {
			for i, name := range piece.names {
				mergeHOCON(n, name, piece.kids[i])
			}
		}
	case arrays > 0:
		n.kind = kindArray
		for _, piece := range pieces {
			if others == 0 { // else nobody knows which element is which
				n.kids = append(n.kids, piece.kids...)
			}
		}
	default:
		var b strings.Builder
		for i, piece := range pieces {
			if i > 0 {
				b.Write(p.src[pieces[i-1].to:piece.from])
			}
			b.WriteString(piece.text)
		}
		n.text = b.String()
		if others > 0 {
			n.kind = kindOther
		}
	}
	return n
}

func (p *hoconParser) array() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n := &node{kind: kindArray, from: p.pos}
	p.pos++
	for {
		p.skipEmpty()
		if p.eof() {
			return nil, p.errorf(n.from, "an array is not closed")
		}
		if p.peek() == ']' {
			p.pos++
			n.to = p.pos
			return n, nil
		}
		val, err := p.value()
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, val)
		p.skipBlanks()
		if !p.valueEnds() || p.peek() == '}' {
			return nil, p.errorf(p.pos, "expected ',' or ']' in an array, got %s", p.what())
		}
		p.skipEmpty()
		if p.peek() == ',' {
			p.pos++
		}
	}
}

// unquoteHOCON is unquoteJSON that also knows strings between three quotes, in which nothing is escaped and of which
// more than three closing quotes belong to the text.
func unquoteHOCON(src []byte, start int) (string, int, error) {
	const q = `"""`
	if !bytes.HasPrefix(src[start:], []byte(q)) {
		return unquoteJSON(src, start)
	}
	i := bytes.Index(src[start+3:], []byte(q))
	if i < 0 {
		return "", 0, syntaxErr(src, start, "a string is not closed")
	}
	end := start + 3 + i + 3
	for end < len(src) && src[end] == '"' {
		end++
	}
	return string(src[start+3 : end-3]), end, nil
}
