package confedit

import (
	"strings"
)

// plainText reads a bare text, which may go on over lines that are indented by more than parent.
func (p *yamlParser) plainText(parent int, flow bool) (*node, error) {
	start := p.pos
	c := p.peek()
	if strings.IndexByte(",[]{}#|>%@`", c) >= 0 || strings.IndexByte("-?:", c) >= 0 && endsPlain(p, 1, flow) {
		return nil, p.errorf(p.pos, "expected a value, got %s", p.what())
	}
	text := p.plainLine(flow)
	end := p.pos
	var b strings.Builder
	b.WriteString(text)
	for {
		breaks := 0
		for p.skipBlanks(); p.peek() == '\n' || p.peek() == '\r'; p.skipBlanks() {
			if p.peek() == '\n' {
				breaks++
			}
			p.pos++
		}
		if breaks == 0 || p.column() <= parent || p.peek() == '#' || flow && strings.IndexByte(",[]{}:", p.peek()) >= 0 {
			break
		}
		if flow && p.peek() == ':' && endsPlain(p, 1, flow) {
			break
		}
		text := p.plainLine(flow)
		if text == "" {
			break
		}
		end = p.pos
		b.WriteString(folded(breaks))
		b.WriteString(text)
	}
	p.pos = end
	if !flow && p.peek() == ':' && end > start {
		return nil, p.errorf(end, "a mapping can't start here")
	}
	n := &node{from: start, to: end, text: b.String()}
	n.kind = yamlKind(n.text)
	if c == '*' {
		n.kind, n.ref = kindOther, &reference{target: p.anchors[n.text[1:]]}
	}
	return n, nil
}

// folded is what a number of line breaks inside a text stand for.
func folded(breaks int) string {
	if breaks == 1 {
		return " "
	}
	return strings.Repeat("\n", breaks-1)
}

// endsPlain tells whether the byte so far ahead can't follow an indicator inside a bare text.
func endsPlain(p *yamlParser, ahead int, flow bool) bool {
	c := p.at(ahead)
	return p.blankAt(ahead) || flow && strings.IndexByte(",[]{}", c) >= 0
}

// plainLine reads the part of a bare text on one line, and stops behind its last byte that is not blank.
func (p *yamlParser) plainLine(flow bool) string {
	start, end := p.pos, p.pos
	for ; !p.atLineEnd(); p.pos++ {
		c := p.peek()
		if c == ':' && endsPlain(p, 1, flow) || c == '#' && p.pos > start && isBlank(p.src[p.pos-1]) {
			break
		}
		if flow && strings.IndexByte(",[]{}", c) >= 0 {
			break
		}
		if !isBlank(c) {
			end = p.pos + 1
		}
	}
	if p.peek() != ':' || p.atLineEnd() {
		p.pos = end
	} else if end < p.pos && !flow {
		end = p.pos // blanks before a colon: the caller refuses it there
	}
	return strings.TrimRight(string(p.src[start:end]), " \t\r")
}

// quotedLine returns where the quoted text that starts here ends, -1 when that is not on the same line.
func quotedLine(p *yamlParser) int {
	q := p.peek()
	for i := p.pos + 1; i < len(p.src) && p.src[i] != '\n'; i++ {
		switch {
		case p.src[i] == '\\' && q == '"':
			i++
		case p.src[i] == q && q == '\'' && i+1 < len(p.src) && p.src[i+1] == q:
			i++
		case p.src[i] == q:
			return i + 1
		}
	}
	return -1
}

// quotedText reads a text between quotes; line breaks in it are folded.
func (p *yamlParser) quotedText() (*node, error) {
	start, q := p.pos, p.peek()
	p.pos++
	var text []byte
	solid := 0 // how much of text must not be trimmed at a line break
	for !p.eof() {
		c := p.peek()
		switch {
		case c == q && q == '\'' && p.at(1) == q:
			text = append(text, q)
			p.pos += 2
		case c == q:
			p.pos++
			return &node{kind: kindString, from: start, to: p.pos, text: string(text), quote: string(q)}, nil
		case c == '\\' && q == '"':
			if err := p.escaped(&text); err != nil {
				return nil, err
			}
			solid = len(text)
		case p.atLineEnd():
			for len(text) > solid && isBlank(text[len(text)-1]) {
				text = text[:len(text)-1]
			}
			text = append(text, folded(lineBreaks(p))...)
			solid = len(text)
		default:
			text = append(text, c)
			p.pos++
		}
	}
	return nil, p.errorf(start, "a string is not closed")
}

// lineBreaks passes line ends and the blanks around them and returns how many lines ended.
func lineBreaks(p *yamlParser) int {
	n := 0
	for ; !p.eof() && strings.IndexByte(" \t\r\n", p.peek()) >= 0; p.pos++ {
		if p.peek() == '\n' {
			n++
		}
	}
	return max(n, 1)
}

// escaped reads an escape sequence, or passes a backslash at the end of a line and the blanks that the next one starts with.
func (p *yamlParser) escaped(text *[]byte) error {
	if c := p.at(1); c == '\n' || c == '\r' {
		p.pos++
		p.nextLine()
		p.skipBlanks()
		return nil
	}
	var b strings.Builder
	err := p.escape(&b)
	*text = append(*text, b.String()...)
	return err
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
		end := quotedLine(p)
		if end < 0 {
			return "", false, nil
		}
		s := p.scanner
		s.pos = end
		if s.skipBlanks(); s.peek() != ':' || !(&yamlParser{scanner: s}).blankAt(1) {
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
