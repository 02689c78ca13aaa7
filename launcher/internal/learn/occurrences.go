package learn

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/nodedir"
)

// token is a text to look for: a port, or the source's path. Where it was found stands its mark instead.
type token struct {
	text string
	port int // 0: the path of the directory
}

// A mark is the token's port between two NULs (no text has those); 0 is the directory.
func (t token) mark() string { return "\x00" + strconv.Itoa(t.port) + "\x00" }

var markPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\x00([0-9]+)\x00") })

// substitution says what stands for the marks.
type substitution struct {
	dir  string
	port func(int) string // nil: the port itself
}

func (f substitution) fill(s string) string {
	return markPattern().ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.Atoi(strings.Trim(m, "\x00"))
		switch {
		case n == 0:
			return f.dir
		case f.port == nil:
			return strconv.Itoa(n)
		}
		return f.port(n)
	})
}

// occurrences are all places that name a token, with marks in them.
type occurrences struct {
	args  []string
	env   map[string]string // only those with marks
	files []fileOccurrence
	left  []string // in words: keys that have a port's number, but not the look of a port
}

// fileOccurrence is a file that has tokens: in values of known keys, or somewhere in its text.
type fileOccurrence struct {
	path   string
	mode   fs.FileMode
	format string // "" if the text as a whole is written anew
	keys   []keyOccurrence
	text   string // of a file without format, marked
}

type keyOccurrence struct {
	key, value string // marked
	line       int
	place      string // the name of the place that it is; "" for others
}

// keyFilter reports whether a key with that value may be about ports.
type keyFilter func(key string) bool

func anyKey(string) bool { return true }

// finder says how the places of tokens in a file are found.
type finder struct {
	takes keyFilter
	whole bool // the text of a file whose name shows no format is a place as a whole, though it looks like lines with keys
}

var portWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)port|listen|bind|addr|url|uri|host|sock|endpoint|server|peer|node|cluster|advert|route|broker|http|tcp|udp|tls|ssl|interface`)
})

// likeAPort takes keys whose name speaks of an address.
func likeAPort(key string) bool { return portWords().MatchString(key) }

func (l *learner) pathTokens() []token {
	out := []token{{text: l.self}}
	for _, a := range l.aliases {
		out = append(out, token{text: a})
	}
	return out
}

// find looks for the tokens in the command, in the environment, and in the texts of the tree.
func (t *tree) find(c command, tokens []token, how finder) occurrences {
	p := occurrences{env: map[string]string{}}
	for i, a := range c.args {
		if i == 0 {
			p.args = append(p.args, a)
			continue
		}
		p.args = append(p.args, marked(a, tokens, strings.HasPrefix(a, "-")))
	}
	for _, kv := range inherited() {
		name, value, _ := strings.Cut(kv, "=")
		if m := marked(value, tokens, false); m != value && portEnd().MatchString(strings.ReplaceAll(m, "\x00", "")) && hasPort(m) {
			p.env[name] = m
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		f := t.files[name]
		if f.text == "" || marked(f.text, tokens, false) == f.text {
			continue
		}
		if place, ok := occurrencesIn(name, f, tokens, how, &p.left); ok {
			p.files = append(p.files, place)
		}
	}
	return p
}

var portEnd = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|:)[0-9]+/?$`) })

func hasPort(m string) bool {
	for _, g := range markPattern().FindAllStringSubmatch(m, -1) {
		if g[1] != "0" {
			return true
		}
	}
	return false
}

// occurrencesIn finds the keys of a file that hold tokens, in the format of its name, or in the first that fits it. Where no
// format does, the whole text is the place.
func occurrencesIn(name string, f file, tokens []token, how finder, left *[]string) (fileOccurrence, bool) {
	out := fileOccurrence{path: name, mode: f.mode}
	live := liveLines(f.text, tokens)
	if live == 0 {
		return out, false
	}
	formats := confedit.Formats()
	known, told := confedit.FormatOf(name)
	if told {
		formats = []string{known}
	} else if f.mode&0o111 != 0 || how.whole {
		formats = nil // a script, or a language
	}
	for _, format := range formats {
		list, err := confedit.List(format, []byte(f.text))
		if err != nil {
			continue
		}
		var keys, passed []keyOccurrence
		lines := map[int]bool{}
		for _, e := range list {
			m := marked(e.Value, tokens, false)
			if m == e.Value || !editable(format, f.text, e) || !told && !plain(e) {
				continue
			}
			lines[e.Line] = true
			if k := (keyOccurrence{key: e.Key, value: m, line: e.Line}); how.takes(e.Key) || !hasPort(m) {
				keys = append(keys, k)
			} else {
				passed = append(passed, k)
			}
		}
		if len(lines) < live {
			continue
		}
		for _, k := range passed {
			*left = append(*left, fmt.Sprintf("%s, line %d: %s = %s", name, k.line, k.key, substitution{}.fill(k.value)))
		}
		out.format, out.keys = format, keys
		return out, len(keys) > 0
	}
	out.text = marked(f.text, tokens, false)
	return out, true
}

// plain reports whether an entry looks like a key and its value, rather than like a piece of a language that a format happens to take for
// one.
func plain(e confedit.Entry) bool {
	return plainKey().MatchString(e.Key) && !strings.ContainsAny(e.Value, "{}()[];'\"") && !strings.HasSuffix(e.Value, ",")
}

var plainKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_./-]+$`) })

// editable reports whether the key can be set, and nothing else of the file changes with it.
func editable(format, text string, e confedit.Entry) bool {
	const other = "59999"
	value := regexp.MustCompile(`[0-9]+`).ReplaceAllString(e.Value, other)
	out, err := confedit.Apply(format, []byte(text), []confedit.Edit{{Key: e.Key, Value: value}})
	if err != nil {
		return false
	}
	was, is := strings.Split(text, "\n"), strings.Split(string(out), "\n")
	if len(was) != len(is) {
		return false
	}
	for i := range was {
		if was[i] != is[i] && i+1 != e.Line {
			return false
		}
	}
	return true
}

// liveLines counts the lines with tokens that are no comments.
func liveLines(text string, tokens []token) (n int) {
	for line := range strings.Lines(text) {
		s := strings.TrimSpace(line)
		if strings.HasPrefix(s, "#") && !strings.HasPrefix(s, "#!") || strings.HasPrefix(s, ";") || strings.HasPrefix(s, "//") || strings.HasPrefix(s, "--") {
			continue
		}
		if marked(line, tokens, false) != line {
			n++
		}
	}
	return n
}

// marked puts marks for the tokens that stand by themselves in s; in an option (-p8080) a letter may go before.
func marked(s string, tokens []token, option bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		k := slices.IndexFunc(tokens, func(t token) bool {
			return t.text != "" && strings.HasPrefix(s[i:], t.text) && standsAlone(s, i, t, option)
		})
		if k < 0 {
			b.WriteByte(s[i])
			i++
			continue
		}
		b.WriteString(tokens[k].mark())
		i += len(tokens[k].text)
	}
	return b.String()
}

// standsAlone reports whether the token at s[i:] is no part of a longer number or path.
func standsAlone(s string, i int, t token, option bool) bool {
	end := i + len(t.text)
	if t.port == 0 {
		return (i == 0 || !isWord(s[i-1]) && s[i-1] != '/' || strings.HasSuffix(s[:i], "://")) && (end == len(s) || !isWord(s[end]) && !strings.ContainsRune(".-", rune(s[end])))
	}
	before := i == 0 || !isWord(s[i-1]) && s[i-1] != '.' || option && i == 2 && s[0] == '-'
	after := end == len(s) || !isWord(s[end]) && (s[end] != '.' || end+1 == len(s) || !isWord(s[end+1]))
	return before && after
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// configure lays the places into a copy, with what the substitution says.
func (p occurrences) configure(dir string, f substitution) error {
	for _, place := range p.files {
		text := []byte(f.fill(place.text))
		if place.format != "" {
			src, err := nodedir.ReadFile(dir, place.path)
			if err != nil {
				return err
			}
			var edits []confedit.Edit
			for _, k := range place.keys {
				edits = append(edits, confedit.Edit{Key: k.key, Value: f.fill(k.value)})
			}
			if text, err = confedit.Apply(place.format, src, edits); err != nil {
				return fmt.Errorf("edit %s: %w", place.path, err)
			}
		}
		if err := nodedir.WriteFile(dir, place.path, text, place.mode); err != nil {
			return err
		}
	}
	return nil
}

// of says, in words, where a port stands.
func (p occurrences) of(port int) []string {
	var out []string
	mark := token{port: port}.mark()
	for _, f := range p.files {
		for _, k := range f.keys {
			if strings.Contains(k.value, mark) {
				out = append(out, fmt.Sprintf("%s, line %d: %s", f.path, k.line, k.key))
			}
		}
		if strings.Contains(f.text, mark) {
			out = append(out, fmt.Sprintf("%s, line %d", f.path, 1+strings.Count(f.text[:strings.Index(f.text, mark)], "\n")))
		}
	}
	for i, a := range p.args {
		if strings.Contains(a, mark) {
			out = append(out, fmt.Sprintf("argument %d: %s", i, substitution{dir: "DIR"}.fill(a)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		if strings.Contains(p.env[name], mark) {
			out = append(out, "environment variable "+name)
		}
	}
	return out
}
