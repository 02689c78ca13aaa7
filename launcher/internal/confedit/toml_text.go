package confedit

import (
	"strconv"
	"strings"
)

func (p *tomlParser) value() (*node, error) {
	switch p.peek() {
	case '"', '\'':
		return p.str()
	case '[':
		return p.array(p.value)
	case '{':
		return p.table(p.member)
	}
	if n := p.spacedDate(); n != nil {
		return n, nil
	}
	return p.bare(",]}# \t\r\n", tomlBare)
}

// spacedDate reads a date and a time with a space between them, the one value without quotes that holds one.
func (p *tomlParser) spacedDate() *node {
	start, head := p.pos, len("2006-01-02 15:")
	if _, ok := shaped(string(p.src[start:min(len(p.src), start+head)]), "dddd-dd-dd dd:"); !ok {
		return nil
	}
	end := start + head
	for end < len(p.src) && (isDigit(p.src[end]) || strings.IndexByte(":.+-Zz", p.src[end]) >= 0) {
		end++
	}
	text := string(p.src[start:end])
	if !tomlDate(text) {
		return nil
	}
	p.pos = end
	return &node{kind: kindOther, from: start, to: end, text: text}
}

// str reads any of the four kinds of strings.
func (p *tomlParser) str() (*node, error) {
	if q := string(p.peek()); p.has(q + q + q) {
		return p.multiline(q + q + q)
	}
	return p.quoted()
}

// multiline reads a string between three quotes. Up to two more quotes may stand right before the closing ones.
func (p *tomlParser) multiline(q string) (*node, error) {
	start := p.pos
	p.pos += 3
	if p.has("\r\n") {
		p.pos += 2
	} else if p.peek() == '\n' {
		p.pos++
	}
	var b strings.Builder
	for {
		switch c := p.peek(); {
		case p.eof():
			return nil, p.errorf(start, "a string is not closed")
		case p.has(q):
			p.pos += 3
			for i := 0; i < 2 && p.peek() == q[0]; i++ {
				b.WriteByte(q[0])
				p.pos++
			}
			return &node{kind: kindString, from: start, to: p.pos, text: b.String(), quote: q}, nil
		case c == '\\' && q[0] == '"':
			if p.skipContinuation() {
				continue
			}
			if err := p.escape(&b); err != nil {
				return nil, err
			}
		case p.has("\r\n"):
			b.WriteByte('\n')
			p.pos += 2
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
}

// skipContinuation passes a backslash at the end of a line, and all white space up to the next text.
func (p *tomlParser) skipContinuation() bool {
	i := p.pos + 1
	for i < len(p.src) && (p.src[i] == ' ' || p.src[i] == '\t' || p.src[i] == '\r') {
		i++
	}
	if i >= len(p.src) || p.src[i] != '\n' {
		return false
	}
	for i < len(p.src) && strings.IndexByte(" \t\r\n", p.src[i]) >= 0 {
		i++
	}
	p.pos = i
	return true
}

// tomlBare returns the kind of a value that is written without quotes.
func tomlBare(s string) (kind, bool) {
	switch {
	case s == "true" || s == "false":
		return kindBool, true
	case tomlNumber(s):
		return kindNumber, true
	case tomlDate(s):
		return kindOther, true
	}
	return kindString, false
}

func tomlNumber(s string) bool {
	unsigned := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-")
	if len(s)-len(unsigned) > 1 {
		return false
	}
	if unsigned == "inf" || unsigned == "nan" {
		return true
	}
	if len(s) > 2 && s[0] == '0' {
		if set := map[byte]string{'x': "0123456789abcdefABCDEF", 'o': "01234567", 'b': "01"}[s[1]]; set != "" {
			return underscored(s[2:]) && strings.Trim(s[2:], set+"_") == "" && fits(s)
		}
	}
	for _, part := range strings.FieldsFunc(unsigned, func(r rune) bool { return strings.ContainsRune(".eE+-", r) }) {
		if !underscored(part) {
			return false
		}
	}
	plain := strings.ReplaceAll(unsigned, "_", "")
	if i := strings.IndexAny(plain, "eE"); i >= 0 && strings.IndexByte(plain[i:], '.') >= 0 {
		return false
	}
	return jsonNumber(plain) && (strings.ContainsAny(plain, ".eE") || fits(s))
}

// underscored accepts digits with single underscores between them.
func underscored(s string) bool {
	return s != "" && s[0] != '_' && s[len(s)-1] != '_' && !strings.Contains(s, "__")
}

func fits(s string) bool {
	plain := strings.ReplaceAll(s, "_", "")
	base := 10
	if len(plain) > 2 && plain[0] == '0' && !isDigit(plain[1]) {
		base = 0
	}
	_, err := strconv.ParseInt(plain, base, 64)
	return err == nil
}

// tomlDate accepts the shapes of a date, a time, and both; whether there is such a day is left to the reader.
func tomlDate(s string) bool {
	rest := s
	if day, ok := shaped(rest, "dddd-dd-dd"); ok {
		if day == "" {
			return true
		}
		if !strings.ContainsRune("Tt ", rune(day[0])) {
			return false
		}
		rest = day[1:]
	}
	isTimeOnly := rest == s
	after, ok := shaped(rest, "dd:dd")
	if !ok {
		return false
	}
	if sec, ok := shaped(after, ":dd"); ok {
		after = sec
		if strings.HasPrefix(after, ".") {
			n := digits(after[1:])
			if n == 0 {
				return false
			}
			after = after[1+n:]
		}
	}
	if after == "" {
		return true
	}
	if isTimeOnly {
		return false
	}
	if after == "Z" || after == "z" {
		return true
	}
	left, plus := shaped(after, "+dd:dd")
	if !plus {
		left, plus = shaped(after, "-dd:dd")
	}
	return plus && left == ""
}

// shaped reports whether s starts in the given shape, where d is any digit, and returns what follows.
func shaped(s, shape string) (string, bool) {
	if len(s) < len(shape) {
		return "", false
	}
	for i := 0; i < len(shape); i++ {
		if shape[i] == 'd' && !isDigit(s[i]) || shape[i] != 'd' && s[i] != shape[i] {
			return "", false
		}
	}
	return s[len(shape):], true
}

func tomlKey(path []string) string {
	parts := make([]string, len(path))
	for i, name := range path {
		if parts[i] = name; !allWord(name) {
			parts[i] = quoteJSON(name)
		}
	}
	return strings.Join(parts, ".")
}

func quoteTOML(s, quotes string) (string, error) {
	if quotes == "'" && !hasControl(s) && !strings.Contains(s, "'") {
		return "'" + s + "'", nil
	}
	return quoteJSON(s), nil
}

// namesOf returns the names on the way from the root, without the indexes of arrays.
func namesOf(way []*node) []string {
	var path []string
	for i, n := range way[1:] {
		if in := way[i]; in.kind == kindTable {
			for j, child := range in.children {
				if child == n {
					path = append(path, in.names[j])
				}
			}
		}
	}
	return path
}
