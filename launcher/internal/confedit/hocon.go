package confedit

import (
	"errors"
	"strings"
)

// hoconSyntax is HOCON: JSON with comments, dotted keys, bare texts, and objects that merge. Of several occurrences the
// one that wins is changed, and a missing key is appended to the file as a dotted line, which wins over whatever an
// object above says. Substitutions are texts to be replaced as a whole; includes are left alone and their keys not seen.
func hoconSyntax() syntax {
	return syntax{
		rules: hoconRules,
		parse: parseHOCON,
		path:  dottedPath,
		key:   joinPath,
		find:  findExact,
		bare:  bareHOCON,
		quote: func(s, _ string) (string, error) { return quoteJSON(s), nil },
		add:   addHOCON,
	}
}

// bareHOCON accepts only what every reader of HOCON takes without quotes.
func bareHOCON(s string) (kind, bool) {
	k := hoconKind(s)
	if s == "" || k == kindString && (s[0] == '-' || s[0] == '.') {
		return k, false
	}
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && s[i] != '.' && s[i] != '%' && k != kindNumber {
			return k, false
		}
	}
	return k, true
}

// hoconKind returns the kind of a bare text.
func hoconKind(s string) kind {
	switch s {
	case "true", "false", "on", "off", "yes", "no":
		return kindBool
	case "null":
		return kindNull
	}
	if jsonNumber(s) {
		return kindNumber
	}
	return kindString
}

var hoconRules = &rules{
	space:    " \t\n\r\f\u00a0",
	comment:  hoconComment,
	newline:  true,
	late:     true,
	trailing: true,
	escapes:  jsonEscapes,
}

type hoconParser struct{ scanner }

func parseHOCON(src []byte) (*node, error) {
	sc, err := newScanner(src, hoconRules)
	if err != nil {
		return nil, err
	}
	p := hoconParser{sc}
	p.skipSpace()
	if p.peek() != '{' {
		root := newTable(len(src), len(src))
		root.spread = true
		return root, p.list(root, 0, p.member)
	}
	root, err := p.table(p.member)
	if err != nil {
		return nil, err
	}
	return root, p.end()
}

func atHOCONComment(s *scanner) bool { return s.peek() == '#' || s.has("//") }

func hoconComment(s *scanner) bool {
	if !atHOCONComment(s) {
		return false
	}
	s.skipLine()
	return true
}

// member reads one key and value, or passes an include. p.pos is then where it ends.
func (p *hoconParser) member(in *node) error {
	start := p.pos
	if ok, err := p.include(in); ok || err != nil {
		return err
	}
	path, err := p.key()
	if err != nil {
		return err
	}
	adds := p.has("+=")
	switch {
	case adds:
		p.pos += 2
	case p.peek() == '=' || p.peek() == ':':
		p.pos++
	case p.peek() != '{':
		return p.errorf(p.pos, "expected '=', ':' or '{' after a key, got %s", p.what())
	}
	p.skipSpace()
	val, err := p.value()
	if err != nil {
		return err
	}
	for _, name := range path[:len(path)-1] {
		next := in.child(name)
		if next == nil || next.kind != kindTable {
			next = newTable(start, start)
			in.replace(name, next)
		}
		next.spread = true
		in = next
	}
	name := path[len(path)-1]
	val.spans = append(val.spans, span{start, p.pos})
	if !adds {
		mergeHOCON(in, name, val)
		return nil
	}
	if old := in.child(name); old != nil && old.kind == kindArray {
		old.children, old.spread = append(old.children, val), true
		return nil
	}
	in.replace(name, &node{kind: kindArray, from: val.from, to: val.to, spread: true, children: []*node{val}})
	return nil
}

// key reads a path: quoted and bare pieces, white space between them kept, dots in bare pieces parting segments.
func (p *hoconParser) key() ([]string, error) {
	var path []string
	var name strings.Builder
	start, seen := p.pos, false
	for {
		gap := p.pos
		p.skipBlanks()
		blanks := string(p.src[gap:p.pos])
		c := p.peek()
		if c == '.' || c == '=' || c == ':' || c == '{' || p.has("+=") {
			if !seen {
				return nil, p.errorf(start, "a key with an empty segment")
			}
			path = append(path, name.String())
			if len(path) > maxDepth {
				return nil, p.errorf(start, "a key has more than %d segments", maxDepth)
			}
			if c != '.' {
				return path, nil
			}
			name.Reset()
			seen = false
			p.pos++
			continue
		}
		if seen {
			name.WriteString(blanks)
		}
		seen = true
		if c == '"' {
			s, err := p.str()
			if err != nil {
				return nil, err
			}
			name.WriteString(s.text)
			continue
		}
		if p.atLineEnd() || atHOCONComment(&p.scanner) || strings.IndexByte("}[],$+", c) >= 0 {
			return nil, p.errorf(p.pos, "expected a key and its value, got %s", p.what())
		}
		name.WriteByte(c)
		p.pos++
	}
}

// include reads an include statement, if one comes next.
func (p *hoconParser) include(in *node) (bool, error) {
	if !p.has("include") {
		return false, nil
	}
	s := p.scanner
	s.pos += len("include")
	if s.peek() != ' ' && s.peek() != '\t' {
		return false, nil
	}
	s.skipBlanks()
	found := include{Include: Include{Optional: true}, at: p.pos}
	for _, word := range []string{"required(", "file(", "url(", "classpath("} {
		if s.has(word) {
			s.pos += len(word)
			s.skipBlanks()
			found.Optional = found.Optional && word != "required("
			found.Remote = word == "url(" || word == "classpath("
		}
	}
	if s.peek() != '"' {
		return false, nil
	}
	name, err := s.quoted()
	if err != nil {
		return false, err
	}
	found.Path = name.text
	end := s.pos
	for s.skipBlanks(); s.peek() == ')'; s.skipBlanks() {
		s.pos++
		end = s.pos
	}
	if c := s.peek(); c == '=' || c == ':' || c == '{' || c == '.' {
		return false, nil // a key of several pieces, of which the first is that word
	}
	p.pos = end
	in.includes = append(in.includes, found)
	return true, nil
}

func addHOCON(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	if n := way[len(way)-1]; !substitution(n) { // which may well stand for an object
		if err := canAdd(way, path); err != nil {
			return patch{}, err
		}
	}
	base, rest := root, path
	for i, n := range way[:len(way)-1] {
		if n.kind == kindArray {
			base, rest = way[i+1], path[i+1:]
		}
	}
	if base != root && (base.spread || base.origin != originInline) {
		return patch{}, errors.New("it can't be added: the element of the array is put together from several pieces")
	}
	member := hoconKey(rest) + " = " + value
	if base.origin == originInline {
		return brackets{pad: " ", unit: "  "}.addInside(src, base, member), nil
	}
	return appendLines(src, member), nil
}
