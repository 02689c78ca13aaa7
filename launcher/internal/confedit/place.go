package confedit

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
)

// patch replaces src[from:to] by text.
type patch struct {
	from, to int
	text     string
}

// splice makes patches that don't overlap.
func splice(src []byte, patches []patch) []byte {
	sort.Slice(patches, func(i, j int) bool { return patches[i].from < patches[j].from })
	var out bytes.Buffer
	at := 0
	for _, p := range patches {
		out.Write(src[at:p.from])
		out.WriteString(p.text)
		at = p.to
	}
	out.Write(src[at:])
	return out.Bytes()
}

// eolOf is how the file ends its lines, judged by the first.
func eolOf(src []byte) string {
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func lineOf(src []byte, at int) int { return 1 + bytes.Count(src[:at], []byte{'\n'}) }

func lineStart(src []byte, at int) int { return bytes.LastIndexByte(src[:at], '\n') + 1 }

// lineEnd is where the line's text ends, before its line end.
func lineEnd(src []byte, at int) int {
	i := bytes.IndexByte(src[at:], '\n')
	if i < 0 {
		return len(src)
	}
	if end := at + i; end > at && src[end-1] == '\r' {
		return end - 1
	}
	return at + i
}

// indentAt is the white space that the line of at starts with.
func indentAt(src []byte, at int) string {
	from := lineStart(src, at)
	to := from
	for to < len(src) && (src[to] == ' ' || src[to] == '\t') {
		to++
	}
	return string(src[from:to])
}

// insertLines puts whole lines after the line in which at stands. A file that lacks its final newline goes on lacking it.
func insertLines(src []byte, at int, lines ...string) patch {
	eol := eolOf(src)
	i := bytes.IndexByte(src[at:], '\n')
	if i < 0 {
		return appendLines(src, lines...)
	}
	at += i + 1
	return patch{at, at, strings.Join(lines, eol) + eol}
}

// appendLines puts whole lines at the end of the file.
func appendLines(src []byte, lines ...string) patch {
	eol := eolOf(src)
	text := strings.Join(lines, eol)
	if len(src) > 0 && src[len(src)-1] != '\n' && !bytes.Equal(src, []byte(bom)) {
		text = eol + text
	} else {
		text += eol
	}
	return patch{len(src), len(src), text}
}

// appendBlock is appendLines with an empty line before it, where there is something to be apart from.
func appendBlock(src []byte, lines ...string) patch {
	body := bytes.TrimPrefix(src, []byte(bom))
	if len(body) > 0 && !bytes.HasSuffix(body, []byte("\n\n")) && !bytes.HasSuffix(body, []byte("\n\r\n")) {
		lines = append([]string{""}, lines...)
	}
	return appendLines(src, lines...)
}

// brackets says how a format writes members between brackets.
type brackets struct {
	commas bool   // a comma is needed even where a new line parts members
	pad    string // inside the brackets of a table with one member
	unit   string // one step of indentation
}

// addInside puts a member into a table that stands in brackets, on a line of its own where the others have theirs.
func (b brackets) addInside(src []byte, n *node, member string) patch {
	closing := n.to - 1
	eol := eolOf(src)
	if n.last == 0 {
		inner := src[n.from+1 : closing]
		if i := bytes.IndexByte(inner, '\n'); i >= 0 {
			at := n.from + 1 + i + 1
			return patch{at, at, indentAt(src, n.from) + b.unit + member + eol}
		}
		if len(inner) > 0 {
			return patch{n.from + 1, n.from + 1, " " + member}
		}
		return patch{n.from + 1, n.from + 1, b.pad + member + b.pad}
	}
	at, sep := n.last, ","
	if n.comma > 0 {
		at, sep = n.comma+1, ""
	}
	if bytes.IndexByte(src[at:closing], '\n') < 0 {
		return patch{at, at, sep + " " + member}
	}
	if !b.commas {
		sep = ""
	}
	end := lineEnd(src, at)
	return patch{at, end, sep + string(src[at:end]) + eol + indentAt(src, n.lastKey) + member}
}

// nested writes a member whose value stands in tables of its own, each opened and closed as the caller says.
func nested(names []string, sep, value, opening, closing string) string {
	last := len(names) - 1
	member := names[last] + sep + value
	for i := last - 1; i >= 0; i-- {
		member = names[i] + opening + member + closing
	}
	return member
}

// canAdd says why the last node on the way to a missing key can't take it.
func canAdd(way []*node, path []string) error {
	n := way[len(way)-1]
	switch n.kind {
	case kindTable:
		return nil
	case kindArray:
		return fmt.Errorf("it can't be added: the array has %d elements, and none called %q", len(n.children), path[len(way)-1])
	}
	return errHoldsValue
}

// addFirst puts a line before the first section, which starts at the given place, or at the end of a file without any.
// Comments right above the section stay with it.
func addFirst(src []byte, section int, line string) patch {
	if section >= len(src) {
		return appendLines(src, line)
	}
	at := lineStart(src, section)
	for at > 0 {
		above := lineStart(src, at-1)
		text := strings.TrimSpace(string(src[above:at]))
		if !strings.HasPrefix(text, "#") && !strings.HasPrefix(text, ";") {
			break
		}
		at = above
	}
	if at == 0 && bytes.HasPrefix(src, []byte(bom)) {
		at = len(bom)
	}
	eol := eolOf(src)
	return patch{at, at, line + eol + eol}
}

// separatorAfter is what stands between key and value of the table's last line, to write the next one alike; false when
// that is neither `=` nor `:`, or there is no such line.
func separatorAfter(src []byte, n *node) (string, bool) {
	if n == nil || n.keyEnd == 0 {
		return "", false
	}
	s := scanner{src: src, pos: n.keyEnd}
	s.skipBlanks()
	if s.peek() != '=' && s.peek() != ':' {
		return "", false
	}
	s.pos++
	s.skipBlanks()
	if s.atLineEnd() { // an empty value: the blanks say nothing
		return "", false
	}
	return string(src[n.keyEnd:s.pos]), true
}
