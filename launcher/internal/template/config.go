package template

import (
	"maps"
	"slices"
	"strings"
)

// Config is what the config files of one node directory say, as far as its template asks for it. It is read once, before
// the plan, and recorded with it, so that nodes that are added later are made in the same way.
type Config struct {
	Keys      []ConfigValue       `json:"keys,omitempty"`    // what texts read with .Source
	Matches   []ConfigMatch       `json:"matches,omitempty"` // what texts read with .SourceMatch
	Listeners map[string]Declared `json:"listeners,omitempty"`
	Places    []ConfigPlace       `json:"places,omitempty"` // keys of places that are there
	// Ports stand in the files at keys that no listener has and no edit sets: the server may open them on every node.
	Ports []ConfigPort `json:"ports,omitempty"`
	// Elsewhere are keys that are looked for in one file and stand in another one, or under another key.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
	Unread    []string    `json:"unread,omitempty"` // in words: what could not be read
}

// Elsewhere is a key of a file that has to be set at another place: in an included file, or at a variable.
type Elsewhere struct {
	File   string `json:"file"`
	Key    string `json:"key"`
	ToFile string `json:"to_file"`
	ToKey  string `json:"to_key"`
	// Missing says that the key is not there either, but the table that it would be in.
	Missing bool `json:"missing,omitempty"`
}

// Find returns where a key of a file is to be set, if that is elsewhere.
func (c *Config) Find(file, key string) (Elsewhere, bool) {
	for _, e := range c.Elsewhere {
		if e.File == file && sameKey(e.Key, key) {
			return e, true
		}
	}
	return Elsewhere{}, false
}

// Matching are the keys of a file that match a pattern, or are below one that does, and stand in another file.
func (c *Config) Matching(file, pattern string) []Elsewhere {
	var out []Elsewhere
	for _, e := range c.Elsewhere {
		if e.File == file && e.ToFile != file && !e.Missing && matchesAbove(pattern, e.Key) {
			out = append(out, e)
		}
	}
	return out
}

// ConfigValue is one key of a file.
type ConfigValue struct {
	File  string `json:"file"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ConfigMatch is what a regexp of .SourceMatch has found.
type ConfigMatch struct {
	File   string `json:"file"`
	Regexp string `json:"regexp"`
	Text   string `json:"text"`
}

// ConfigPlace is a key of a [places.NAME] that the source has.
type ConfigPlace struct {
	Place string `json:"place"`
	Key   string `json:"key"`
	Value string `json:"value"`
	// Inside is the place relative to the source, where it is absolute and yet in it; else "".
	Inside string `json:"inside,omitempty"`
}

// ConfigPort is a port that stands somewhere.
type ConfigPort struct {
	File string `json:"file"`
	Key  string `json:"key"`
	Port int    `json:"port"`
}

// Declared is what a source says of a listener.
type Declared struct {
	Port   int    `json:"port,omitempty"` // 0: it has no key of the listener
	Scheme string `json:"scheme,omitempty"`
	Key    string `json:"key,omitempty"`
	Off    bool   `json:"off,omitempty"`    // it turns the listener off
	Family string `json:"family,omitempty"` // the listener of the template whose pattern has found this one
}

// Sources gives the texts what the source says. A nil Config says nothing.
type Sources struct{ Config *Config }

// Source is the value of a key in a config file of the source: {{.Source "server.conf" "password"}}; "" if it has none.
// A * in the key stands for any segment; the first key that matches counts.
func (s Sources) Source(file, key string) string {
	if s.Config == nil {
		return ""
	}
	for _, v := range s.Config.Keys {
		if v.File == file && matchesKey(key, v.Key) {
			return v.Value
		}
	}
	return ""
}

// SourceMatch is what a regexp finds in a file of the source, in whatever format: its first group, or the whole match.
func (s Sources) SourceMatch(file, expr string) string {
	if s.Config == nil {
		return ""
	}
	for _, m := range s.Config.Matches {
		if m.File == file && m.Regexp == expr {
			return m.Text
		}
	}
	return ""
}

// With is the template for a source: the members of families in place of each family.
func (t *Template) With(c *Config) *Template {
	own := *t
	own.Listeners = nil
	for _, l := range t.Listeners {
		if !l.IsFamily() {
			own.Listeners = append(own.Listeners, l)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
			if d := c.Listeners[name]; d.Family == l.Name {
				member := l
				member.Name, member.Key, member.Port = name, d.Key, d.Port
				own.Listeners = append(own.Listeners, member)
			}
		}
	}
	return &own
}

// memberName names a member of a family by what the stars of its key stand for: listener_tcp_internal. The default one
// has the family's own name.
func memberName(family string, stars []string) string {
	name := family
	if len(stars) == 1 && stars[0] == "default" || len(stars) == 0 {
		return name
	}
	for _, s := range stars {
		name += "_" + strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return '_'
		}, strings.ToLower(s))
	}
	return name
}
