package learn

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"onemore/launcher/internal/template"
)

// draft turns what was proven into a template.
func (l *learner) draft(p *proof, first *trial, c changes, own []string) (*Draft, error) {
	nameAll(p)
	d := &Draft{Name: l.o.Name, Listeners: p.listeners, Places: l.places, Wrote: append(c.exclude, l.tree.special...)}
	d.Words = l.remarks(p, first, c)
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
	if len(p.occurrences.env)+len(own) > 0 {
		w.line("\n[environment]")
		if len(own) > 0 {
			w.line("# What the server seems to read; nodes don't get it from the shell.\nown = [%s]", list(own))
		}
		for _, name := range slices.Sorted(maps.Keys(p.occurrences.env)) {
			w.line("%s = %s", str(name), w.text(p.occurrences.env[name]))
		}
	}
	w.start(l.command)
	w.ready()
	w.join()
	d.TOML = w.b.String()
	if _, err := template.Parse(l.o.Name, []byte(d.TOML)); err != nil {
		return nil, fmt.Errorf("check the draft: %w", err)
	}
	return d, nil
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
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		if _, had := l.tree.files[name]; had {
			out = append(out, fmt.Sprintf("The server changed %s, which its directory has: nodes begin without it.", name))
		}
	}
	if first.killed {
		out = append(out, fmt.Sprintf("The server did not end within %v of TERM and was killed; see [stop].", stopGrace))
	}
	return out
}

// nameAll gives the listeners names, after the keys that hold them.
func nameAll(p *proof) {
	taken := map[string]bool{"number": true, "index": true}
	for i := range p.listeners {
		f := &p.listeners[i]
		if f.Derive != "" {
			continue
		}
		f.Name = unique(p.occurrences.nameOf(*f), taken)
	}
	for i := range p.listeners {
		f := &p.listeners[i]
		if f.Derive == "" {
			continue
		}
		cut := strings.IndexAny(f.Derive[1:], "+-") + 1
		of, _ := strconv.Atoi(f.Derive[:cut])
		k := slices.IndexFunc(p.listeners, func(o Listener) bool { return o.Port == of })
		f.Derive = fmt.Sprintf("%s %s %s", p.listeners[k].Name, f.Derive[cut:cut+1], f.Derive[cut+1:])
		f.Name = unique(p.listeners[k].Name+"_derived", taken)
	}
}

func unique(name string, taken map[string]bool) string {
	try := name
	for i := 2; taken[try]; i++ {
		try = fmt.Sprintf("%s%d", name, i)
	}
	taken[try] = true
	return try
}

var (
	nameParts    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[A-Za-z][A-Za-z0-9]*`) })
	genericWords = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(ports?|listen(er|ers|ing)?|bind|addr|address(es)?|urls?|uri|host|sock(et)?|default|server|service|interface|conf|config|p|d|l|http|tcp|udp|[0-9]+)$`)
	})
)

// nameOf makes a name of the first key or option that holds a listener's port.
func (p occurrences) nameOf(f Listener) string {
	mark := token{port: f.Port}.mark()
	var texts []string
	for _, file := range p.files {
		for _, k := range file.keys {
			if strings.Contains(k.value, mark) {
				texts = append(texts, k.key)
			}
		}
	}
	for i, a := range p.args {
		if before, _, ok := strings.Cut(a, mark); ok {
			if before == "" && i > 0 {
				before = p.args[i-1]
			}
			texts = append(texts, before)
		}
	}
	for _, text := range texts {
		parts := nameParts().FindAllString(text, -1)
		slices.Reverse(parts)
		for _, part := range parts {
			if part = strings.ToLower(part); !genericWords().MatchString(part) && len(part) > 1 && len(part) < 20 {
				return part
			}
		}
	}
	switch {
	case f.speaksHTTP:
		return "http"
	case slices.Equal(f.Protocols, []string{"udp"}):
		return "udp"
	}
	return "client"
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

// moves tells whether a marked text changes from node to node.
func (w *writer) moves(marked string) bool {
	return w.expand(marked) != strings.ReplaceAll(substitution{}.fill(marked), "{{", `{{"{{"}}`)
}

func (w *writer) head(l *learner, d *Draft) {
	w.comment("A draft, learned by watching " + strings.Join(l.command.args, " ") + " in a copy of " + l.self + ". Still to do, or to know:")
	for _, words := range d.Words {
		w.comment("- " + words)
	}
	w.comment("docs/templates.md describes every key; `onemore templates check` tries it all.")
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
