package template

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// scope says which data a text is expanded with, and so which names it may read.
type scope int

const (
	inNode    scope = iota // *Data
	inService              // *Data without a node of its own
	inName                 // NameData
	inWhen                 // WhenData
	inShared               // SharedData
	inURL                  // URLData
	inRefuse               // RefuseData
	inFault                // *Data with a Fault
	inSeed                 // *Data with a Seed
	inDefault              // DefaultData
	inRelease              // ReleaseData
)

// eachCall calls visit for every call of the template, with the key under which it stands.
func (t *Template) eachCall(visit func(key string, c *Call)) {
	list := func(key string, calls []Call) {
		for i := range calls {
			visit(fmt.Sprintf("%s[%d]", key, i), &calls[i])
		}
	}
	list("prepare", t.Prepare)
	visit("start.staged", &t.Start.Staged)
	visit("bootstrap.call", &t.Bootstrap.Call)
	list("ready.call", t.Ready.Calls)
	for _, method := range slices.Sorted(maps.Keys(t.Join.Methods)) {
		list("join."+method+".call", t.Join.Methods[method].Calls)
	}
	list("form", t.Form)
	list("seed", t.Seed)
	list("add.before", t.Add.Before)
	list("add.after", t.Add.After)
	visit("members.call", &t.Members.Call)
	visit("members.otherwise", &t.Members.Otherwise)
	list("members.require", t.Members.Require)
	list("leave", t.Leave)
	for i := range t.Refresh {
		visit(fmt.Sprintf("refresh[%d]", i), &t.Refresh[i].Call)
	}
	list("upgrade.before", t.Upgrade.Before)
	visit("fault.set", &t.Fault.Set)
	visit("fault.clear", &t.Fault.Clear)
}

// eachEdit calls visit for every edit of the template, with the key under which it stands.
func (t *Template) eachEdit(visit func(key string, e *Edit)) {
	for i := range t.Edits {
		visit(fmt.Sprintf("edit[%d]", i), &t.Edits[i])
	}
	for _, method := range slices.Sorted(maps.Keys(t.Join.Methods)) {
		m := t.Join.Methods[method]
		for i := range m.Edits {
			visit(fmt.Sprintf("join.%s.edit[%d]", method, i), &m.Edits[i])
		}
		for i := range m.Joined {
			visit(fmt.Sprintf("join.%s.joined[%d]", method, i), &m.Joined[i])
		}
	}
}

// values are the texts of the edit, by the key under which they stand.
func (e *Edit) values() iter.Seq2[string, map[string]string] {
	return func(yield func(string, map[string]string) bool) {
		_ = yield("set", e.Set) && yield("raw", e.Raw) && yield("present", e.Present) && yield("default", e.Default)
	}
}

// eachText calls visit for every text of the template.
func (t *Template) eachText(visit func(key string, where scope, src string)) {
	args := func(key string, where scope, list []string) {
		for i, s := range list {
			visit(fmt.Sprintf("%s[%d]", key, i), where, s)
		}
	}
	table := func(key string, where scope, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			visit(key+"."+k, where, m[k])
		}
	}
	visit("node.name", inName, t.Node.Name)
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		visit("params."+name+".default", inDefault, t.Params[name].Default)
	}
	eachRefusalText(t.Refuse, t.Notes, visit)
	t.eachListenerText(visit)
	t.Release.eachText(visit)
	args("program.version", inService, t.Program.Version)
	eachServiceText(t.Services, args, table, visit)
	table("environment", inNode, t.Environment)
	t.eachEdit(func(key string, e *Edit) {
		visit(key+".when", inNode, e.When)
		for name, values := range e.values() {
			table(key+"."+name, inNode, values)
		}
	})
	for i, f := range t.Files {
		visit(fmt.Sprintf("file[%d].text", i), inNode, f.Text)
		visit(fmt.Sprintf("file[%d].when", i), inNode, f.When)
	}
	args("start.command", inNode, t.Start.Command)
	visit("start.dir", inNode, t.Start.Dir)
	table("start.environment", inNode, t.Start.Environment)
	args("bootstrap.args", inNode, t.Bootstrap.Args)
	table("bootstrap.environment", inNode, t.Bootstrap.Environment)
	for _, method := range slices.Sorted(maps.Keys(t.Join.Methods)) {
		table("join."+method+".environment", inNode, t.Join.Methods[method].Environment)
	}
	args("stop.command", inNode, t.Stop.Command)
	args("ctl.command", inNode, t.Ctl.Command)
	args("client.commands", inNode, t.Client.Commands)
	visit("snapshot.note", inNode, t.Snapshot.Note)
	table("client.environment", inNode, t.Client.Environment)
	t.eachCall(func(key string, c *Call) {
		where := scopeOfCall(key)
		c.eachText(func(sub, src string) { visit(key+"."+sub, where, src) })
	})
}

// eachRefusalText calls visit for every text of refusals and notes.
func eachRefusalText(refusals []Refusal, notes []Note, visit func(key string, where scope, src string)) {
	for i, r := range refusals {
		visit(fmt.Sprintf("refuse[%d].when", i), inRefuse, r.When)
		visit(fmt.Sprintf("refuse[%d].reason", i), inRefuse, r.Reason)
	}
	for i, n := range notes {
		visit(fmt.Sprintf("note[%d].when", i), inRefuse, n.When)
		visit(fmt.Sprintf("note[%d].text", i), inRefuse, n.Text)
	}
}

// scopeOfCall is what the texts of a call see, by the key under which it stands.
func scopeOfCall(key string) scope {
	switch {
	case strings.HasPrefix(key, "fault."):
		return inFault
	case strings.HasPrefix(key, "seed["):
		return inSeed
	}
	return inNode
}

// eachListenerText calls visit for every text of listeners and places.
func (t *Template) eachListenerText(visit func(key string, where scope, src string)) {
	for i, list := range [][]Listener{t.Listeners, t.Shared} {
		for _, l := range list {
			key := [...]string{"listeners.", "shared."}[i] + l.Name
			visit(key+".url", inURL, l.URL)
			visit(key+".value", inURL, l.Value)
			visit(key+".when", [...]scope{inWhen, inShared}[i], l.When)
		}
	}
	for _, p := range t.Places {
		visit("places."+p.Name+".path", inNode, p.Path)
		visit("places."+p.Name+".when", inWhen, p.When)
	}
}

// eachText calls visit for every text of the call.
func (c *Call) eachText(visit func(key, src string)) {
	for _, one := range [...]struct{ key, src string }{
		{"http", c.HTTP}, {"method", c.Method}, {"body", c.Body}, {"user", c.User}, {"tls", c.TLS}, {"cert", c.Cert}, {"key", c.Key}, {"tcp", c.TCP}, {"send", c.Send},
		{"expect", c.Expect}, {"refuse", c.Refuse}, {"number", c.Number}, {"count", c.Count}, {"json", c.JSON}, {"when", c.When},
	} {
		visit(one.key, one.src)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Header)) {
		visit("header."+k, c.Header[k])
	}
	for i, s := range c.Exec {
		visit(fmt.Sprintf("exec[%d]", i), s)
	}
}

// callReads reports whether any text of the call reads {{.NAME}}.
func (t *Template) callReads(c *Call, name string) bool {
	reads := false
	c.eachText(func(_, src string) { reads = reads || t.Reads(src, name) })
	return reads
}

// ReadsProgram reports whether any text that a cluster is made by reads the Bin of a node.
func (t *Template) ReadsProgram() bool {
	reads := false
	t.eachText(func(key string, _ scope, src string) {
		if isText(src) && !strings.HasPrefix(key, "program.") && t.texts != nil && t.texts.bySrc[src] != nil {
			references(t.texts.bySrc[src].parsed.Root, true, func(m reference) { reads = reads || slices.Contains(m.path, "Bin") })
		}
	})
	return reads
}

// NeedsPeer reports whether the call can't be made in a cluster of one node: it asks, or speaks of, another member.
func (t *Template) NeedsPeer(c *Call) bool { return c.On == "peer" || t.callReads(c, "Peer") }
