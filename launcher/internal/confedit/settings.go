package confedit

import (
	"errors"
	"strings"
)

// settingsSyntax is `key = 'value'`, a line each, as PostgreSQL reads it: the = may be left out, names don't tell case
// apart, numbers (with a unit or not) and words stand without quotes, everything else between single quotes, in which ”
// is a quote and a backslash escapes. A # outside of quotes starts a comment. Of lines for one key the last wins.
func settingsSyntax() syntax {
	return syntax{
		rules: settingsRules,
		parse: parseSettings,
		path:  func(root *node, key string) ([]string, error) { return wholePath(root, strings.ToLower(key)) },
		key:   func(path []string) string { return path[0] },
		find:  findExact,
		bare:  bareSetting,
		quote: quoteSetting,
		add:   addSetting,
	}
}

var settingsRules = &rules{
	space:   " \t\r\n\f",
	comment: commentBy("#"),
	escapes: &escapes{letters: "bfnrt", runes: []rune("\b\f\n\r\t"), lenient: true},
}

func bareSetting(s string) (kind, bool) {
	switch strings.ToLower(s) {
	case "":
		return kindString, false
	case "on", "off", "true", "false", "yes", "no":
		return kindBool, true
	}
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if jsonNumber(number) {
		return kindNumber, true
	}
	if !isWord(s[0]) || isDigit(s[0]) || s[0] == '-' {
		return kindString, false
	}
	return kindString, allWord(strings.NewReplacer(".", "_", ":", "_", "/", "_").Replace(s))
}

func quoteSetting(s, _ string) (string, error) {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`).Replace(s) + "'", nil
}

func parseSettings(src []byte) (*node, error) {
	sc, err := newScanner(src, settingsRules)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.spread = true
	return root, sc.lines(func() error { return setting(&sc, root) })
}

func setting(p *scanner, root *node) error {
	start := p.pos
	for isWord(p.peek()) || p.peek() == '.' || p.peek() == '$' || p.peek() >= 0x80 {
		p.pos++
	}
	name := string(p.src[start:p.pos])
	if name == "" {
		return p.errorf(start, "expected a key, got %s", p.what())
	}
	keyEnd := p.pos
	if p.skipBlanks(); p.peek() == '=' {
		p.pos++
		p.skipBlanks()
	}
	val, err := settingValue(p)
	if err != nil {
		return err
	}
	root.includes = append(root.includes, includeOf(name, val.text, start)...)
	root.put(strings.ToLower(name), val, start)
	root.last, root.lastKey, root.keyEnd = p.pos, start, keyEnd
	if p.skip(" \t\f"); !p.atLineEnd() && p.peek() != '#' {
		return p.errorf(p.pos, "expected the end of the line, got %s", p.what())
	}
	p.skipLine()
	return nil
}

// includeOf is the include that a line is, if it is one.
func includeOf(name, value string, at int) []include {
	switch strings.ToLower(name) {
	case "include":
		return []include{{Include: Include{Path: value}, at: at}}
	case "include_if_exists":
		return []include{{Include: Include{Path: value, Optional: true}, at: at}}
	case "include_dir":
		return []include{{Include: Include{Path: strings.TrimRight(value, "/") + "/*.conf"}, at: at}}
	}
	return nil
}

func settingValue(p *scanner) (*node, error) {
	if p.peek() != '\'' {
		return p.bare(" \t\r\n\f#'", func(s string) (kind, bool) {
			k, ok := bareSetting(s)
			return k, ok || !hasControl(s)
		})
	}
	start := p.pos
	var b strings.Builder
	for p.pos++; ; {
		switch c := p.peek(); {
		case p.atLineEnd():
			return nil, p.errorf(start, "a string is not closed")
		case c == '\'' && p.at(1) == '\'':
			b.WriteByte(c)
			p.pos += 2
		case c == '\'':
			p.pos++
			return &node{from: start, to: p.pos, text: b.String(), quote: "'"}, nil
		case c == '\\' && p.at(1) != '\n' && p.at(1) != '\r':
			if err := p.escape(&b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
}

func addSetting(src []byte, root *node, path []string, value string) (patch, error) {
	if !allWord(strings.ReplaceAll(path[0], ".", "_")) {
		return patch{}, errors.New("it can't be added: the key holds bytes that this format has a use for")
	}
	sep, ok := separatorAfter(src, root)
	if !ok {
		sep = " = "
	}
	return appendLines(src, path[0]+sep+value), nil
}
