package confedit

import (
	"bytes"
	"strings"
)

// expression passes a text without brackets of its own up to the end of a line, a comma or a closing bracket, and returns
// where it ends. Brackets and strings in it may hold all of these.
func (p *hclParser) expression() (end int, err error) {
	start, end := p.pos, p.pos
	for depth := 0; ; {
		c := p.peek()
		switch {
		case p.eof() && depth > 0:
			return 0, p.errorf(start, "a bracket is not closed")
		case p.eof(), depth == 0 && (c == ',' || c == ')' || c == ']' || c == '}' || p.atLineEnd() || atHOCONComment(&p.scanner) || p.has("/*")):
			return end, nil
		case c == '"':
			if err := p.template(); err != nil {
				return 0, err
			}
			end = p.pos
			continue
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		}
		if p.pos++; !isBlank(c) && c != '\n' {
			end = p.pos
		}
	}
}

// template passes a string, in which ${ and %{ start expressions with strings of their own.
func (p *hclParser) template() error {
	start, depth, inside := p.pos, 0, false
	for ; ; p.pos++ {
		switch c := p.peek(); {
		case p.eof() || c == '\n' && depth == 0:
			return p.errorf(start, "a string is not closed")
		case c == '\\' && p.pos+1 < len(p.src):
			p.pos++
		case c == '"' && depth == 0 && p.pos > start:
			p.pos++
			return nil
		case c == '"' && depth > 0:
			inside = !inside
		case inside:
		case (c == '$' || c == '%') && p.at(1) == c && p.at(2) == '{':
			p.pos += 2
		case (c == '$' || c == '%') && p.at(1) == '{':
			depth++
			p.pos++
		case c == '{' && depth > 0:
			depth++
		case c == '}' && depth > 0:
			depth--
		}
	}
}

// heredoc reads a text under <<NAME or <<-NAME.
func (p *hclParser) heredoc() (*node, error) {
	start := p.pos
	word := strings.TrimSpace(strings.TrimPrefix(string(p.src[start+2:lineEnd(p.src, start)]), "-"))
	if !allWord(word) {
		return nil, p.errorf(start, "expected a name after <<")
	}
	indented := p.at(2) == '-'
	var lines []string
	for at := endOfLine(p.src, start); at < len(p.src); at = endOfLine(p.src, at) {
		end := lineEnd(p.src, at)
		line := string(p.src[at:end])
		if strings.TrimSpace(line) == word {
			p.pos = end
			return &node{kind: kindString, from: start, to: end, text: hereText(lines, indented), quote: "<<"}, nil
		}
		lines = append(lines, line+"\n")
	}
	return nil, p.errorf(start, "a text is not closed: %q", word)
}

// hereText joins the lines of a text, and takes the indentation that all of them have away.
func hereText(lines []string, indented bool) string {
	for indented && len(lines) > 0 {
		for _, line := range lines {
			if line[0] != ' ' && line[0] != '\t' {
				return strings.Join(lines, "")
			}
		}
		for i := range lines {
			lines[i] = lines[i][1:]
		}
	}
	return strings.Join(lines, "")
}

func quoteHCL(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(quoteJSON(s))
}

func hclComment(s *scanner) bool {
	if s.has("/*") {
		if i := bytes.Index(s.src[s.pos+2:], []byte("*/")); i >= 0 {
			s.pos += i + 4
			return true
		}
		return false
	}
	return hoconComment(s)
}
