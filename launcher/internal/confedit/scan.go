package confedit

import (
	"bytes"
	"fmt"
	"strings"
)

const bom = "\xef\xbb\xbf"

// scanner walks over a file; how it reads what dialects have in common is in rules.go. At the end it reads zero bytes,
// which no accepted file holds.
type scanner struct {
	src   []byte
	rules *rules
	pos   int
	depth int
}

func newScanner(src []byte, r *rules) (scanner, error) {
	s := scanner{src: src, rules: r}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		return s, syntaxErr(src, i, "a zero byte: this is not a text file")
	}
	if bytes.HasPrefix(src, []byte(bom)) {
		s.pos = len(bom)
	}
	return s, nil
}

func syntaxErr(src []byte, at int, format string, args ...any) error {
	return &SyntaxError{Line: lineOf(src, min(at, len(src))), Msg: fmt.Sprintf(format, args...)}
}

func (s *scanner) errorf(at int, format string, args ...any) error {
	return syntaxErr(s.src, at, format, args...)
}

func (s *scanner) eof() bool { return s.pos >= len(s.src) }

func (s *scanner) peek() byte { return s.at(0) }

func (s *scanner) at(ahead int) byte {
	if s.pos+ahead >= len(s.src) {
		return 0
	}
	return s.src[s.pos+ahead]
}

func (s *scanner) has(prefix string) bool {
	return strings.HasPrefix(string(s.src[s.pos:min(len(s.src), s.pos+len(prefix))]), prefix)
}

// skipBlanks passes spaces and tabs.
func (s *scanner) skipBlanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// skip passes the bytes of the set.
func (s *scanner) skip(set string) {
	for !s.eof() && strings.IndexByte(set, s.peek()) >= 0 {
		s.pos++
	}
}

// atLineEnd tells whether a line end or the end of the file comes next.
func (s *scanner) atLineEnd() bool {
	return s.eof() || s.peek() == '\n' || s.peek() == '\r' && (s.at(1) == '\n' || s.pos+1 == len(s.src))
}

// skipLine passes the rest of the line, its line end not included.
func (s *scanner) skipLine() { s.pos = lineEnd(s.src, s.pos) }

// what describes the next byte for a message.
func (s *scanner) what() string {
	if s.eof() {
		return "the end of the file"
	}
	if s.atLineEnd() {
		return "the end of the line"
	}
	r := []rune(string(s.src[s.pos:min(len(s.src), s.pos+4)]))
	return fmt.Sprintf("%q", r[0])
}

// enter counts one level of nesting; leave takes it back.
func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.errorf(s.pos, "more than %d nested values", maxDepth)
	}
	return nil
}

func (s *scanner) leave() { s.depth-- }
