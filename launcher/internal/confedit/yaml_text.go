package confedit

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// plainText reads a bare text, which may go on over lines that are indented by more than parent.
func (p *yamlParser) plainText(parent int, flow bool) (*node, error) {
	start := p.pos
	c := p.peek()
	if strings.IndexByte(",[]{}#|>%@`", c) >= 0 || strings.IndexByte("-?:", c) >= 0 && p.endsPlain(1, flow) {
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
		if flow && p.peek() == ':' && p.endsPlain(1, flow) {
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
		n.kind = kindOther
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
func (p *yamlParser) endsPlain(ahead int, flow bool) bool {
	c := p.at(ahead)
	return p.blankAt(ahead) || flow && strings.IndexByte(",[]{}", c) >= 0
}

// plainLine reads the part of a bare text on one line, and stops behind its last byte that is not blank.
func (p *yamlParser) plainLine(flow bool) string {
	start, end := p.pos, p.pos
	for ; !p.atLineEnd(); p.pos++ {
		c := p.peek()
		if c == ':' && p.endsPlain(1, flow) || c == '#' && p.pos > start && isBlank(p.src[p.pos-1]) {
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
func (p *yamlParser) quotedLine() int {
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
			s, err := p.escape()
			if err != nil {
				return nil, err
			}
			text = append(text, s...)
			solid = len(text)
		case p.atLineEnd():
			for len(text) > solid && isBlank(text[len(text)-1]) {
				text = text[:len(text)-1]
			}
			text = append(text, folded(p.breaks())...)
			solid = len(text)
		default:
			text = append(text, c)
			p.pos++
		}
	}
	return nil, p.errorf(start, "a string is not closed")
}

// breaks passes line ends and the blanks around them and returns how many lines ended.
func (p *yamlParser) breaks() int {
	n := 0
	for ; !p.eof() && strings.IndexByte(" \t\r\n", p.peek()) >= 0; p.pos++ {
		if p.peek() == '\n' {
			n++
		}
	}
	return max(n, 1)
}

// escape reads what starts with a backslash between double quotes.
func (p *yamlParser) escape() (string, error) {
	start, c := p.pos, p.at(1)
	p.pos += 2
	if c == '\n' || c == '\r' {
		p.pos--
		p.breaksOnce()
		return "", nil
	}
	if i := strings.IndexByte("0abt\tnvfre \"/\\N_LP", c); i >= 0 && c != 0 {
		return []string{"\x00", "\a", "\b", "\t", "\t", "\n", "\v", "\f", "\r", "\x1b", " ", `"`, "/", `\`,
			"\u0085", "\u00a0", "\u2028", "\u2029"}[i], nil
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if width == 0 || p.pos+width > len(p.src) {
		return "", p.errorf(start, "an unknown escape in a string")
	}
	code, err := strconv.ParseUint(string(p.src[p.pos:p.pos+width]), 16, 32)
	if err != nil || code > utf8.MaxRune {
		return "", p.errorf(start, "an escape in a string is no character")
	}
	p.pos += width
	return string(rune(code)), nil
}

// breaksOnce passes one line end and the blanks that the next line starts with.
func (p *yamlParser) breaksOnce() {
	if p.peek() == '\r' {
		p.pos++
	}
	if p.peek() == '\n' {
		p.pos++
	}
	p.skipBlanks()
}

// blockText reads a text under `|` or `>`.
func (p *yamlParser) blockText(parent int) (*node, error) {
	start := p.pos
	fold := p.peek() == '>'
	chomp, indent := byte(0), -1
	for p.pos++; !p.blankAt(0); p.pos++ {
		switch c := p.peek(); {
		case c == '+' || c == '-':
			chomp = c
		case c >= '1' && c <= '9':
			indent = max(parent, 0) + int(c-'0')
		default:
			return nil, p.errorf(p.pos, "expected the end of the line, got %s", p.what())
		}
	}
	head := p.pos
	p.skipBlanks()
	if p.peek() == '#' {
		p.skipLine()
	}
	if !p.atLineEnd() {
		return nil, p.errorf(p.pos, "expected the end of the line, got %s", p.what())
	}
	var lines []string
	end, content := head, 0 // where the text ends; how many lines it has up to the last that is not empty
	for p.nextLine() {
		line := string(p.src[p.pos:lineEnd(p.src, p.pos)])
		depth := len(line) - len(strings.TrimLeft(line, " "))
		if strings.Trim(line, " ") == "" && (indent < 0 || depth <= indent) {
			lines = append(lines, "")
			p.skipLine()
			if chomp == '+' {
				end = p.pos
			}
			continue
		}
		if indent < 0 {
			indent = max(depth, parent+1)
		}
		if depth < indent || p.marker() {
			break
		}
		lines = append(lines, line[indent:])
		p.skipLine()
		content, end = len(lines), p.pos
	}
	n := &node{kind: kindString, from: start, to: end, quote: "|"}
	n.text = blockLines(lines, content, fold, chomp)
	return n, nil
}

// nextLine goes on to the start of the next line; false when there is none.
func (p *yamlParser) nextLine() bool {
	p.skipLine()
	if p.peek() == '\r' {
		p.pos++
	}
	if p.eof() {
		return false
	}
	p.pos++
	return !p.eof()
}

// blockLines joins the lines of a block text, of which the first ones, content in number, are more than line ends.
func blockLines(lines []string, content int, fold bool, chomp byte) string {
	var b strings.Builder
	more := func(i int) bool { return lines[i] != "" && (lines[i][0] == ' ' || lines[i][0] == '\t') }
	last := -1 // the last line that is not empty
	for i := 0; i < content; i++ {
		if lines[i] == "" {
			continue
		}
		breaks := i - last
		switch {
		case last < 0:
			b.WriteString(strings.Repeat("\n", i))
		case fold && !more(last) && !more(i):
			b.WriteString(folded(breaks))
		default:
			b.WriteString(strings.Repeat("\n", breaks))
		}
		b.WriteString(lines[i])
		last = i
	}
	switch {
	case chomp == '-':
	case chomp == '+':
		if content > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.Repeat("\n", len(lines)-content))
	case content > 0:
		b.WriteByte('\n')
	}
	return b.String()
}

// yamlKind tells what a bare text is to at least some readers; kindOther where they disagree.
func yamlKind(s string) kind {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n":
		return kindBool
	case "null", "~", "":
		return kindNull
	case ".inf", "+.inf", "-.inf", ".nan":
		return kindNumber
	case "=", "<<":
		return kindOther
	}
	if jsonNumber(strings.TrimPrefix(s, "+")) && !strings.HasPrefix(s, "+-") {
		return kindNumber
	}
	unsigned := strings.TrimLeft(s, "+-")
	if unsigned == "" || !isDigit(unsigned[0]) && unsigned[0] != '.' {
		return kindString
	}
	if strings.Trim(unsigned, "0123456789abcdefABCDEFxXoO_.:+-TtZz ") == "" {
		return kindOther
	}
	return kindString
}

// bareYAML accepts what is a plain text in blocks and between brackets, to readers of YAML 1.1 and 1.2.
func bareYAML(s string) (kind, bool) {
	k := yamlKind(s)
	if s == "" || !isWord(s[0]) && strings.IndexByte("/.~+", s[0]) < 0 || s[0] == '-' && k == kindString {
		return k, false
	}
	if s[len(s)-1] == ' ' || s[len(s)-1] == ':' || strings.Contains(s, ": ") || strings.HasPrefix(s, "...") || strings.HasPrefix(s, "---") {
		return k, false
	}
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && strings.IndexByte("./@:+~=%$ ", s[i]) < 0 {
			return k, false
		}
	}
	return k, true
}

func quoteYAML(s, quotes string) (string, error) {
	if quotes == "'" && !hasControl(s) && strings.IndexFunc(s, func(r rune) bool { return r >= 0x7f }) < 0 {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
	}
	return quoteJSON(s), nil
}
