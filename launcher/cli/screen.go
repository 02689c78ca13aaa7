package cli

import (
	"fmt"
	"strings"
	"unicode"
)

// screen is some lines at the end of what a terminal shows, which are replaced by others.
type screen struct {
	widths []int // of the lines that are drawn, in columns
}

// replace returns what must be written so that lines stand in place of those that were drawn before, on a terminal of that size. A
// terminal that has become narrower since has broken long lines into several rows, which go too.
func (s *screen) replace(lines []string, columns, rows int) string {
	up := 0
	for _, w := range s.widths {
		up += max(1, (w+columns-1)/columns)
	}
	var b strings.Builder
	if up = min(up, rows-1); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	if len(s.widths) > 0 {
		b.WriteString("\r\x1b[J")
	}
	s.widths = s.widths[:0]
	for _, l := range lines[:min(len(lines), rows-1)] {
		l = truncate(l, columns-1)
		s.widths = append(s.widths, width(l))
		b.WriteString(l + "\n")
	}
	return b.String()
}

// truncate makes a text fit into so many columns: a line that wraps could not be redrawn.
func truncate(s string, columns int) string {
	s = printable(s)
	if width(s) <= columns {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > columns-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// printable is a text without what would move the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
}

// width is how many columns of a terminal a text takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is how many columns a character takes: none if it is set upon the one before, two if it is one of the wide ones of East
// Asia, or a picture.
func runeWidth(r rune) int {
	switch {
	case r == 0x200d || r >= 0xfe00 && r <= 0xfe0f || unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
