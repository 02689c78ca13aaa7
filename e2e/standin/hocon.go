package main

import (
	"fmt"
	"strconv"
	"strings"
)

// object is a HOCON object; a value is an object, a []any, or a string (every scalar).
type object map[string]any

// parseHOCON reads the part of HOCON that EMQX's own files use: objects, dotted and quoted keys, lists, quoted and bare
// values, comments. The last of equal keys wins, objects merge. Includes, substitutions and += are refused.
func parseHOCON(file, text string) (object, error) {
	p := &hocon{file: file, text: text}
	root := object{}
	braced := false
	if p.skip(true); p.take('{') {
		braced = true
	}
	if err := p.fields(root, braced); err != nil {
		return nil, err
	}
	p.skip(true)
	if !p.end() {
		return nil, p.fail("unexpected %q", p.peek())
	}
	return root, nil
}

// parseValue reads one value, as an environment variable holds it.
func parseValue(name, text string) (any, error) {
	p := &hocon{file: name, text: text}
	p.skip(true)
	if c := p.peek(); c != '[' && c != '{' && c != '"' {
		return strings.TrimSpace(text), nil
	}
	return p.value()
}

type hocon struct {
	file string
	text string
	at   int
}

func (p *hocon) end() bool { return p.at >= len(p.text) }

func (p *hocon) peek() byte {
	if p.end() {
		return 0
	}
	return p.text[p.at]
}

func (p *hocon) take(c byte) bool {
	if p.end() || p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *hocon) fail(format string, args ...any) error {
	line := 1 + strings.Count(p.text[:min(p.at, len(p.text))], "\n")
	return fmt.Errorf("read %s: line %d: %s", p.file, line, fmt.Sprintf(format, args...))
}

// skip passes blanks and comments, and line ends and commas too when it is told to.
func (p *hocon) skip(lines bool) {
	for !p.end() {
		switch c := p.peek(); {
		case c == ' ' || c == '\t' || c == '\r':
			p.at++
		case lines && (c == '\n' || c == ','):
			p.at++
		case c == '#' || strings.HasPrefix(p.text[p.at:], "//"):
			for !p.end() && p.peek() != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

func (p *hocon) fields(into object, braced bool) error {
	for {
		p.skip(true)
		if p.end() {
			if braced {
				return p.fail("a brace is not closed")
			}
			return nil
		}
		if p.peek() == '}' {
			if !braced {
				return p.fail("unexpected '}'")
			}
			p.at++
			return nil
		}
		if err := p.field(into); err != nil {
			return err
		}
	}
}

func (p *hocon) field(into object) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	p.skip(true)
	if p.peek() != '{' && !p.take('=') && !p.take(':') {
		return p.fail("want '=' or '{' after %q", strings.Join(path, "."))
	}
	p.skip(true)
	value, err := p.value()
	if err != nil {
		return err
	}
	set(into, path, value)
	return nil
}

func (p *hocon) path() ([]string, error) {
	var path []string
	for {
		part, err := p.key()
		if err != nil {
			return nil, err
		}
		path = append(path, part)
		p.skip(false)
		if !p.take('.') {
			return path, nil
		}
		p.skip(false)
	}
}

func (p *hocon) key() (string, error) {
	if p.peek() == '"' {
		return p.quoted()
	}
	start := p.at
	for !p.end() && !strings.ContainsRune(" \t\r\n.=:{}[],+#\"$", rune(p.peek())) {
		p.at++
	}
	if p.at == start {
		return "", p.fail("want a key, got %q", p.peek())
	}
	return p.text[start:p.at], nil
}

func (p *hocon) value() (any, error) {
	switch {
	case p.take('{'):
		inner := object{}
		return inner, p.fields(inner, true)
	case p.take('['):
		return p.list()
	case p.peek() == '"':
		return p.quoted()
	}
	start := p.at
	for !p.end() && !strings.ContainsRune("\n,}]#", rune(p.peek())) {
		p.at++
	}
	text := strings.TrimSpace(p.text[start:p.at])
	if text == "" || strings.ContainsAny(text, "{[$\"") {
		return nil, p.fail("want a value, got %q", text)
	}
	return text, nil
}

func (p *hocon) list() (any, error) {
	items := []any{}
	for {
		p.skip(true)
		if p.end() {
			return nil, p.fail("a bracket is not closed")
		}
		if p.take(']') {
			return items, nil
		}
		item, err := p.value()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

func (p *hocon) quoted() (string, error) {
	if rest, ok := strings.CutPrefix(p.text[p.at:], `"""`); ok {
		length := strings.Index(rest, `"""`)
		if length < 0 {
			return "", p.fail("a string is not closed")
		}
		p.at += length + 6
		return rest[:length], nil
	}
	literal, err := strconv.QuotedPrefix(p.text[p.at:])
	if err != nil {
		return "", p.fail("a string is not closed")
	}
	p.at += len(literal)
	return strconv.Unquote(literal)
}

// set puts a value at a path; objects merge, everything else is replaced.
func set(into object, path []string, value any) {
	for _, part := range path[:len(path)-1] {
		next, ok := into[part].(object)
		if !ok {
			next = object{}
			into[part] = next
		}
		into = next
	}
	last := path[len(path)-1]
	old, both := into[last].(object)
	fresh, isObject := value.(object)
	if !both || !isObject {
		into[last] = value
		return
	}
	for key, item := range fresh {
		set(old, []string{key}, item)
	}
}

// at finds what a dotted path leads to; nil when it leads nowhere.
func (o object) at(path string) any {
	var value any = o
	for part := range strings.SplitSeq(path, ".") {
		inner, ok := value.(object)
		if !ok {
			return nil
		}
		value = inner[part]
	}
	return value
}

// text is the scalar at a path, or the default of the schema.
func (o object) text(path, otherwise string) string {
	if value, ok := o.at(path).(string); ok {
		return value
	}
	return otherwise
}
