package template

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// checkTexts parses every text and expands it for sample nodes, so that a text that could fail later fails here.
func (t *checker) checkTexts() {
	t.texts, t.reads = newTexts(), reads{keys: map[string][]string{}, matches: map[string][]string{}}
	for _, p := range t.Params {
		if isText(p.Default) {
			_, _ = t.texts.add(p.Default) // the samples have it; what is wrong is reported below
		}
	}
	c := textCheck{t: t.Template, found: t.found, names: scopeNames(), listeners: listenerNames(t.Listeners), shared: listenerNames(t.Shared)}
	c.samples = t.samples()
	for name, p := range t.Params {
		if re, err := WholeMatch(p.Match); isText(p.Default) && p.Match != "" && err == nil && !re.MatchString(c.samples[0].Param[name]) {
			t.found.add("params."+name+".default", "without a source %q becomes %q, which does not match %q", p.Default, c.samples[0].Param[name], p.Match)
		}
	}
	t.eachText(func(key string, where scope, src string) {
		if isText(src) {
			c.check(key, where, src)
		} else if strings.HasSuffix(key, ".when") && src != "" && src != "true" && src != "false" {
			t.found.add(key, "%q is neither true nor false", src)
		}
	})
	if t.Node.Name == "" {
		t.found.add("node.name", "is missing; such as node{{.NameIndex}}@{{.Host}}")
	} else if !t.Reads(t.Node.Name, "NameIndex") && !t.Reads(t.Node.Name, "Index") && t.texts.bySrc[t.Node.Name] != nil {
		t.found.add("node.name", "%q is the same for all nodes; write {{.NameIndex}} into it", t.Node.Name)
	} else if !isText(t.Node.Name) {
		t.found.add("node.name", "%q is the same for all nodes; write {{.NameIndex}} into it", t.Node.Name)
	}
	t.eachCall(func(key string, call *Call) { c.checkRegexps(key, call) })
}

type textCheck struct {
	t                 *Template
	found             *problems
	names             map[scope]map[string]bool
	listeners, shared []string
	samples           []*Data
}

func (c *textCheck) check(key string, where scope, src string) {
	one, err := c.t.texts.add(src)
	if err != nil {
		c.found.add(key, "%q: %v", src, err)
		return
	}
	before := len(c.found.list)
	references(one.parsed.Tree.Root, true, func(m reference) { c.checkReference(key, where, m, one.readsStack) })
	if len(c.found.list) > before {
		return
	}
	for _, sample := range c.samples {
		got, err := c.t.Expand(src, sampleFor(where, sample))
		if err != nil {
			c.found.add(key, "%v", err)
			return
		}
		if strings.HasSuffix(key, ".when") && got != "true" && got != "false" {
			c.found.add(key, "%q expands to %q, which is neither true nor false", src, got)
			return
		}
	}
}

// checkReference refuses a name that no data has, also where the samples would not come by.
func (c *textCheck) checkReference(key string, where scope, m reference, readsStack bool) {
	if len(m.path) == 0 {
		return
	}
	names := c.names[where]
	if !m.root {
		names = c.names[inNode] // a range or with may have put any node in dot's place
	}
	first := m.path[0]
	if readsStack && !m.root {
		return // dot may be a node of another cluster, whose listeners are not known here
	}
	if !names[first] {
		c.found.add(key, "{{.%s}} is unknown here; have %s", first, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
		return
	}
	if first == "Param" && m.root && len(m.path) > 1 {
		if _, ok := c.t.Params[m.path[1]]; !ok {
			c.found.add(key, "{{.Param.%s}}: no [params.%s] is declared; have %s", m.path[1], m.path[1], oneOf(slices.Sorted(maps.Keys(c.t.Params))))
		}
	}
	switch last := m.path[len(m.path)-1]; {
	case last == "Source" || last == "SourceMatch":
		c.checkSource(key, last, m.args)
	case m.arg() == "" || where == inURL:
	case last == "Port" || last == "Addr" || last == "URL" || last == "Scheme" || last == "Has":
		c.checkKnown(key, last, m.arg(), "listener", c.listeners)
	case last == "Shared":
		c.checkKnown(key, last, m.arg(), "shared listener", c.shared)
	case last == "Tool":
		c.checkKnown(key, last, m.arg(), "program of program.needs", c.t.Program.Needs)
	}
}

// checkSource notes what a text reads of a source, so that it is read before anything is planned.
func (c *textCheck) checkSource(key, method string, args []argument) {
	if len(args) != 2 || !args[0].literal || args[0].text == "" || method == "SourceMatch" && !args[1].literal {
		c.found.add(key, "{{.%s}} takes a file and what to look for in it, in quotes: {{.%s \"etc/server.conf\" %q}}", method, method,
			map[string]string{"Source": "password", "SourceMatch": "(?m)^user (.*)$"}[method])
		return
	}
	file, what := args[0].text, args[1].text
	if method == "SourceMatch" {
		checkGlob(c.found, key, file)
		checkRegexp(c.found, key, what)
		c.t.reads.matches[file] = addOnce(c.t.reads.matches[file], what)
		return
	}
	checkRelative(c.found, key, file)
	if c.t.FormatOf(file) == "" {
		c.found.add(key, "{{.Source %q}}: the format of that file is not known; read it with .SourceMatch, or give an [[edit]] or a listener of it a format", file)
	}
	if !args[1].literal {
		what = "*" // any key may be asked for
	}
	c.t.reads.keys[file] = addOnce(c.t.reads.keys[file], what)
}

// reads is what the texts of a template read of a source, by file: keys, and regexps.
type reads struct{ keys, matches map[string][]string }

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (c *textCheck) checkKnown(key, method, arg, what string, known []string) {
	if !slices.Contains(known, arg) {
		c.found.add(key, "{{.%s %q}}: no %s is called %q; have %s", method, arg, what, arg, oneOf(known))
	}
}

func (c *textCheck) checkRegexps(key string, call *Call) {
	for _, one := range [...]struct{ key, src string }{
		{"expect", call.Expect}, {"refuse", call.Refuse}, {"number", call.Number}, {"count", call.Count}, {"tls", call.TLS},
	} {
		expr, err := c.t.Expand(one.src, sampleFor(inFault, c.samples[0])) // which has what all other places have
		if err != nil {
			continue // reported already
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			c.found.add(key+"."+one.key, "%v", err)
			continue
		}
		if one.key == "number" && expr != "" && re.NumSubexp() == 0 {
			c.found.add(key+".number", "%q has no group ( ) around the number", expr)
		}
	}
}

func oneOf(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// scopeNames are the names that texts may read, by place.
func scopeNames() map[scope]map[string]bool {
	hidden := []string{"Node", "Ports", "Tools", "SharedPort", "Sources", "Config", "Given", "SharedData", "Needed"} // how Data holds what its methods give
	of := func(v any, without ...string) map[string]bool {
		names := make(map[string]bool)
		typ := reflect.TypeOf(v)
		for m := range typ.NumMethod() {
			names[typ.Method(m).Name] = true
		}
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		for _, f := range reflect.VisibleFields(typ) {
			names[f.Name] = true
		}
		for _, name := range append(hidden, without...) {
			delete(names, name)
		}
		return names
	}
	return map[scope]map[string]bool{
		inNode:    of(&Data{}, "Fault", "Seed"),
		inFault:   of(&Data{}, "Seed"),
		inSeed:    of(&Data{}, "Fault"),
		inService: of(&Data{}, "Index", "NameIndex", "Number", "Role", "Name", "Salt", "Dir", "Folder", "Port", "Addr", "URL", "Scheme", "Has", "Others", "Peer", "Adding", "Fault", "Seed"),
		inName:    of(NameData{}),
		inWhen:    of(WhenData{}),
		inShared:  of(SharedData{}),
		inURL:     of(URLData{}),
		inRefuse:  of(RefuseData{}),
		inDefault: of(DefaultData{}),
		inRelease: of(ReleaseData{}),
	}
}
