package confedit

import (
	"errors"
	"strings"
)

// envSyntax is a file of variables: `KEY=value` or `export KEY=value`, a line each, as shells, dotenv libraries and service
// managers read it. A value between single quotes is taken as it is; between double quotes a backslash escapes; $NAME and
// ${NAME} in any other value are references. A # at the start of a line, or after white space, starts a comment. Of lines
// for one key the last wins; a name without a value is passed over.
func envSyntax() syntax {
	return syntax{
		rules: envRules,
		parse: parseEnv,
		path:  wholePath,
		key:   func(path []string) string { return path[0] },
		find:  findExact,
		bare:  bareEnv,
		quote: quoteEnv,
		add:   addEnv,
		plain: true,
	}
}

var envRules = &rules{
	space:     " \t\r\n",
	comment:   commentBy("#"),
	multiline: true,
	escapes:   &escapes{letters: "nrt\"\\$`", runes: []rune("\n\r\t\"\\$`"), lenient: true},
}

// bareEnv accepts only what every reader takes without quotes.
func bareEnv(s string) (kind, bool) {
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && strings.IndexByte("./:@%+,=", s[i]) < 0 {
			return kindString, false
		}
	}
	return kindString, true
}

func quoteEnv(s, quotes string) (string, error) {
	switch {
	case hasControl(s):
		return "", errors.New("readers of this format disagree on line ends and tabs: give it raw")
	case quotes != `"` && !strings.Contains(s, "'") && (quotes == "'" || strings.ContainsAny(s, "\\\"$`")):
		return "'" + s + "'", nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s) + `"`, nil
}

func parseEnv(src []byte) (*node, error) {
	sc, err := newScanner(src, envRules)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.spread = true
	return root, sc.lines(func() error { return variable(&sc, root) })
}

// variable reads one line, or several where a quoted value goes over them.
func variable(p *scanner, root *node) error {
	start := p.pos
	name := envName(p)
	if name == "export" && isBlank(p.peek()) {
		p.skipBlanks()
		name = envName(p)
	}
	if name == "" {
		return p.errorf(p.pos, "expected the name of a variable, got %s", p.what())
	}
	keyEnd := p.pos
	if p.skipBlanks(); p.atLineEnd() {
		return nil
	}
	if p.peek() != '=' {
		return p.errorf(p.pos, "expected '=' after a name, got %s", p.what())
	}
	p.pos++
	p.skipBlanks()
	val, err := envValue(p)
	if err != nil {
		return err
	}
	root.put(name, val, start)
	root.last, root.lastKey, root.keyEnd = p.pos, start, keyEnd
	p.skipLine()
	return nil
}

func envName(p *scanner) string {
	start := p.pos
	for isWord(p.peek()) || p.peek() == '.' {
		p.pos++
	}
	return string(p.src[start:p.pos])
}

// envValue reads a value between quotes with at most a comment after it, or one up to the end of the line or a comment.
func envValue(p *scanner) (*node, error) {
	start := p.pos
	if c := p.peek(); c == '"' || c == '\'' {
		n, err := p.quoted()
		if err != nil {
			return nil, err
		}
		end := p.pos
		if p.skipBlanks(); p.atLineEnd() || p.peek() == '#' && p.pos > end {
			if c == '"' {
				n.refer(string(p.src[start+1 : end-1]))
			}
			p.pos = end
			return n, nil
		}
	}
	p.pos = start
	end := start
	for ; !p.atLineEnd() && (p.peek() != '#' || p.pos > start && !isBlank(p.src[p.pos-1])); p.pos++ {
		if !isBlank(p.peek()) {
			end = p.pos + 1
		}
	}
	p.pos = end
	n := &node{from: start, to: end, text: string(p.src[start:end])}
	n.refer(n.text)
	return n, nil
}

// refer makes a value with variables in it a reference.
func (n *node) refer(text string) {
	var pieces []*node
	plain := func(s string) {
		if s = strings.ReplaceAll(s, `\$`, "$"); s != "" {
			pieces = append(pieces, &node{text: s})
		}
	}
	rest, found := text, false
	for at := 0; ; {
		i := strings.IndexByte(rest[at:], '$')
		if i < 0 {
			break
		}
		if i += at; i > 0 && rest[i-1] == '\\' {
			at = i + 1
			continue
		}
		name, after := envReference(rest[i+1:])
		if name == "" {
			at = i + 1
			continue
		}
		plain(rest[:i])
		pieces = append(pieces, &node{kind: kindOther, ref: &reference{path: []string{name}, name: name}})
		rest, at, found = after, 0, true
	}
	if found {
		plain(rest)
		n.kind, n.ref = kindOther, &reference{pieces: pieces}
	}
}

// envReference reads the name after a $, and returns what follows.
func envReference(s string) (name, after string) {
	inner, braced := strings.CutPrefix(s, "{")
	end := 0
	for end < len(inner) && (isWord(inner[end]) && inner[end] != '-') {
		end++
	}
	name, after = inner[:end], inner[end:]
	if name == "" || isDigit(name[0]) {
		return "", s
	}
	if !braced {
		return name, after
	}
	i := strings.IndexByte(after, '}')
	if i < 0 {
		return "", s
	}
	return name + after[:i], after[i+1:] // with what is done to it, which no variable is called
}

func addEnv(src []byte, _ *node, path []string, value string) (patch, error) {
	if name := path[0]; !allWord(strings.ReplaceAll(name, ".", "_")) {
		return patch{}, errors.New("it can't be added: this is no name of a variable")
	}
	return appendLines(src, path[0]+"="+value), nil
}
