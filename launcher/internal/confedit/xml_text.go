package confedit

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlComment passes a comment, an instruction or a document type.
func xmlComment(s *scanner) bool {
	for _, c := range [][2]string{{"<!--", "-->"}, {"<?", "?>"}, {"<!DOCTYPE", ">"}} {
		if !s.has(c[0]) {
			continue
		}
		rest := s.src[s.pos:]
		end := bytes.Index(rest, []byte(c[1]))
		if end > 0 && c[1] == ">" && bytes.IndexByte(rest[:end], '[') >= 0 {
			c[1] = "]>"
			end = bytes.Index(rest, []byte(c[1]))
		}
		if end < 0 {
			return false
		}
		s.pos += end + len(c[1])
		return true
	}
	return false
}

var xmlEntities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;")

func quoteXML(s, _ string) (string, error) {
	no := func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0xfffe || r == 0xffff }
	if strings.ContainsFunc(s, no) {
		return "", errors.New("XML has no way to write such a text")
	}
	return escapeXML(s), nil
}

// escapeXML writes a text so that it is read as it is between tags and between quotes.
func escapeXML(s string) string {
	body := strings.Trim(s, " ")
	if body == "" {
		return strings.Repeat("&#32;", len(s))
	}
	i := strings.Index(s, body)
	return strings.Repeat("&#32;", i) + xmlEntities.Replace(body) + strings.Repeat("&#32;", len(s)-i-len(body))
}

// unescapeXML reads entities; false where one is not known.
func unescapeXML(s string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "&")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, closed := strings.Cut(rest, ";")
		r, known := map[string]rune{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}[name]
		if number, ok := strings.CutPrefix(name, "#"); ok {
			hex := strings.TrimPrefix(number, "x")
			base := 10
			if hex != number {
				base = 16
			}
			code, err := strconv.ParseUint(hex, base, 32)
			r, known = rune(code), err == nil && code > 0 && code <= utf8.MaxRune && utf8.ValidRune(rune(code))
		}
		if !known || !closed {
			return "", false
		}
		b.WriteRune(r)
		s = after
	}
}
