package confedit

import (
	"bytes"
	"errors"
	"strings"
)

// propertiesSyntax is `key = value`, a line each: the form that cuttlefish reads and, where the two agree, that of Java's
// properties. The whole key is one name. `:` and white space part key and value too; lines that start with # or ! are
// comments, and so is what follows a # with white space before it. A backslash at the end of a line goes on in the
// next one; apart from that, backslashes stand for themselves. A value between single quotes is the text between them.
// The last line of a key wins.
func propertiesSyntax() syntax {
	return syntax{
		rules: propertiesRules,
		parse: parseProperties,
		path:  wholePath,
		key:   func(path []string) string { return path[0] },
		find:  findExact,
		bare:  func(s string) (kind, bool) { return kindString, bareProperty(s) },
		quote: quoteProperty,
		add:   addProperty,
		plain: true,
	}
}

var propertiesRules = &rules{space: " \t\r\n\f", comment: commentBy("#!")}

func wholePath(_ *node, key string) ([]string, error) {
	if key == "" {
		return nil, errors.New("the key is empty")
	}
	return []string{key}, nil
}

// bareProperty refuses what one of the two readers would take for something else.
func bareProperty(s string) bool {
	return s == strings.TrimSpace(s) && !strings.ContainsAny(s, "#\r\n\f") && !oddBackslashes(s) &&
		!strings.HasPrefix(s, "'") && !strings.HasPrefix(s, "=") && !strings.HasPrefix(s, ":")
}

func oddBackslashes(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

func quoteProperty(s, quotes string) (string, error) {
	if quotes == "'" && !strings.ContainsAny(s, "'\r\n\f") {
		return "'" + s + "'", nil
	}
	if bareProperty(s) {
		return s, nil
	}
	return "", errors.New("readers of this format disagree on such a text (a #, a quote, white space at an end): give it raw")
}

func parseProperties(src []byte) (*node, error) {
	sc, err := newScanner(src, propertiesRules)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.spread = true
	return root, sc.lines(func() error { return property(&sc, root) })
}

// property reads one key and its value, which may go over several lines.
func property(p *scanner, root *node) error {
	start := p.pos
	var name strings.Builder
	for !p.atLineEnd() && strings.IndexByte("=: \t\f", p.peek()) < 0 {
		if p.peek() == '\\' && strings.IndexByte(`=: #!\`, p.at(1)) >= 0 && p.at(1) != 0 {
			p.pos++
		}
		name.WriteByte(p.peek())
		p.pos++
	}
	if name.Len() == 0 {
		return p.errorf(start, "a line without a key")
	}
	keyEnd := p.pos
	p.skip(" \t\f")
	if p.peek() == '=' || p.peek() == ':' {
		p.pos++
	} else if p.atLineEnd() {
		return p.errorf(start, "a key without a value: %.60q", name.String())
	}
	p.skip(" \t\f")
	val := propertyValue(p)
	root.put(name.String(), val, start)
	root.last, root.lastKey = p.pos, start
	root.keyEnd = keyEnd
	return nil
}

func propertyValue(p *scanner) *node {
	start := p.pos
	if n := quotedProperty(p); n != nil {
		return n
	}
	var text strings.Builder
	end := start // after the last byte that is not blank
	for {
		c := p.peek()
		switch {
		case c == '\\' && continues(p):
			p.pos = bytes.IndexByte(p.src[p.pos:], '\n') + p.pos + 1
			p.skip(" \t\f")
			end = p.pos
			continue
		case c == '\\' && p.pos+1 < len(p.src) && p.at(1) == '\\':
			text.WriteString(`\\`)
			p.pos += 2
			end = p.pos
			continue
		case p.atLineEnd() || c == '#' && (p.pos == start || isBlank(p.src[p.pos-1])):
			p.skipLine()
			return &node{kind: kindString, from: start, to: end, text: strings.TrimRight(text.String(), " \t\f\r")}
		}
		text.WriteByte(c)
		p.pos++
		if !isBlank(c) {
			end = p.pos
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' || c == '\r' }

// continues reports whether the backslash that comes next is the last byte of its line, and there is a next line.
func continues(p *scanner) bool {
	return p.at(1) == '\n' || p.at(1) == '\r' && p.at(2) == '\n'
}

// quotedProperty reads a value that stands between single quotes, with nothing but a comment after them.
func quotedProperty(p *scanner) *node {
	if p.peek() != '\'' {
		return nil
	}
	line := p.src[p.pos:lineEnd(p.src, p.pos)]
	i := bytes.IndexByte(line[1:], '\'')
	if i < 0 {
		return nil
	}
	after := bytes.TrimSpace(line[i+2:])
	if len(after) > 0 && after[0] != '#' {
		return nil
	}
	n := &node{kind: kindString, from: p.pos, to: p.pos + i + 2, text: string(line[1 : i+1]), quote: "'"}
	p.skipLine()
	return n
}

func addProperty(src []byte, root *node, path []string, value string) (patch, error) {
	name := path[0]
	if strings.ContainsAny(name, "=: \t\r\n\f#!\\") {
		return patch{}, errors.New("it can't be added: the key holds bytes that this format has a use for")
	}
	sep, ok := separatorAfter(src, root)
	if !ok {
		sep = " = "
	}
	return appendLines(src, name+sep+value), nil
}
