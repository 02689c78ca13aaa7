package confedit

import (
	"errors"
	"strconv"
	"strings"
)

// directivesSyntax is a directive and its arguments, a line each: `port 6379`, `save 900 1`, `requirepass "a b"`. Arguments
// may be quoted; a # starts a comment only at the start of a line. Names of directives ignore case.
//
// A directive with one argument has that argument as its value, unquoted; one with several has them as they are written.
// A new text is one argument, quoted where it must be, unless it replaces several, or is raw.
//
// A directive that stands several times is listed as `save.0`, `save.1`, …, and can be set so, also to add the next one;
// `save` alone is the last, which is the one that wins.
func directivesSyntax() syntax {
	return syntax{
		rules: directiveRules,
		parse: func(src []byte) (*node, error) { return parseDirectives(src, directiveRules) },
		path:  directivePath,
		key:   func(path []string) string { return strings.Join(path, ".") },
		find:  findDirective,
		bare:  func(s string) (kind, bool) { return kindString, bareArgument(s) },
		quote: quoteArgument,
		add:   addDirective,
		plain: true,

		workingDir: true,
	}
}

// keyValueSyntax is directivesSyntax with comments behind arguments, too.
func keyValueSyntax() syntax {
	s := directivesSyntax()
	s.rules = keyValueRules
	s.parse = func(src []byte) (*node, error) { return parseDirectives(src, keyValueRules) }
	s.bare = func(s string) (kind, bool) { return kindString, bareArgument(s) && s[0] != '#' }
	return s
}

const (
	severalArguments = " "         // the quote of a node that holds several
	argumentSpace    = " \t\v\f\r" // what parts arguments
)

var directiveRules = &rules{
	space:   argumentSpace + "\n",
	comment: commentBy("#"),
	escapes: &escapes{letters: "nrtba", runes: []rune("\n\r\t\b\a"), hex: "x", bytes: true, lenient: true},
}

var keyValueRules = func() *rules {
	r := *directiveRules
	r.endComment = true
	return &r
}()

func isArgumentSpace(c byte) bool { return c != 0 && strings.IndexByte(argumentSpace, c) >= 0 }

func bareArgument(s string) bool {
	return s != "" && !hasControl(s) && !strings.ContainsAny(s, " \"'\\")
}

func quoteArgument(s, quotes string) (string, error) {
	if quotes == severalArguments {
		several := !strings.ContainsAny(s, "\r\n") && s == strings.TrimSpace(s) && argumentsIn(s) > 1
		if several || bareArgument(s) {
			return s, nil
		}
	}
	if quotes == "'" && !hasControl(s) && !strings.Contains(s, `\`) {
		return "'" + strings.ReplaceAll(s, "'", `\'`) + "'", nil
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			b.WriteString(`\x` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

// argumentsIn counts the arguments in a text without line ends; 0 when they are malformed.
func argumentsIn(s string) int {
	sc := scanner{src: []byte(s), rules: directiveRules}
	n := 0
	for sc.skip(argumentSpace); !sc.eof(); sc.skip(argumentSpace) {
		if _, err := argument(&sc); err != nil {
			return 0
		}
		n++
	}
	return n
}

func parseDirectives(src []byte, r *rules) (*node, error) {
	sc, err := newScanner(src, r)
	if err != nil {
		return nil, err
	}
	root := newTable(len(src), len(src))
	root.spread = true
	return root, sc.lines(func() error { return directive(&sc, root) })
}

func directive(p *scanner, root *node) error {
	name, err := argument(p)
	if err != nil {
		return err
	}
	if name.text == "" {
		return p.errorf(name.from, "a line without a directive")
	}
	val := &node{from: p.pos, to: p.pos, lead: " "}
	for n := 0; ; n++ {
		p.skip(argumentSpace)
		if p.atLineEnd() || p.rules.endComment && p.peek() == '#' {
			break
		}
		arg, err := argument(p)
		if err != nil {
			return err
		}
		if n == 0 {
			val.from, val.text, val.quote = arg.from, arg.text, arg.quote
		} else {
			val.quote = severalArguments
		}
		val.to = arg.to
		if strings.EqualFold(name.text, "include") {
			root.includes = append(root.includes, include{Include: Include{Path: arg.text}, at: name.from})
		}
	}
	if val.quote == severalArguments {
		val.text = string(p.src[val.from:val.to])
	}
	val.spans = []span{{name.from, val.to}}
	p.skipLine()
	key := strings.ToLower(name.text)
	root.repeat(key, val)
	return nil
}

// argument reads one argument; quotes may start anywhere in it, and must be followed by white space.
func argument(p *scanner) (*node, error) {
	n := &node{from: p.pos}
	var b strings.Builder
	for !p.atLineEnd() && !isArgumentSpace(p.peek()) {
		c := p.peek()
		if c != '"' && c != '\'' {
			b.WriteByte(c)
			p.pos++
			continue
		}
		start := p.pos
		if start == n.from {
			n.quote = string(c)
		}
		for p.pos++; p.peek() != c; {
			if p.atLineEnd() {
				return nil, p.errorf(start, "a quote is not closed")
			}
			if err := argumentByte(p, c, &b); err != nil {
				return nil, err
			}
		}
		p.pos++
		if !p.atLineEnd() && !isArgumentSpace(p.peek()) {
			return nil, p.errorf(start, "expected white space after a closing quote, got %s", p.what())
		}
	}
	n.to, n.text = p.pos, b.String()
	return n, nil
}

// argumentByte reads the next byte of a quoted argument, or an escape.
func argumentByte(p *scanner, quote byte, b *strings.Builder) error {
	c, next := p.peek(), p.at(1)
	if c == '\\' && quote == '"' && next != 0 && next != '\n' && next != '\r' {
		return p.escape(b)
	}
	if c == '\\' && quote == '\'' && next == '\'' {
		c = next
		p.pos++
	}
	b.WriteByte(c)
	p.pos++
	return nil
}

// directivePath takes a number at the end of a key for an index, unless a directive is called so.
func directivePath(root *node, key string) ([]string, error) {
	if key == "" {
		return nil, errors.New("the key is empty")
	}
	key = strings.ToLower(key)
	if i := indexOfDirective(key); i > 0 && root.child(key) == nil {
		return []string{key[:i], key[i+1:]}, nil
	}
	return []string{key}, nil
}

// indexOfDirective returns where the dot before the number is that a key ends with; 0 or less when it ends with none.
func indexOfDirective(key string) int {
	i := strings.LastIndexByte(key, '.')
	if i+1 == len(key) || digits(key[i+1:]) < len(key)-i-1 {
		return -1
	}
	return i
}

func findDirective(root *node, path []string) *node {
	n := root.child(path[0])
	switch {
	case n == nil || len(path) == 1 && n.kind != kindArray:
		return n
	case len(path) == 1:
		return n.children[len(n.children)-1]
	case n.kind != kindArray && path[1] == "0":
		return n
	}
	return n.child(path[1])
}

func addDirective(src []byte, root *node, path []string, value string) (patch, error) {
	// One that ends like an index could be taken for a directive that stands several times.
	if !bareArgument(path[0]) || strings.HasPrefix(path[0], "#") || indexOfDirective(path[0]) > 0 {
		return patch{}, errors.New("it can't be added: this is no name of a directive")
	}
	if len(path) == 2 {
		have := 0
		if n := root.child(path[0]); n != nil {
			have = max(1, len(n.children))
		}
		if path[1] != strconv.Itoa(have) {
			return patch{}, errors.New("it can't be added: the directives before it are missing")
		}
	}
	return appendLines(src, strings.TrimRight(path[0]+" "+value, " ")), nil
}
