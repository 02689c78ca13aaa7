package confedit

import (
	"strings"
	"unicode/utf8"
)

// rules are the lexical rules of a dialect: what the scanner needs to read its white space, comments, strings and lists.
type rules struct {
	space   string              // the runes that are white space between members, line ends included
	comment func(*scanner) bool // passes a comment when one comes next; nil where the dialect has none

	newline   bool // a line end parts members too, where no comma does
	semicolon bool // a semicolon parts the members of a table, too
	late      bool // the comma may stand on a later line than the member before it
	trailing  bool // a comma may follow the last member
	cr        bool // a carriage return alone ends a line

	endComment bool // a comment may stand behind the arguments of a directive

	escapes   *escapes // of strings between double quotes
	multiline bool     // strings may go over several lines
}

// commentBy returns a rule for comments that start with a byte of the set and end with the line.
func commentBy(set string) func(*scanner) bool {
	return func(s *scanner) bool {
		if s.eof() || strings.IndexByte(set, s.peek()) < 0 {
			return false
		}
		s.skipLine()
		return true
	}
}

// spaceWidth is the length of the white space rune that comes next; 0 when none does.
func (s *scanner) spaceWidth() int {
	c := s.peek()
	if c < utf8.RuneSelf {
		if c != 0 && strings.IndexByte(s.rules.space, c) >= 0 || c == '\r' && s.atLineEnd() {
			return 1
		}
		return 0
	}
	if r, width := utf8.DecodeRune(s.src[s.pos:]); r != utf8.RuneError && strings.ContainsRune(s.rules.space, r) {
		return width
	}
	return 0
}

// skipSpace passes white space, line ends and comments.
func (s *scanner) skipSpace() {
	for s.skipSpaces(); s.rules.comment != nil && s.rules.comment(s); s.skipSpaces() {
	}
}

// skipSpaces passes white space and line ends.
func (s *scanner) skipSpaces() {
	for w := s.spaceWidth(); w > 0; w = s.spaceWidth() {
		s.pos += w
	}
}

// end passes white space and expects the end of the file.
func (s *scanner) end() error {
	if s.skipSpace(); !s.eof() {
		return s.errorf(s.pos, "expected the end of the file, got %s", s.what())
	}
	return nil
}

// lines calls item at the start of each line that is neither empty nor a comment; item passes the whole line.
func (s *scanner) lines(item func() error) error {
	for s.skipSpace(); !s.eof(); s.skipSpace() {
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// list reads the members of a table or the elements of an array, each by a call of item, up to and including the closing
// byte: zero stands for the end of the file. The scanner is behind the opening byte.
func (s *scanner) list(n *node, closing byte, item func(*node) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	for parted := true; ; {
		s.skipSpace()
		if s.peek() == closing && (n.comma == 0 || s.rules.trailing) {
			if closing != 0 {
				s.pos++
				n.to = s.pos
			}
			return nil
		}
		if s.eof() {
			return s.errorf(n.from, "this is not closed: %q", s.src[n.from])
		}
		if !parted {
			return s.errorf(s.pos, "expected the next member or the end, got %s", s.what())
		}
		start := s.pos
		if err := item(n); err != nil {
			return err
		}
		n.last, n.lastKey, n.comma = s.pos, start, 0
		parted = s.separator(n)
	}
}

// element adds an element to an array that list reads.
func element(value func() (*node, error)) func(*node) error {
	return func(n *node) error {
		child, err := value()
		if err == nil {
			child.spans = []span{{child.from, child.to}}
			n.children = append(n.children, child)
		}
		return err
	}
}

// array reads an array between brackets.
func (s *scanner) array(value func() (*node, error)) (*node, error) {
	n := &node{kind: kindArray, from: s.pos}
	s.pos++
	return n, s.list(n, ']', element(value))
}

// table reads a table between braces.
func (s *scanner) table(member func(*node) error) (*node, error) {
	n := newTable(s.pos, s.pos)
	n.origin = originInline
	s.pos++
	return n, s.list(n, '}', member)
}

// separator passes what parts a member from the next; false when nothing does.
func (s *scanner) separator(n *node) bool {
	if !s.rules.newline {
		s.skipSpace()
		return comma(s, n)
	}
	if s.skipBlanks(); comma(s, n) {
		return true
	}
	parted := s.atLineEnd() || s.rules.cr && s.peek() == '\r' || s.rules.comment(s)
	if parted && s.rules.late {
		s.skipSpace()
		comma(s, n)
	}
	return parted
}

func comma(s *scanner, n *node) bool {
	c := s.peek()
	if c != ',' && (c != ';' || !s.rules.semicolon || n.kind != kindTable) {
		return false
	}
	n.comma = s.pos
	s.pos++
	return true
}
