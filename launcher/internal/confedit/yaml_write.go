package confedit

import (
	"errors"
	"strings"
)

// yamlKind returns what a bare text is to at least some readers; kindOther where they disagree.
func yamlKind(s string) kind {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n":
		return kindBool
	case "null", "~", "":
		return kindNull
	case ".inf", "+.inf", "-.inf", ".nan":
		return kindNumber
	case "=", "<<":
		return kindOther
	}
	if jsonNumber(strings.TrimPrefix(s, "+")) && !strings.HasPrefix(s, "+-") {
		return kindNumber
	}
	unsigned := strings.TrimLeft(s, "+-")
	if unsigned == "" || !isDigit(unsigned[0]) && unsigned[0] != '.' {
		return kindString
	}
	if strings.Trim(unsigned, "0123456789abcdefABCDEFxXoO_.:+-TtZz ") == "" {
		return kindOther
	}
	return kindString
}

// bareYAML accepts what is a plain text in blocks and between brackets, to readers of YAML 1.1 and 1.2.
func bareYAML(s string) (kind, bool) {
	k := yamlKind(s)
	if s == "" || !isWord(s[0]) && strings.IndexByte("/.~+", s[0]) < 0 || s[0] == '-' && k == kindString {
		return k, false
	}
	if s[len(s)-1] == ' ' || s[len(s)-1] == ':' || strings.Contains(s, ": ") || strings.HasPrefix(s, "...") || strings.HasPrefix(s, "---") {
		return k, false
	}
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && strings.IndexByte("./@:+~=%$ ", s[i]) < 0 {
			return k, false
		}
	}
	return k, true
}

func quoteYAML(s, quotes string) (string, error) {
	if quotes == "'" && !hasControl(s) && strings.IndexFunc(s, func(r rune) bool { return r >= 0x7f }) < 0 {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
	}
	return quoteJSON(s), nil
}

func addYAML(src []byte, root *node, path []string, value string) (patch, error) {
	way := descend(root, path, (*node).child)
	depth := len(way) - 1
	n, rest := way[depth], path[depth:]
	column := -1
	switch {
	case n.kind == kindNull && n.from == n.to && depth > 0 && way[depth-1].kind == kindTable:
		if in := way[depth-1]; in.origin != originInline {
			column = in.indent + unitYAML(root)
		}
	case n.kind == kindTable && n.spread:
		return patch{}, errors.New("it can't be added: the pair has no braces around it")
	case n.kind == kindTable && n.origin == originInline:
	case n.kind == kindTable:
		column = n.indent
	default:
		if err := canAdd(way, path); err != nil {
			return patch{}, err
		}
	}
	if column < 0 {
		names := make([]string, len(rest))
		for i, name := range rest {
			names[i] = keyYAML(name)
		}
		member := nested(names, ": ", value, ": {", "}")
		if n.kind == kindNull {
			return patch{n.from, n.to, n.lead + "{" + member + "}"}, nil
		}
		return brackets{commas: true, unit: "  "}.addInside(src, n, member), nil
	}
	lines := make([]string, len(rest))
	for i, name := range rest {
		lines[i] = strings.Repeat(" ", column+i*unitYAML(root)) + keyYAML(name) + ":"
	}
	lines[len(rest)-1] += " " + value
	return insertLines(src, n.to, lines...), nil
}

// unitYAML is by how many columns the file indents a block.
func unitYAML(root *node) int {
	for _, child := range root.children {
		if child.kind == kindTable && child.indent > root.indent {
			return child.indent - root.indent
		}
	}
	return 2
}

func keyYAML(name string) string {
	if k, ok := bareYAML(name); ok && k == kindString && !strings.Contains(name, ":") {
		return name
	}
	return quoteJSON(name)
}
