package launcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"onemore/launcher/internal/template"
)

// Program is a program of a project's own, whose cluster needs no template: one is made of it.
type Program struct {
	Command     []string          // of one node: texts
	Listeners   map[string]int    // name → port of node 1
	Ready       string            // path of an HTTP request to the first listener, by name; "": its listeners are open
	Environment map[string]string // texts
	Dir         string            // where it runs; "": in the node directory
}

// templateText is a template, in TOML, that starts the program.
func (p *Program) templateText() string {
	var b strings.Builder
	b.WriteString("summary = \"a program of the project's own\"\n[copy]\nsource = \"optional\"\n[node]\nname = \"{{.Cluster}}-{{.Index}}\"\n")
	names := slices.Sorted(maps.Keys(p.Listeners))
	for i, name := range names {
		fmt.Fprintf(&b, "[listeners.%s]\nport = %d\n", name, p.Listeners[name])
		if scheme := map[bool]string{true: "http"}[p.Ready != "" && i == 0 || name == "http"]; scheme != "" {
			fmt.Fprintf(&b, "url = %s\n", tomlText(scheme+"://{{.Addr}}"))
		}
	}
	if len(p.Environment) > 0 {
		b.WriteString("[environment]\n")
		for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
			fmt.Fprintf(&b, "%s = %s\n", tomlText(name), tomlText(p.Environment[name]))
		}
	}
	b.WriteString("[start]\ncommand = [")
	for i, arg := range p.Command {
		b.WriteString(map[bool]string{true: ", "}[i > 0] + tomlText(arg))
	}
	b.WriteString("]\n")
	if p.Dir != "" {
		fmt.Fprintf(&b, "dir = %s\n", tomlText(p.Dir))
	}
	if p.Ready != "" {
		fmt.Fprintf(&b, "[[ready.call]]\nhttp = %s\n", tomlText(fmt.Sprintf("http://{{.Addr %q}}%s", names[0], p.Ready)))
	}
	b.WriteString("[join]\ndefault = \"none\"\n[[refresh]]\nrestart = true\n")
	return b.String()
}

// tomlText is a string as TOML has it: JSON has the same escapes.
func tomlText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSpace(b.String())
}

// resolveProgram makes the template of a program: the one that a formed cluster was made with, which must be that of the options.
func resolveProgram(o Options, from origin, on target) (*template.Template, origin, error) {
	if on.formed() == nil {
		_, member := splitStacked(o.Cluster)
		from = origin{Template: member, Stamp: on.stamp, Text: o.Program.templateText()}
	} else if o.Program != nil && o.Program.templateText() != from.Text {
		return nil, from, &InputError{Err: fmt.Errorf("cluster %q is there already, with another command, listeners, ready or environment", o.Cluster),
			Hint: "take it down first with `onemore down`"}
	}
	t, err := template.Parse(from.Template, []byte(from.Text))
	if err != nil {
		return nil, from, &InputError{Err: err, Hint: "docs/stacks.md describes what the texts of a program may say"}
	}
	return t, from, nil
}
