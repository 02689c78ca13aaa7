package template

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/confedit"
)

// ReadConfig reads what a node directory says, also in files that its config files include. root is its absolute path; env
// looks up variables that the files leave to the environment, and may be nil.
func (t *Template) ReadConfig(dir fs.FS, root string, env func(name string) (string, bool)) (*Config, error) {
	r := t.newReader(func(file string) ([]byte, error) { return readLimited(dir, file) }, root)
	r.glob = func(pattern string) ([]string, error) { return fs.Glob(dir, pattern) }
	r.parse = func(format, file string, _ []byte) (*confedit.File, error) {
		after, err := r.readAfter(dir, file)
		if err != nil {
			return nil, err
		}
		return confedit.Follow(dir, format, file, env, after...)
	}
	return r.config()
}

// readAfter are the files of a node directory that the server reads after one, but for those that the template itself writes.
func (r *configReader) readAfter(dir fs.FS, file string) ([]string, error) {
	var names []string
	for _, pattern := range r.t.Includes[file] {
		found, err := fs.Glob(dir, pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(r.t.Files, func(f File) bool { return f.Path == name && f.Existing == "replace" })
	}), nil
}

// OwnConfig is what the template's own files say: the source of nodes that have none.
func (t *Template) OwnConfig() (*Config, error) {
	r := t.newReader(func(file string) ([]byte, error) {
		for _, f := range t.Own {
			if f.Path == file {
				return []byte(f.Text), nil
			}
		}
		return nil, fs.ErrNotExist
	}, "")
	return r.config()
}

// configReader reads the files of a source, each once.
type configReader struct {
	t       *Template
	read    func(file string) ([]byte, error)
	parse   func(format, file string, src []byte) (*confedit.File, error)
	glob    func(pattern string) ([]string, error)
	root    string
	files   map[string]*configFile
	claimed map[string]bool // file and key of listeners
}

// configFile is one that was read, with those that it includes.
type configFile struct {
	*confedit.File
	entries []confedit.Entry // in the order in which they count
}

func (t *Template) newReader(read func(file string) ([]byte, error), root string) *configReader {
	return &configReader{
		t: t, read: read, root: root, glob: t.ownGlob, files: map[string]*configFile{}, claimed: map[string]bool{},
		parse: func(format, _ string, src []byte) (*confedit.File, error) { return confedit.Read(format, src, nil) },
	}
}

func (r *configReader) config() (*Config, error) {
	c := &Config{}
	for _, step := range []func(*Config) error{r.listeners, r.families, r.keys, r.matches, r.places, r.edited, r.ports, r.unread} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// list gives the entries of a file; none if it is not there.
func (r *configReader) list(file string) ([]confedit.Entry, error) {
	if known := r.files[file]; known != nil {
		return known.entries, nil
	}
	r.files[file] = &configFile{}
	src, err := r.read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	f, err := r.parse(r.t.FormatOf(file), file, src)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	list, err := f.List()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	r.files[file] = &configFile{f, list}
	return list, nil
}

// listeners finds the keys of listeners, but of those that are families.
func (r *configReader) listeners(c *Config) error {
	c.Listeners = map[string]Declared{}
	for i := range r.t.Listeners {
		l := &r.t.Listeners[i]
		if l.Key == "" || l.IsFamily() {
			continue
		}
		list, err := r.list(l.File)
		if err != nil {
			return err
		}
		d := Declared{Off: isOff(l.Off, nil, list)}
		for _, e := range list { // the last one wins, as it does for servers, and the listener's own key before others
			port, ok := l.portIn(e.Value)
			if ok && (l.Match != "" || !r.claimed[l.File+"\x00"+e.Key]) && (sameKey(e.Key, l.Key) || !sameKey(d.Key, l.Key) && matchesAny(l.Also, e.Key)) {
				d.Port, d.Key, d.Scheme = port, e.Key, schemeIn(e.Value)
			}
		}
		if d != (Declared{}) {
			c.Listeners[l.Name] = d
		}
		if d.Key != "" {
			r.claimed[l.File+"\x00"+d.Key] = true
		}
	}
	return nil
}

// families finds the members of listeners whose key is a pattern.
func (r *configReader) families(c *Config) error {
	for i := range r.t.Listeners {
		l := &r.t.Listeners[i]
		if !l.IsFamily() {
			continue
		}
		list, err := r.list(l.File)
		if err != nil {
			return err
		}
		for _, e := range list {
			stars, ok := starsOf(plainKey(l.Key), plainKey(e.Key))
			port, isPort := portIn(e.Value)
			if !ok || !isPort || r.claimed[l.File+"\x00"+e.Key] {
				continue
			}
			r.claimed[l.File+"\x00"+e.Key] = true
			name := r.freeName(c, memberName(l.Name, stars), l.Name)
			for r.portTaken(c, l, port) { // the source has it at another address
				port++
			}
			c.Listeners[name] = Declared{Port: port, Scheme: schemeIn(e.Value), Key: e.Key, Off: isOff(l.Off, stars, list), Family: l.Name}
		}
	}
	return nil
}

// portTaken tells whether the source has a port at another listener of the same protocol.
func (r *configReader) portTaken(c *Config, of *Listener, port int) bool {
	return slices.ContainsFunc(r.t.Listeners, func(l Listener) bool {
		if !slices.ContainsFunc(l.Protocols, func(p string) bool { return slices.Contains(of.Protocols, p) }) {
			return false
		}
		for name, d := range c.Listeners {
			if d.Port == port && !d.Off && (name == l.Name || d.Family == l.Name) {
				return true
			}
		}
		return false
	})
}

// freeName is a name that no other listener has; a family's own name is free for one of its members.
func (r *configReader) freeName(c *Config, name, family string) string {
	for n, try := 2, name; ; n++ {
		_, taken := c.Listeners[try]
		if !taken && (try == family || !slices.Contains(listenerNames(r.t.Listeners), try)) {
			return try
		}
		try = name + "_" + strconv.Itoa(n)
	}
}

// keys keeps the keys that texts read.
func (r *configReader) keys(c *Config) error {
	for _, file := range slices.Sorted(maps.Keys(r.t.reads.keys)) {
		list, err := r.list(file)
		if err != nil {
			return err
		}
		for _, e := range list {
			if matchesAny(r.t.reads.keys[file], e.Key) {
				c.Keys = append(c.Keys, ConfigValue{file, e.Key, e.Value})
			}
		}
	}
	return nil
}

func (r *configReader) matches(c *Config) error {
	for _, pattern := range slices.Sorted(maps.Keys(r.t.reads.matches)) {
		files, err := r.glob(pattern)
		if err != nil {
			return fmt.Errorf("read %q: %w", pattern, err)
		}
		for _, file := range files {
			src, err := r.read(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read %q: %w", file, err)
			}
			for _, expr := range r.t.reads.matches[pattern] {
				if m := regexp.MustCompile(expr).FindStringSubmatch(string(src)); m != nil { // checked with the template
					c.Matches = append(c.Matches, ConfigMatch{pattern, expr, m[min(1, len(m)-1)]})
				}
			}
		}
	}
	return nil
}

// ownGlob is fs.Glob of the template's own files.
func (t *Template) ownGlob(pattern string) ([]string, error) {
	var files []string
	for _, f := range t.Own {
		if ok, err := path.Match(pattern, f.Path); err != nil {
			return nil, err
		} else if ok {
			files = append(files, f.Path)
		}
	}
	return files, nil
}

// places finds the keys that name places.
func (r *configReader) places(c *Config) error {
	for _, p := range r.t.Places {
		list, err := r.list(p.File)
		if err != nil {
			return err
		}
		for _, e := range list {
			if !matchesKey(p.Key, e.Key) && !matchesAny(p.Also, e.Key) {
				continue
			}
			found := ConfigPlace{Place: p.Name, Key: e.Key, Value: e.Value}
			if rel, err := filepath.Rel(r.root, e.Value); r.root != "" && path.IsAbs(e.Value) && err == nil && filepath.IsLocal(rel) {
				found.Inside = filepath.ToSlash(rel)
			}
			c.Places = append(c.Places, found)
		}
	}
	return nil
}

// ports finds all other ports in the files that the template knows.
func (r *configReader) ports(c *Config) error {
	ours := r.t.ownKeys()
	for _, file := range slices.Sorted(maps.Keys(r.files)) {
		for _, e := range r.files[file].entries {
			if r.claimed[file+"\x00"+e.Key] || slices.ContainsFunc(ours[file], func(own string) bool {
				return matchesKey(own, e.Key) || strings.HasPrefix(plainKey(e.Key), plainKey(own)+".")
			}) {
				continue
			}
			for _, port := range portsIn(e.Key, e.Value) {
				c.Ports = append(c.Ports, ConfigPort{file, e.Key, port})
			}
		}
	}
	return nil
}

// isOff reports whether one of the keys by which a listener is turned off has such a value.
func isOff(off map[string]string, stars []string, list []confedit.Entry) bool {
	for key, expr := range off {
		for _, s := range stars {
			key = strings.Replace(key, "*", s, 1)
		}
		re, err := WholeMatch(expr)
		for _, e := range list {
			if err == nil && sameKey(e.Key, key) && re.MatchString(e.Value) {
				return true
			}
		}
	}
	return false
}

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matchesKey(p, key) })
}

func matchesKey(pattern, key string) bool {
	_, ok := starsOf(plainKey(pattern), plainKey(key))
	return ok
}

// matchesStar tells whether a key, or one that it is below, matches one of those patterns that have a *.
func matchesStar(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(p, "*") && matchesAbove(p, key) })
}

// matchesAbove tells whether a key, or one that it is below, matches a pattern.
func matchesAbove(pattern, key string) bool {
	for {
		if matchesKey(pattern, key) {
			return true
		}
		cut := strings.LastIndexByte(key, '.')
		if cut < 0 {
			return false
		}
		key = key[:cut]
	}
}

func sameKey(a, b string) bool { return plainKey(a) == plainKey(b) }

// plainKey is a key without the quotes of segments that have dots.
func plainKey(key string) string { return strings.ReplaceAll(key, `"`, "") }

// starsOf reports whether a key matches a pattern, in which each * stands for something in one segment, and for what they
// stand. A pattern that is nothing but * matches every key.
func starsOf(pattern, key string) ([]string, bool) {
	if pattern == "*" {
		return []string{key}, true
	}
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return nil, pattern == key
	}
	after, ok := strings.CutPrefix(key, head)
	if !ok {
		return nil, false
	}
	for end := 0; end <= len(after) && (end == 0 || after[end-1] != '.'); end++ {
		if rest == "" && end == len(after) {
			return []string{after}, true
		}
		if stars, ok := starsOf(rest, after[end:]); ok && rest != "" && rest != "*" {
			return append([]string{after[:end]}, stars...), true
		}
	}
	return nil, false
}
