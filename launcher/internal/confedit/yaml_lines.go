package confedit

import (
	"bytes"
	"strings"
)

// marker reports whether the start or end of a document comes next.
func (p *yamlParser) marker() bool {
	return (p.has("---") || p.has("...")) && p.blankAt(3) && p.lineStart() == p.pos
}

// blankAt reports whether the byte so far ahead is white space or the end of the file.
func (p *yamlParser) blankAt(ahead int) bool {
	c := p.at(ahead)
	return c == 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r'
}

// lineStart is where the line of the next byte starts, behind a byte order mark.
func (p *yamlParser) lineStart() int {
	start := lineStart(p.src, p.pos)
	if start == 0 && bytes.HasPrefix(p.src, []byte(bom)) {
		return len(bom)
	}
	return start
}

// column is how far the next byte is from the start of its line; -1 where no more content of the document comes.
func (p *yamlParser) column() int {
	if p.eof() || p.marker() {
		return -1
	}
	return p.pos - p.lineStart()
}

func (p *yamlParser) dash() bool { return p.peek() == '-' && p.blankAt(1) }

// toContent passes blanks, comments and line ends up to the next text. Tabs must not indent it.
func (p *yamlParser) toContent() error {
	for {
		start := p.pos
		p.skipBlanks()
		switch {
		case p.eof():
			return nil
		case p.peek() == '#' && (p.pos > start || p.pos == p.lineStart() || isBlank(p.src[p.pos-1])):
			p.skipLine()
		case p.peek() == '\n' || p.peek() == '\r':
			p.pos++
		default:
			if start == p.lineStart() && strings.ContainsRune(string(p.src[start:p.pos]), '\t') {
				return p.errorf(p.pos, "a tab indents this line")
			}
			return nil
		}
	}
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

// blockText reads a text under `|` or `>`.
func blockText(p *yamlParser, parent int) (*node, error) {
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

// prologue passes directives and the start of the document.
func prologue(p *yamlParser) error {
	if err := p.toContent(); err != nil {
		return err
	}
	for p.peek() == '%' {
		p.skipLine()
		if err := p.toContent(); err != nil {
			return err
		}
	}
	if p.marker() && p.peek() == '-' {
		p.pos += 3
		return p.toContent()
	}
	return nil
}
