package project

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"onemore/launcher/internal/schema"
)

// check collects problems, each with the line of its key.
type check struct {
	path  string
	lines map[string]int // see linesOf
	at    toml.Key       // of the table whose keys are checked
	found []problem
}

type problem struct {
	line int
	key  string
	err  error
}

// key is a key of the table that is checked.
func (c *check) key(parts ...string) toml.Key { return slices.Concat(c.at, toml.Key(parts)) }

// has reports whether the table that is checked has the key.
func (c *check) has(key string) bool { return c.lines[strings.Join(c.key(key), "\x00")] > 0 }

// add adds a problem of a key, unless the key has one already.
func (c *check) add(key toml.Key, format string, args ...any) {
	if slices.ContainsFunc(c.found, func(p problem) bool { return p.key == key.String() }) {
		return
	}
	at := where(c.path, c.lines, key)
	c.found = append(c.found, problem{lineOf(c.lines, key), key.String(), fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...))})
}

// err is all problems, in order of their lines.
func (c *check) err() error {
	slices.SortFunc(c.found, func(a, b problem) int { return cmp.Or(a.line-b.line, cmp.Compare(a.key, b.key)) })
	errs := make([]error, 0, len(c.found))
	for _, p := range c.found {
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}

// lineOf is the line of a key, or of the table that it is in; 0: unknown.
func lineOf(lines map[string]int, key toml.Key) int {
	for n := len(key); n > 0; n-- {
		if line := lines[strings.Join(key[:n], "\x00")]; line > 0 {
			return line
		}
	}
	return 0
}

// where is the prefix of an error about a key: file, line and key.
func where(path string, lines map[string]int, key toml.Key) string {
	if line := lineOf(lines, key); line > 0 {
		return fmt.Sprintf("%s: line %d: %s", path, line, key)
	}
	return fmt.Sprintf("%s: %s", path, key)
}

// fill decodes the value of a key, as the TOML decoder has it, into to. What can't be decoded, Schema has told.
func (c *check) fill(key toml.Key, value any, to reflect.Value) {
	if own, ok := to.Addr().Interface().(toml.Unmarshaler); ok {
		if err := own.UnmarshalTOML(value); err != nil {
			c.add(key, "%w", err)
		}
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		c.fill(key, value, to.Elem())
	case reflect.Struct:
		table, _ := value.(map[string]any)
		for name, v := range table {
			if i := fieldOf(to.Type(), name); i >= 0 {
				c.fill(below(key, name), v, to.Field(i))
			}
		}
	case reflect.Map:
		table, _ := value.(map[string]any)
		to.Set(reflect.MakeMap(to.Type()))
		for name, v := range table {
			one := reflect.New(to.Type().Elem()).Elem()
			c.fill(below(key, name), v, one)
			to.SetMapIndex(reflect.ValueOf(name), one)
		}
	case reflect.String:
		text, _ := value.(string)
		to.SetString(text)
	case reflect.Int:
		number, _ := value.(int64)
		if to.OverflowInt(number) {
			c.add(key, "%d is too large", number)
		}
		to.SetInt(number)
	case reflect.Slice:
		c.fillArray(key, value, to)
	case reflect.Bool:
		yes, _ := value.(bool)
		to.SetBool(yes)
	default:
		panic("no key is a " + to.Kind().String())
	}
}

// fillArray is fill for an array of texts.
func (c *check) fillArray(key toml.Key, value any, to reflect.Value) {
	list, _ := value.([]any)
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, v := range list {
		c.fill(key, v, to.Index(i))
	}
}

// conform adds what of a value at key is not as the schema says.
func (c *check) conform(s *schema.Schema, key toml.Key, value any) {
	s.Check(value, func(more []string, text string) {
		if n := len(more); n > 0 && strings.HasPrefix(more[n-1], "[") {
			more = more[:n-1] // the line is that of the whole list
		}
		c.add(slices.Concat(key, toml.Key(more)), "%s", text)
	})
}

// below is a key of the table at key.
func below(key toml.Key, name string) toml.Key { return append(slices.Clone(key), name) }

// fieldOf is the index of the field with a key as its tag; -1: there is none.
func fieldOf(typ reflect.Type, key string) int {
	for i := range typ.NumField() {
		if tag := typ.Field(i).Tag.Get("toml"); tag == key && tag != "" && tag != "-" {
			return i
		}
	}
	return -1
}

// check checks what TOML's types don't, and fills Node.
func (p *Project) check(c *check) {
	if p.Nodes < 0 || p.Nodes == 0 && c.has("nodes") {
		c.add(c.key("nodes"), "a cluster of %d nodes can't be", p.Nodes)
	}
	for key, value := range map[string]string{"template": p.Template, "source": p.Source, "release": p.Release, "bin": p.Bin, "host": p.Host} {
		if value == "" && c.has(key) {
			c.add(c.key(key), "it is empty; give a value, or leave it out")
		}
	}
	if p.Offset < 0 || p.Offset > 65535 || p.Offset == 0 && c.has("offset") {
		c.add(c.key("offset"), "%d is no step between ports (1 to 65535); without it, it is 1000, or the nearest that works", p.Offset)
	}
	if n, err := strconv.Atoi(string(p.Base)); (err != nil || n < -65535 || n > 65535) && p.Base != "" && p.Base != "auto" {
		c.add(c.key("base"), `%q is neither "auto" nor a number from -65535 to 65535 that is added to every port`, p.Base)
	}
	if p.Spread != "" && p.Spread != "port" && p.Spread != "address" {
		c.add(c.key("spread"), "%q: use port or address", p.Spread)
	}
	if p.Join != "" && p.Join != "config" && p.Join != "command" && p.Join != "none" {
		c.add(c.key("join"), "%q: use config, command or none", p.Join)
	}
	checkTables(c, c.at, p.Set, p.Env, p.Files)
	p.checkProgram(c)
	p.Node = make(map[int]Node, len(p.nodeTables))
	for _, name := range slices.Sorted(maps.Keys(p.nodeTables)) {
		key := c.key("node", name)
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || strconv.Itoa(i) != name {
			c.add(key, "a node's number was wanted: [node.1], [node.2], …")
			continue
		}
		n := p.nodeTables[name]
		p.Node[i] = n
		checkTables(c, key, n.Set, n.Env, n.Files)
	}
}

// checkProgram checks what a project says of a program of its own.
func (p *Project) checkProgram(c *check) {
	for name, port := range p.Listeners {
		if port < 1 || port > 65535 {
			c.add(c.key("listeners", name), "%d is no port (1 to 65535)", port)
		}
		if !listenerName().MatchString(name) {
			c.add(c.key("listeners", name), "letters, digits and _ make a listener's name, with a letter first")
		}
	}
	if c.has("command") && len(p.Command) == 0 {
		c.add(c.key("command"), `it is empty; such as ["go", "run", "."]`)
	}
	if p.Command == nil {
		for key, set := range map[string]bool{"listeners": p.Listeners != nil, "ready": p.Ready != "", "build": p.Build != "" && p.Bin == "" && p.Source == "",
			"watch": p.Watch != nil && p.Bin == "" && p.Source == ""} {
			if set {
				c.add(c.key(key), "it is for a program of your own, which command names")
			}
		}
		return
	}
	for key, set := range map[string]bool{"template": p.Template != "", "bin": p.Bin != "", "params": p.Params != nil, "join": p.Join != ""} {
		if set {
			c.add(c.key(key), "a cluster with a command has no template")
		}
	}
	if p.Ready != "" && (!strings.HasPrefix(p.Ready, "/") || len(p.Listeners) == 0) {
		c.add(c.key("ready"), "want the path of an HTTP request to the first of listeners, such as /healthz")
	}
}

var listenerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`) })

// checkTables checks the tables that the project and a single node both have; at is the node's key.
func checkTables(c *check, at toml.Key, set map[string]int, env map[string]string, files map[string]*File) {
	key := func(more ...string) toml.Key { return append(slices.Clone(at), more...) }
	for name, port := range set {
		if port < 1 || port > 65535 {
			c.add(key("set", name), "%d is no port (1 to 65535)", port)
		}
	}
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			c.add(key("env", name), "not a variable of an environment")
		}
	}
	for path, f := range files {
		if !fs.ValidPath(path) || path == "." {
			c.add(key("files", path), "want a path inside the node directory, with slashes")
		}
		if err := checkText(f.Text); err != nil {
			c.add(key("files", path), "%w", err)
		}
	}
}

func checkText(s string) error {
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		return errors.New("is no text; put what is binary into the source")
	}
	return nil
}

var (
	tableLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*\[\[?\s*([^\[\]]+?)\s*\]`) })
	keyLine   = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=`)
	})
	segment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"[^"]*"|'[^']*'|[A-Za-z0-9_-]+`) })
	long    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)""".*?"""|'''.*?'''`) })
)

// linesOf finds the line of every key and table by a scan of the text: the toml package has no positions of keys. The parts of a
// key are joined by NUL.
func linesOf(src []byte) map[string]int {
	found := map[string]int{}
	src = long().ReplaceAllFunc(src, func(text []byte) []byte { // multi-line strings contain no keys
		return bytes.Repeat([]byte("\n"), bytes.Count(text, []byte("\n")))
	})
	var table []string
	for i, text := range strings.Split(string(src), "\n") {
		var key []string
		if m := tableLine().FindStringSubmatch(text); m != nil {
			table = segments(m[1])
			key = table
		} else if m := keyLine().FindStringSubmatch(text); m != nil {
			key = append(slices.Clone(table), segments(m[1])...)
		}
		for n := 1; n <= len(key); n++ {
			if k := strings.Join(key[:n], "\x00"); found[k] == 0 {
				found[k] = i + 1
			}
		}
	}
	return found
}

func segments(key string) []string {
	parts := segment().FindAllString(key, -1)
	for i, p := range parts {
		parts[i] = strings.Trim(p, `"'`)
	}
	return parts
}
