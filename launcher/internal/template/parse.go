package template

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/BurntSushi/toml"

	"onemore/launcher/internal/schema"
)

// document is template.toml as it is written: Template plus the tables whose order or presence counts.
type document struct {
	Template
	Listeners   map[string]Listener `toml:"listeners"`
	Shared      map[string]Listener `toml:"shared"`
	Roles       map[string]Role     `toml:"roles"`
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
	var found problems
	meta, err := toml.Decode(string(src), &doc)
	if err != nil || len(meta.Undecoded()) > 0 {
		if err := checkForm(name, src, &found); err != nil {
			return nil, err
		}
	}
	if err != nil {
		if len(found.list) == 0 {
			return nil, decodeError(name, err)
		}
		return nil, found.err(name, src)
	}
	t := doc.template(name, meta.Keys())
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
	t.Roles = inOrder("roles", d.Roles, keys, func(r *Role, name string) { r.Name = name })
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

// Schema is what a template.toml may say.
func Schema(about schema.About) *schema.Schema { return schema.Of(reflect.TypeFor[document](), about) }

// checkForm finds all keys that are not known and all values of a wrong type. The error is one of the TOML itself.
func checkForm(name string, src []byte, found *problems) error {
	var values map[string]any
	if _, err := toml.Decode(string(src), &values); err != nil {
		return decodeError(name, err)
	}
	Schema(nil).Check(values, func(key []string, text string) { found.add(schema.Path(key), "%s", text) })
	return nil
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
