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
	return p.atLineEnd() || atHOCONComment(&p.scanner) || strings.IndexByte(",}]", p.peek()) >= 0
}

func (p *hoconParser) piece() (*node, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '{':
		return p.table(p.member)
	case c == '[':
		return p.array(p.value)
	case c == '"':
		return p.str()
	case p.has("${"):
		i := bytes.IndexAny(p.src[start:], "}\n")
		if i < 0 || p.src[start+i] == '\n' {
			return nil, p.errorf(start, "a substitution is not closed")
		}
		p.pos = start + i + 1
		n := &node{kind: kindOther, from: start, to: p.pos, text: string(p.src[start:p.pos])}
		n.ref = hoconReference(string(p.src[start+2 : p.pos-1]))
		return n, nil
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
		if others > 0 {
			n.ref = &reference{pieces: pieces}
		}
		for _, piece := range pieces {
			for i, name := range piece.names {
				mergeHOCON(n, name, piece.children[i])
			}
		}
	case arrays > 0:
		n.kind = kindArray
		for _, piece := range pieces {
			if others == 0 { // else nobody knows which element is which
				n.children = append(n.children, piece.children...)
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
			n.kind, n.ref = kindOther, &reference{pieces: p.withGaps(pieces)}
		}
	}
	return n
}

// withGaps are pieces and the white space between them.
func (p *hoconParser) withGaps(pieces []*node) []*node {
	all := pieces[:1:1]
	for i, piece := range pieces[1:] {
		all = append(all, &node{text: string(p.src[pieces[i].to:piece.from])}, piece)
	}
	return all
}

// hoconReference is what stands in `${a.b}` or `${?a.b}`.
func hoconReference(text string) *reference {
	text = strings.TrimSpace(strings.TrimPrefix(text, "?"))
	p := hoconParser{scanner{src: []byte(text + "="), rules: hoconRules}}
	path, err := p.key()
	if err != nil {
		path = nil
	}
	return &reference{path: path, name: text}
}

// str reads a string, also one between three quotes, in which nothing is escaped and of which more than three closing
// quotes belong to the text.
func (p *hoconParser) str() (*node, error) {
	const q = `"""`
	start := p.pos
	if !p.has(q) {
		return p.quoted()
	}
	i := bytes.Index(p.src[start+3:], []byte(q))
	if i < 0 {
		return nil, p.errorf(start, "a string is not closed")
	}
	p.pos = start + 3 + i + 3
	p.skip(`"`)
	return &node{kind: kindString, from: start, to: p.pos, text: string(p.src[start+3 : p.pos-3]), quote: `"`}, nil
}

// mergeHOCON gives a member its value: objects merge, anything else replaces what was there.
func mergeHOCON(in *node, name string, val *node) {
	old := in.child(name)
	if val.ref != nil {
		val.ref.previous = old
	}
	if old == nil || old.kind != kindTable || val.kind != kindTable {
		in.replace(name, val)
		return
	}
	old.spread = true
	old.spans = append(old.spans, val.spans...)
	old.includes = append(old.includes, val.includes...)
	for i, child := range val.children {
		mergeHOCON(old, val.names[i], child)
	}
}

// substitution reports whether a value is one substitution and nothing else.
func substitution(n *node) bool {
	return n.kind == kindOther && strings.HasPrefix(n.text, "${") && strings.IndexByte(n.text, '}') == len(n.text)-1
}

func hoconKey(path []string) string {
	parts := make([]string, len(path))
	for i, name := range path {
		if parts[i] = name; !allWord(name) || name == "include" {
			parts[i] = quoteJSON(name)
		}
	}
	return strings.Join(parts, ".")
}
