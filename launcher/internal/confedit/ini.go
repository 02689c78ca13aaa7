package confedit

import (
	"bytes"
	"errors"
	"strings"
)

// iniSyntax is `key = value` in `[sections]`. `:` parts key and value too; a line that starts with # or ; is a comment,
// and so is what follows one of them with white space before it. Values may stand between quotes, in which nothing is
// escaped. A section may stand several times; of keys the last wins. An exact match is preferred, but case is no
// difference.
//
// In a key, everything before the last dot is the section, unless the file has it otherwise or quotes say so:
// `"remote.origin".url`.
func iniSyntax() syntax {
	return syntax{
		rules: iniRules,
		parse: parseINI,
		path:  iniPath,
		key:   joinPath,
		find:  findFold,
		bare:  func(s string) (kind, bool) { return kindString, bareINI(s) },
		quote: quoteINI,
		add:   addINI,
		plain: true,
	}
}

var iniRules = &rules{space: " \t\r\n", comment: commentBy("#;")}

func bareINI(s string) bool {
	if s == "" || s != strings.TrimSpace(s) || hasControl(s) || strings.HasSuffix(s, `\`) {
		return false
	}
	if strings.ContainsAny(s[:1], "#;\"'=:") {
		return false
	}
	for i := 1; i < len(s); i++ {
		if (s[i] == '#' || s[i] == ';') && isBlank(s[i-1]) {
			return false
		}
	}
	return true
}

func quoteINI(s, quotes string) (string, error) {
	if quotes == "" && s == "" {
		return "", nil
	}
	for _, q := range []string{quotes, `"`, "'"} {
		if q != "" && !hasControl(s) && !strings.Contains(s, q) && !strings.HasSuffix(s, `\`) {
			return q + s + q, nil
		}
	}
	return "", errors.New("this format has no way to write such a text: give it raw")
}

func parseINI(src []byte) (*node, error) {
	sc, err := newScanner(src, iniRules)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.spread = true
	section := root
	return root, sc.lines(func() error {
		if sc.peek() == '[' {
			section, err = iniSection(&sc, root)
			return err
		}
		return iniMember(&sc, section)
	})
}

func iniSection(p *scanner, root *node) (*node, error) {
	start := p.pos
	line := p.src[p.pos:lineEnd(p.src, p.pos)]
	end := bytes.IndexByte(line, ']')
	if end < 0 {
		return nil, p.errorf(start, "a section's name is not closed")
	}
	after := bytes.TrimSpace(line[end+1:])
	if len(after) > 0 && after[0] != '#' && after[0] != ';' {
		return nil, p.errorf(start, "expected the end of the line after a section's name")
	}
	p.skipLine()
	if root.from == len(p.src) {
		root.from, root.to = start, start // the first section: where the keys before any section end
	}
	name := string(bytes.TrimSpace(line[1:end]))
	section := root.child(name)
	if section != nil && section.scalar() {
		return nil, p.errorf(start, "a key and a section are both called %.60q", name)
	}
	if section == nil {
		section = newTable(start, start)
		section.spread = true
		root.replace(name, section)
	}
	section.last, section.lastKey, section.keyEnd = p.pos, start, 0
	section.spans = append(section.spans, span{start, p.pos})
	return section, nil
}

func iniMember(p *scanner, section *node) error {
	start := p.pos
	for !p.atLineEnd() && p.peek() != '=' && p.peek() != ':' {
		if (p.peek() == '#' || p.peek() == ';') && p.pos > start && isBlank(p.src[p.pos-1]) {
			break
		}
		p.pos++
	}
	name := strings.TrimRight(string(p.src[start:p.pos]), " \t\r")
	if name == "" {
		return p.errorf(start, "a line without a key")
	}
	keyEnd := start + len(name)
	val := &node{kind: kindNull, from: keyEnd, to: keyEnd, lead: " = "}
	if p.peek() == '=' || p.peek() == ':' {
		p.pos++
		p.skipBlanks()
		val = iniValue(p)
	}
	p.skipLine()
	if old := section.child(name); old != nil && old.kind == kindTable {
		return p.errorf(start, "a key and a section are both called %.60q", name)
	}
	section.put(name, val, start)
	if word, dir, _ := strings.Cut(name, " "); val.kind == kindNull && (word == "!include" || word == "!includedir") {
		found := include{Include: Include{Path: strings.TrimSpace(dir)}, at: start}
		if word == "!includedir" {
			found.Path = strings.TrimRight(found.Path, "/") + "/*.cnf"
		}
		section.includes = append(section.includes, found)
	}
	section.last, section.lastKey, section.keyEnd = p.pos, start, keyEnd
	return nil
}

func iniValue(p *scanner) *node {
	start, end := p.pos, lineEnd(p.src, p.pos)
	if q := p.peek(); (q == '"' || q == '\'') && start < end {
		if i := bytes.IndexByte(p.src[start+1:end], q); i >= 0 {
			to := start + i + 2
			after := bytes.TrimSpace(p.src[to:end])
			if len(after) == 0 || after[0] == '#' || after[0] == ';' {
				return &node{kind: kindString, from: start, to: to, text: string(p.src[start+1 : to-1]), quote: string(q)}
			}
		}
	}
	for i := start; i < end; i++ {
		if (p.src[i] == '#' || p.src[i] == ';') && (i == start || isBlank(p.src[i-1])) {
			end = i
		}
	}
	text := strings.TrimRight(string(p.src[start:end]), " \t\r\f")
	return &node{kind: kindString, from: start, to: start + len(text), text: text}
}

// iniPath finds out how much of a key is the section.
func iniPath(root *node, key string) ([]string, error) {
	parts, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	for i := len(parts) - 1; i >= 0; i-- {
		path := []string{strings.Join(parts[i:], ".")}
		if i > 0 {
			path = []string{strings.Join(parts[:i], "."), path[0]}
		}
		if n := findFold(root, path); n != nil && n.scalar() {
			return path, nil
		}
	}
	last := len(parts) - 1
	if last == 0 {
		return parts, nil
	}
	return []string{strings.Join(parts[:last], "."), parts[last]}, nil
}

func addINI(src []byte, root *node, path []string, value string) (patch, error) {
	name := path[len(path)-1]
	if name != strings.TrimSpace(name) || name == "" || strings.ContainsAny(name, "=:#;[]\r\n") {
		return patch{}, errors.New("it can't be added: the key holds bytes that this format has a use for")
	}
	in := root
	if len(path) == 2 {
		if strings.ContainsAny(path[0], "#;[]\r\n") || path[0] != strings.TrimSpace(path[0]) {
			return patch{}, errors.New("it can't be added: this is no name of a section")
		}
		in = root.childFold(path[0])
	}
	line := name + iniSeparator(src, in, root) + value
	switch {
	case in == nil:
		return appendBlock(src, "["+path[0]+"]", line), nil
	case in.scalar():
		return patch{}, errHoldsValue
	case in.last == 0:
		return addFirst(src, root.from, line), nil
	}
	indent := ""
	if in.keyEnd > 0 {
		indent = indentAt(src, in.lastKey)
	}
	return insertLines(src, in.last, indent+line), nil
}

// iniSeparator is what stands between key and value in the table, or else in the last section that has any.
func iniSeparator(src []byte, in, root *node) string {
	if sep, ok := separatorAfter(src, in); ok {
		return sep
	}
	for i := len(root.children) - 1; i >= 0; i-- {
		if sep, ok := separatorAfter(src, root.children[i]); ok {
			return sep
		}
	}
	if sep, ok := separatorAfter(src, root); ok {
		return sep
	}
	return " = "
}
