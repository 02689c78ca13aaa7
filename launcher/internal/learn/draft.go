package learn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/template"
)

// draft turns what was proven into a template, and brings it up.
func (l *learner) draft(ctx context.Context, p *proof, first *trial, c changes, v variables) (*Draft, error) {
	nameAll(p)
	d := &Draft{Name: l.o.Name, Fits: l.o.Fits, Listeners: p.listeners, Places: l.places, Wrote: append(c.exclude, l.tree.special...)}
	d.Words = append(l.remarks(p, first, c), v.words...)
	if err := l.write(d, p, v); err != nil {
		return nil, err
	}
	words, err := l.bringUp(ctx, d)
	if err != nil || words == "" {
		return d, err
	}
	d.Words = append([]string{words}, d.Words...)
	return d, l.write(d, p, v)
}

// write writes the text of the draft.
func (l *learner) write(d *Draft, p *proof, v variables) error {
	w := &writer{p: p}
	w.head(l, d)
	w.program(l.command)
	w.copied(d)
	w.line("\n[node]\nname = %s", str(l.o.Name+"{{.NameIndex}}"))
	for _, f := range p.listeners {
		w.listener(f)
	}
	w.places(d.Places)
	w.files()
	w.environment(v)
	w.start(l.command)
	w.ready()
	w.join()
	d.TOML = w.b.String()
	if _, err := template.Parse(l.o.Name, []byte(d.TOML)); err != nil {
		return fmt.Errorf("check the draft: %w", err)
	}
	return nil
}

// variables are what of its environment the server reads.
type variables struct {
	own    []string // patterns of what it seems to read
	needed []string // NAME=VALUE, without which it does not serve as it did
	words  []string
}

// environment writes the variables of the node.
func (w *writer) environment(v variables) {
	if len(w.p.occurrences.env)+len(v.own)+len(v.needed) == 0 {
		return
	}
	w.line("\n[environment]")
	if len(v.own) > 0 {
		w.line("# What the server seems to read; nodes don't get it from the shell.\nown = [%s]", list(v.own))
	}
	for _, name := range slices.Sorted(maps.Keys(w.p.occurrences.env)) {
		w.line("%s = %s", str(name), w.text(w.p.occurrences.env[name]))
	}
	if len(v.needed) > 0 {
		w.line("# Of the shell that learn ran in: without it the server did not serve as it did.")
	}
	for _, kv := range v.needed {
		name, value, _ := strings.Cut(kv, "=")
		w.line("%s = %s", str(name), w.text(value))
	}
}

// remarks are what a person has to know of the draft.
func (l *learner) remarks(p *proof, first *trial, c changes) []string {
	out := []string{"How nodes become members of one cluster can't be seen from one node: [join] and [members] are to be written."}
	for _, f := range p.listeners {
		if !f.Proven {
			out = append(out, fmt.Sprintf("Not proven: %s port %d: %s.", strings.Join(f.Protocols, "+"), f.Port, f.Why))
		}
	}
	if p.failed != nil {
		e := fmt.Sprintf("With other ports the node did not live: %v", p.failed)
		if bad, ok := errors.AsType[*Error](p.failed); ok && len(bad.Log) > 0 {
			e += ": " + bad.Log[len(bad.Log)-1]
		}
		out = append(out, e)
	}
	for _, place := range l.places {
		out = append(out, place.remark())
	}
	for _, left := range p.occurrences.left {
		out = append(out, "Left as it is, though it has a port's number: "+left)
	}
	for _, f := range p.occurrences.files {
		if f.format == "" {
			out = append(out, fmt.Sprintf("The format of %s is not known, or does not tell its lines apart: the template has the whole text, and what a source has there does not count.", f.path))
		}
	}
	const most = 5
	for i, name := range slices.Sorted(maps.Keys(c.touched)) {
		if i == most {
			out = append(out, fmt.Sprintf("The server changed %d more files that its directory has: nodes begin with those of the directory, too.", len(c.touched)-most))
			break
		}
		out = append(out, fmt.Sprintf("The server changed %s, which its directory has: every node begins with the directory's.", name))
	}
	if first.killed {
		out = append(out, fmt.Sprintf("The server did not end within %v of TERM and was killed; see [stop].", stopGrace))
	}
	return out
}

// writer writes TOML.
type writer struct {
	b strings.Builder
	p *proof
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

// comment writes words as comments, whatever lines they have.
func (w *writer) comment(words string) {
	for l := range strings.Lines(words) {
		w.line("# %s", printable(strings.TrimRight(l, "\r\n")))
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// text is a marked text as a text of the template, in TOML.
func (w *writer) text(marked string) string { return str(w.expand(marked)) }

func (w *writer) expand(marked string) string {
	s := strings.ReplaceAll(marked, "{{", `{{"{{"}}`)
	return substitution{dir: "{{.Dir}}", port: func(port int) string {
		i := slices.IndexFunc(w.p.listeners, func(l Listener) bool { return l.Port == port })
		if !w.p.listeners[i].Proven {
			return strconv.Itoa(port)
		}
		return fmt.Sprintf("{{.Port %q}}", w.p.listeners[i].Name)
	}}.fill(s)
}

// moves reports whether a marked text changes from node to node.
func (w *writer) moves(marked string) bool {
	return w.expand(marked) != strings.ReplaceAll(substitution{}.fill(marked), "{{", `{{"{{"}}`)
}

func (w *writer) head(l *learner, d *Draft) {
	w.comment("A draft, learned by watching " + strings.Join(l.command.args, " ") + " in a copy of " + l.self + ". Still to do, or to know:")
	for _, words := range d.Words {
		w.comment("- " + words)
	}
	w.comment("`onemore help templates` describes every key; `onemore templates check` tries it all.")
	w.line("summary = %s", str(l.o.Name+", from a draft"))
}

func (w *writer) program(c command) {
	if c.program == "" {
		return
	}
	w.line("\n[program]\ncommand = %s\npaths = [%s]", str(c.program), str(c.path))
}

func (w *writer) listener(f Listener) {
	if !f.Proven {
		w.line("")
		w.comment(fmt.Sprintf("Not proven: %s.", f.Why))
		w.comment(fmt.Sprintf("[listeners.%s]\nport = %d", f.Name, f.Port))
		if !slices.Equal(f.Protocols, []string{"tcp"}) {
			w.comment(fmt.Sprintf("protocols = [%s]", list(f.Protocols)))
		}
		return
	}
	w.line("\n[listeners.%s]", f.Name)
	for _, where := range f.Where {
		w.comment(where)
	}
	if f.Derive != "" {
		w.line("derive = %s", str(f.Derive))
	} else {
		w.line("port = %d", f.Port)
	}
	if !slices.Equal(f.Protocols, []string{"tcp"}) {
		w.line("protocols = [%s]", list(f.Protocols))
	}
	if f.Any != "" {
		w.line(`bind = "0.0.0.0" # it binds all addresses`)
	}
	if f.speaksHTTP {
		w.line(`url = "http://{{.Addr}}"`)
	}
	if file, key, ok := w.p.occurrences.declared(f.Port); ok {
		w.line("file = %s\nkey = %s", str(file), str(key))
	}
}

// declared is the key that says a listener's port, and nothing after it.
func (p occurrences) declared(port int) (file, key string, ok bool) {
	plain := regexp.MustCompile(`(^|:)` + regexp.QuoteMeta(token{port: port}.mark()) + `/?$`)
	for _, f := range p.files {
		for _, k := range f.keys {
			if plain.MatchString(k.value) && !strings.Contains(k.value, ",") {
				return f.path, k.key, true
			}
		}
	}
	return "", "", false
}

// files writes the edits, and the files that are written anew.
func (w *writer) files() {
	for _, f := range w.p.occurrences.files {
		if f.format == "" {
			if w.moves(f.text) {
				w.line("\n[[file]]\npath = %s\nmode = \"%04o\"\ntext = %s", str(f.path), f.mode, multi(w.expand(f.text)))
			}
			continue
		}
		var keys []keyOccurrence
		for _, k := range f.keys {
			if k.place == "" && w.moves(k.value) {
				keys = append(keys, k)
			}
		}
		if len(keys) == 0 {
			continue
		}
		w.line("\n[[edit]]\nfile = %s\nformat = %s\n[edit.set]", str(f.path), str(f.format))
		for _, k := range keys {
			w.line("%s = %s", quoted(k.key), w.text(k.value))
		}
	}
}

func (w *writer) start(c command) {
	args := []string{}
	for i, a := range w.p.occurrences.args {
		if i == 0 && c.program != "" {
			args = append(args, `"{{.Bin}}"`)
			continue
		}
		args = append(args, w.text(a))
	}
	w.line("\n[start]\ncommand = [%s]", strings.Join(args, ", "))
}

// ready writes what shows that a node serves, and lines for people.
func (w *writer) ready() {
	var lines []string
	asked := false
	for _, f := range w.p.listeners {
		if !f.Proven || f.Protocols[0] != "tcp" {
			continue
		}
		if !f.speaksHTTP && f.Derive == "" {
			lines = append(lines, str(fmt.Sprintf(`nc {{.Host}} {{.Port "%s"}}`, f.Name)))
		}
		if !f.speaksHTTP {
			continue
		}
		lines = append(lines, str(fmt.Sprintf(`curl http://{{.Addr "%s"}}%s`, f.Name, f.HTTP)))
		if f.HTTP != "" && !asked {
			asked = true
			w.line("\n[[ready.call]]\nhttp = %s", str(fmt.Sprintf(`http://{{.Addr "%s"}}%s`, f.Name, f.HTTP)))
		}
	}
	if !asked {
		w.line("")
		w.comment("Ready is: all listeners are open. Better, if the server can be asked whether it is well:\n[[ready.call]]\nexec = [\"…\"]")
	}
	w.line("\n[client]\ncommands = [%s]", strings.Join(lines, ", "))
}

func (w *writer) join() {
	w.line("")
	w.comment(`To be written: how a node becomes a member, by what is in its config or by a command, and how it tells how many it sees.
[join]
default = "config"
[[join.config.edit]]
file = "…"
[join.config.edit.set]
seeds = '{{range .Others}}{{.Addr "…"}} {{end}}'
[members.call]
http = 'http://{{.Addr "…"}}/members'
json = "members"`)
}

// str is a TOML string: as it stands where that can be, since texts of templates have quotes of their own.
func str(s string) string {
	if strings.ContainsAny(s, "'\n\r\t") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) || !strings.ContainsAny(s, `"\`) {
		return quoted(s)
	}
	return "'" + s + "'"
}

// quoted is a basic string; TOML knows the escapes of JSON.
func quoted(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a text
	}
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

// multi is a text of several lines.
func multi(s string) string {
	if strings.Contains(s, "'''") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) || strings.HasSuffix(s, "'") {
		return quoted(s)
	}
	return "'''\n" + s + "'''"
}

func list(items []string) string {
	out := make([]string, 0, len(items))
	for _, s := range items {
		out = append(out, str(s))
	}
	return strings.Join(out, ", ")
}
