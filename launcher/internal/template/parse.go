package template

import (
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
)

// document is template.toml as it is written: Template plus the tables whose order or presence counts.
type document struct {
	Template
	Listeners   map[string]Listener `toml:"listeners"`
	Shared      map[string]Listener `toml:"shared"`
	Places      map[string]Place    `toml:"places"`
	Join        joinTable           `toml:"join"`
	Environment environmentTable    `toml:"environment"`
}

type joinTable struct {
	Default string      `toml:"default"`
	Config  *JoinMethod `toml:"config"`
	Command *JoinMethod `toml:"command"`
}

// Parse reads a template.toml. The name is the template's unless the text says another; it is also what errors call it.
// The error joins all problems, each with the line (where it is known), the key and the way out.
func Parse(name string, src []byte) (*Template, error) {
	var doc document
	meta, err := toml.Decode(string(src), &doc)
	if key := tableForList(src); err != nil && key != "" {
		var found problems
		found.add(key, "is a list: write [[%s]], also for one", key)
		return nil, found.err(name, src)
	}
	if err != nil {
		return nil, decodeError(name, err)
	}
	t := doc.template(name, meta.Keys())
	var found problems
	for _, key := range meta.Undecoded() {
		found.add(keyPath(key), "unknown key; docs/templates.md lists all keys")
	}
	t.check(&found)
	return t, found.err(name, src)
}

func (d *document) template(name string, keys []toml.Key) *Template {
	t := d.Template
	if t.Name == "" {
		t.Name = name
	}
	t.Environment, t.OwnEnvironment = d.Environment.variables, d.Environment.own
	t.Listeners = inOrder("listeners", d.Listeners, keys, func(l *Listener, name string) { l.Name = name })
	t.Shared = inOrder("shared", d.Shared, keys, func(l *Listener, name string) { l.Name = name })
	t.Places = inOrder("places", d.Places, keys, func(p *Place, name string) { p.Name = name })
	t.Join = Join{Default: d.Join.Default}
	for name, method := range map[string]*JoinMethod{"config": d.Join.Config, "command": d.Join.Command} {
		if method == nil {
			continue
		}
		if t.Join.Methods == nil {
			t.Join.Methods = make(map[string]JoinMethod, 2)
		}
		t.Join.Methods[name] = *method
	}
	return &t
}

// inOrder gives the entries of one table in the order in which the file has them, each with its name.
func inOrder[T any](table string, byName map[string]T, keys []toml.Key, setName func(*T, string)) []T {
	var list []T
	seen := make(map[string]bool, len(byName))
	for _, key := range keys {
		if len(key) < 2 || key[0] != table || seen[key[1]] {
			continue
		}
		seen[key[1]] = true
		one := byName[key[1]]
		setName(&one, key[1])
		list = append(list, one)
	}
	return list
}

func decodeError(name string, err error) error {
	if bad, ok := errors.AsType[toml.ParseError](err); ok {
		where := ""
		if bad.LastKey != "" {
			where = fmt.Sprintf(" (at key %q)", bad.LastKey)
		}
		return fmt.Errorf("template %q: line %d: %s%s", name, bad.Position.Line, bad.Message, where)
	}
	return fmt.Errorf("template %q: %w", name, err)
}
