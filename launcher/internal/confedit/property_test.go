package confedit

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSequences makes random edits one after the other and checks after each that it did what it should and nothing else.
func TestSequences(t *testing.T) {
	decode := map[string]func([]byte) (map[string]string, error){"toml": decodeTOML, "json": decodeJSON, "yaml": decodeYAML, "xml": decodeXML}
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				src := drawFile(r, format)
				for range rapid.IntRange(1, 6).Draw(r, "edits") {
					key, value := drawKey(r, t, format, src), drawValue(r)
					out := checkEdit(t, format, src, key, value)
					if out == nil {
						continue
					}
					if decode[format] != nil {
						agree(t, format, decode[format], src, out, key, value)
					}
					src = out
				}
			})
		})
	}
}

// TestTogether checks that edits made in one call come to the same as one call each.
func TestTogether(t *testing.T) {
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				src := drawFile(r, format)
				single := src
				var edits []Edit
				for range rapid.IntRange(2, 6).Draw(r, "edits") {
					e := set(drawKey(r, t, format, src), drawValue(r))
					if out, err := Apply(format, single, []Edit{e}); err == nil {
						single = out
						edits = append(edits, e)
					}
				}
				got, err := Apply(format, src, edits)
				if err != nil || string(got) != string(single) {
					t.Fatalf("%+v: %v\nbefore   %q\ntogether %q\nsingly   %q", edits, err, src, got, single)
				}
			})
		})
	}
}

// drawFile starts from a file of the table tests, or from none, perhaps with CRLF or without a final newline.
func drawFile(r *rapid.T, format string) []byte {
	var files []string
	for _, c := range applyCases() {
		if c.format == format {
			files = append(files, c.src)
		}
	}
	files = append(files, map[string]string{"json": "{}"}[format])
	slices.Sort(files) // the same order in every run
	src := rapid.SampledFrom(files).Draw(r, "file")
	if !strings.Contains(src, "\r") && rapid.Bool().Draw(r, "crlf") {
		src = strings.ReplaceAll(src, "\n", "\r\n")
	}
	if rapid.Bool().Draw(r, "cut") {
		src = strings.TrimRight(src, "\r\n")
	}
	return []byte(src)
}

// drawKey takes a key of the file, something next to or below one, or any other.
func drawKey(r *rapid.T, t *testing.T, format string, src []byte) string {
	name := rapid.StringMatching(`[a-z]{1,3}|[A-Za-z0-9_-]{1,8}|[a-z ."#é]{1,5}`).Draw(r, "name")
	if !slices.Contains([]string{"properties", "redis", "keyvalue", "env", "postgresql"}, format) {
		name = joinPath([]string{name})
	}
	have := slices.Sorted(maps.Keys(values(t, format, src)))
	switch n := rapid.IntRange(0, 9).Draw(r, "where"); {
	case n < 4 && len(have) > 0:
		return rapid.SampledFrom(have).Draw(r, "key")
	case n < 7 && len(have) > 0:
		key := rapid.SampledFrom(have).Draw(r, "key")
		path, err := splitPath(key)
		if err != nil || len(path) < 2 {
			return name
		}
		return joinPath(path[:rapid.IntRange(1, len(path)-1).Draw(r, "depth")]) + "." + name
	case n == 7 && len(have) > 0:
		return rapid.SampledFrom(have).Draw(r, "key") + "." + name
	case n == 8:
		return fmt.Sprintf("%s.%s.x", name, name)
	}
	return name
}

func drawValue(r *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "true", "off", "null", "~", "0", "-1", "1.50", "007", "1e5", "0x1F", "9223372036854775808",
			"127.0.0.1:1883", "0.0.0.0", "emqx2@127.0.0.1", "15s", "1MB", "2020-01-01", "a b", " a ", "a#b", "a # b", "a: b", "it's",
			`say "x"`, `C:\dir\`, "[a, b]", "{a: 1}", "$HOME", "${x}", "*a", "&b", "!c", "- d", "a,b", "//", "http://h:1/x#y",
			"line\nline", "tab\there", "é\u2028", "%", "@", "`", "'", `"`, "=", ":", "#", ";"}),
		rapid.StringN(0, 12, 40),
		rapid.StringMatching(`[ -~]{0,12}`),
	).Draw(r, "value")
}

// TestLarge reads files that make careless readers take their square in memory: four times the file must not take much
// more than four times as much. A reader that takes its square in time shows by the test's time alone.
func TestLarge(t *testing.T) {
	pieces := []string{"[", "{", "(", "[[", "a.", "a ", "\"", "'", "'''", `"""`, `"""a`, "\\", "\\\n", "#", " ", "\n", "\n ", "\r\n", "=",
		":", ",", ";", "a = 1\n", "a: 1\n", "a 1\n", "a: ", "- ", "- a\n", "a {", "a {\n", "}", "]", "[]\n", "$", "${", "${a}", "\n)",
		"include \"a\"\n", "include a", "? ", "|\n", "a: |\n", "a: |+\n\n", "&a ", "&a", "!a ", "*a", "+=", "a += 1\n", "a.b = 1\n", "[a]\n",
		"[[a]]\n", "[a.b]\nc.d = 1\n", "\"a\": ", "{\"a\":", "a #\n", "'a' ", "\"a\" ", "--- ", "...\n", "%\n", "1", "1.", "-", "<<: ", "//", "/"}
	const size = 1 << 10
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			for _, head := range []string{"", "a: ["} {
				for _, piece := range pieces {
					small := allocated(format, head+strings.Repeat(piece, size/len(piece)))
					large := allocated(format, head+strings.Repeat(piece, 4*size/len(piece)))
					if large > 8*small+64*size {
						t.Errorf("%q after %q: %d bytes for %d, %d for four times that", piece, head, small, size, large)
					}
				}
			}
		})
	}
}

// allocated is how many bytes it takes to list a file and to set two keys of it, whether that works or not.
func allocated(format, src string) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = List(format, []byte(src))
	_, _ = Apply(format, []byte(src), []Edit{set("a", "2"), set("b.c", "3")})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
