package confedit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// syntax is what confedit knows of one format.
type syntax struct {
	// parse returns the tree of positions, or a *SyntaxError.
	parse func(src []byte) (*node, error)
	// path reads the key of an Edit; key writes one for an Entry.
	path func(root *node, key string) ([]string, error)
	key  func(path []string) string
	// find returns the value that is in effect, nil when there is none.
	find func(root *node, path []string) *node
	// bare returns the kind as which a text would be read back if it stood there bare; false if not as that text.
	bare func(text string) (kind, bool)
	// quote writes a text as a quoted string, between the given quotes where that can be.
	quote func(text, quotes string) (string, error)
	// add returns the patch that adds a missing key with a value that is written already.
	add func(src []byte, root *node, path []string, value string) (patch, error)
	// lastTable says that of tables of one name the last counts alone; else they merge.
	lastTable bool
	// workingDir says that the path of an include starts at the server's working directory, not at the file's.
	workingDir bool
	// indented says that blocks are marked by indentation, and an empty one must stand in brackets.
	indented bool
	// flat says that one name may stand for several segments of a key: `a.b: 1`.
	flat bool
	// rules are those of the scanner.
	rules *rules
	// plain says that a string that may stand bare is written so.
	plain bool
}

// syntaxFor returns the syntax of a dialect, as names.txt calls it.
func syntaxFor(dialect string) (syntax, bool) {
	switch dialect {
	case "toml":
		return tomlSyntax(), true
	case "properties":
		return propertiesSyntax(), true
	case "blocks":
		return blocksSyntax(), true
	case "hocon":
		return hoconSyntax(), true
	case "directives":
		return directivesSyntax(), true
	case "ini":
		return iniSyntax(), true
	case "keyvalue":
		return keyValueSyntax(), true
	case "env":
		return envSyntax(), true
	case "settings":
		return settingsSyntax(), true
	case "xml":
		return xmlSyntax(), true
	case "hcl":
		return hclSyntax(), true
	case "json":
		return jsonSyntax(), true
	case "yaml":
		return yamlSyntax(), true
	}
	return syntax{}, false
}

// encode writes value in the kind of the old one where it fits (see Edit.Value). old is nil for a missing key.
func (s syntax) encode(old *node, value string) (string, error) {
	k, ok := s.bare(value)
	if old != nil {
		switch old.kind {
		case kindString:
			if ok && old.quote == "" && k == kindString {
				return value, nil
			}
			return s.quote(value, old.quote)
		case kindNumber, kindBool, kindOther:
			if ok && k == old.kind {
				return value, nil
			}
		}
	}
	if ok && (k == kindNumber && plainNumber(value) || k == kindBool && (value == "true" || value == "false")) {
		return value, nil
	}
	if ok && s.plain && k == kindString {
		return value, nil
	}
	return s.quote(value, "")
}

// plainNumber accepts what every format reads as the same integer or float.
func plainNumber(s string) bool {
	if !jsonNumber(s) || strings.ContainsAny(s, "eE") {
		return false
	}
	if strings.Contains(s, ".") {
		return true
	}
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// jsonNumber is the strictest of the grammars of numbers.
func jsonNumber(s string) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	whole := digits(s[i:])
	if whole == 0 || whole > 1 && s[i] == '0' {
		return false
	}
	i += whole
	if i < len(s) && s[i] == '.' {
		n := digits(s[i+1:])
		if n == 0 {
			return false
		}
		i += 1 + n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		n := digits(s[i:])
		if n == 0 {
			return false
		}
		i += n
	}
	return i == len(s)
}

// digits counts the decimal digits that s starts with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord reports the bytes that names and keys may hold in every format without quotes.
func isWord(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
}

func allWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) {
			return false
		}
	}
	return s != ""
}

// hasControl reports whether s holds a byte that no line of text should: line ends, tabs and their like.
func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// quoteJSON writes s as a JSON string, which TOML, YAML and HOCON read in the same way.
func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

var errHoldsValue = errors.New("it can't be added: a part of the key holds a plain value")
