package confedit

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted reads a string. Escapes count between double quotes only.
func (s *scanner) quoted() (*node, error) {
	start, q := s.pos, s.peek()
	s.pos++
	var b strings.Builder
	for {
		switch c := s.peek(); {
		case c == q:
			s.pos++
			return &node{kind: kindString, from: start, to: s.pos, text: b.String(), quote: string(q)}, nil
		case s.eof() || c < ' ' && c != '\t' && !s.rules.multiline:
			return nil, s.errorf(start, "a string is not closed")
		case c == '\\' && q == '"':
			if err := s.escape(&b); err != nil {
				return nil, err
			}
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
}

// escape reads the escape sequence whose backslash comes next.
func (s *scanner) escape(b *strings.Builder) error {
	e, start, c := s.rules.escapes, s.pos, s.at(1)
	s.pos += 2
	if i := strings.IndexByte(e.letters, c); i >= 0 && c != 0 {
		b.WriteRune(e.runes[i])
		return nil
	}
	code, ok := rune(0), false
	if c != 0 && strings.IndexByte(e.hex, c) >= 0 {
		code, ok = hexDigits(s, map[byte]int{'x': 2, 'u': 4, 'U': 8}[c])
	}
	switch {
	case !ok && e.lenient && c != 0:
		b.WriteByte(c)
	case !ok:
		return s.errorf(start, "an unknown escape in a string")
	case c == 'x' && e.bytes:
		b.WriteByte(byte(code))
	case e.pairs && utf16.IsSurrogate(code):
		b.WriteRune(surrogates(s, code))
	case !utf8.ValidRune(code):
		return s.errorf(start, "an escape in a string is no character")
	default:
		b.WriteRune(code)
	}
	return nil
}

// surrogates is the rune of a first surrogate and of the second one in the escape that comes next; U+FFFD for any other.
func surrogates(s *scanner, first rune) rune {
	start := s.pos
	if s.has(`\u`) {
		s.pos += 2
		if second, ok := hexDigits(s, 4); ok {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r
			}
		}
	}
	s.pos = start
	return utf8.RuneError
}

// hexDigits reads a number of so many hexadecimal digits, and nothing when others come next.
func hexDigits(s *scanner, width int) (rune, bool) {
	if s.pos+width > len(s.src) {
		return 0, false
	}
	code, err := strconv.ParseUint(string(s.src[s.pos:s.pos+width]), 16, 32)
	if err != nil || code > utf8.MaxRune {
		return utf8.MaxRune + 1, err == nil
	}
	s.pos += width
	return rune(code), true
}

// bare reads a text without quotes up to a byte of the set, and tells by kindOf what it is.
func (s *scanner) bare(stop string, kindOf func(string) (kind, bool)) (*node, error) {
	start := s.pos
	for !s.eof() && strings.IndexByte(stop, s.peek()) < 0 {
		s.pos++
	}
	text := string(s.src[start:s.pos])
	k, ok := kindOf(text)
	if text == "" {
		return nil, s.errorf(start, "expected a value, got %s", s.what())
	}
	if !ok {
		return nil, s.errorf(start, "%.40q is no value", text)
	}
	return &node{kind: k, from: start, to: s.pos, text: text}, nil
}

// jsonEscapes are those of JSON, and of what takes its strings over.
var jsonEscapes = &escapes{letters: `"\/bfnrt`, runes: []rune("\"\\/\b\f\n\r\t"), hex: "u", pairs: true}

// escapes are the escape sequences of strings: a backslash and a letter.
type escapes struct {
	letters string // which stand for one rune each
	runes   []rune // that rune, for each letter
	hex     string // of x, u, U: the letters before 2, 4, 8 hexadecimal digits
	bytes   bool   // x gives a byte, not a rune
	pairs   bool   // two surrogates are one rune, and a lone one is U+FFFD; else they are errors
	lenient bool   // any other byte after a backslash stands for itself
}
