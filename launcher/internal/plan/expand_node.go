package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"onemore/launcher/internal/template"
)

// complete makes the rest of a new node.
func (x *expander) complete(n *Node, d *template.Data) (err error) {
	method := x.t.Join.Methods[x.o.Join]
	if n.Edits, err = x.config(n.Index).allEdits(n, d, method.Edits); err != nil {
		return err
	}
	if n.Joined, err = x.config(n.Index).edits(d, method.Joined); err != nil {
		return err
	}
	if n.Files, err = x.config(n.Index).files(n, d); err != nil {
		return err
	}
	if err := x.processSettings(n, d); err != nil {
		return err
	}
	first := !n.Added && d.First == d.Node
	if n.Prepare, err = x.once(d, x.t.Prepare, first); err != nil {
		return err
	}
	if !first {
		if n.Join, err = x.calls(d, method.Calls); err != nil {
			return err
		}
	}
	if !n.Added {
		if n.Form, err = x.once(d, x.t.Form, first); err != nil {
			return err
		}
	}
	return x.nodeCalls(n, d)
}

// processSettings makes how a node's process is started and stopped.
func (x *expander) processSettings(n *Node, d *template.Data) (err error) {
	method := x.t.Join.Methods[x.o.Join]
	given := maps.Clone(x.o.Env)
	if given == nil {
		given = map[string]string{}
	}
	maps.Copy(given, x.o.Node[n.Index].Env)
	n.Given = slices.Sorted(maps.Keys(given))
	if n.Env, err = x.environment(d, x.t.Environment, method.Environment, given); err != nil {
		return err
	}
	return x.startSettings(n, d)
}

// startSettings makes what a node's process is started and stopped with, but for its environment.
func (x *expander) startSettings(n *Node, d *template.Data) (err error) {
	if n.StartEnv, err = x.environment(d, x.t.Start.Environment, nil); err != nil {
		return err
	}
	if n.Command, err = x.t.ExpandArgs(x.t.Start.Command, d); err != nil {
		return err
	}
	if n.Workdir, err = x.text(x.t.Start.Dir, d); err != nil {
		return err
	}
	if n.Workdir == "" {
		n.Workdir = n.Dir
	}
	if n.Bootstrap, err = x.bootstrap(d); err != nil {
		return err
	}
	n.User = cmp.Or(x.o.User, x.t.Start.User)
	n.Stop = Stop{Signal: x.t.Stop.Signal, Discard: x.t.Stop.Discard, Grace: x.t.Stop.Grace}
	if x.t.Stop.Order != "parallel" {
		n.Stop.Order = x.t.Stop.Order
	}
	n.Stop.Command, err = x.t.ExpandArgs(x.t.Stop.Command, d)
	return err
}

// bootstrap makes what is different at the start of a node that founds its cluster, nil where nothing is.
func (x *expander) bootstrap(d *template.Data) (b *Bootstrap, err error) {
	of := &x.t.Bootstrap
	if len(of.Args)+len(of.Environment) == 0 {
		return nil, nil
	}
	b = &Bootstrap{}
	if b.Args, err = x.t.ExpandArgs(of.Args, d); err != nil {
		return nil, err
	}
	if b.Env, err = x.environment(d, of.Environment, nil); err != nil {
		return nil, err
	}
	b.Call, err = x.oneCall(d, &of.Call)
	return b, err
}

// renewTexts makes anew, for the members of now, what is on a present node's disk and what its process is started with. What
// people gave stays: variables, and files that they laid over.
func (x *expander) renewTexts(n *Node, d *template.Data) (err error) {
	method := x.t.Join.Methods[x.o.Join]
	if n.Edits, err = x.config(n.Index).allEdits(n, d, method.Edits); err != nil {
		return err
	}
	if n.Joined, err = x.config(n.Index).edits(d, method.Joined); err != nil {
		return err
	}
	written, err := x.config(n.Index).templateFiles(d)
	if err != nil {
		return err
	}
	n.Files = slices.Clone(n.Files)
	for _, f := range written {
		same := func(g File) bool { return g.Path == f.Path }
		if at := slices.IndexFunc(n.Files, same); at >= 0 && !slices.ContainsFunc(n.Files[at+1:], same) {
			n.Files[at] = f
		}
	}
	given := map[string]string{}
	for _, kv := range n.Env {
		if name, value, _ := strings.Cut(kv, "="); slices.Contains(n.Given, name) {
			given[name] = value
		}
	}
	if n.Env, err = x.environment(d, x.t.Environment, method.Environment, given); err != nil {
		return err
	}
	return x.startSettings(n, d)
}

// renew makes anew what an upgrade changes of a present node.
func (x *expander) renew(n *Node, d *template.Data) (err error) {
	x.setSource(n)
	if n.Files, err = x.config(n.Index).files(n, d); err != nil {
		return err
	}
	return x.processSettings(n, d)
}

// renewCalls makes the calls of a present node anew: who acts has changed. What is on its disk stays as it was planned.
func (x *expander) renewCalls(n *Node, d *template.Data) (err error) {
	if len(n.Join) > 0 || n.Added {
		if n.Join, err = x.calls(d, x.t.Join.Methods[x.o.Join].Calls); err != nil {
			return err
		}
	}
	return x.nodeCalls(n, d)
}

// nodeCalls makes the calls by which the keeper, and people, talk to a node.
func (x *expander) nodeCalls(n *Node, d *template.Data) (err error) {
	lists := []struct {
		to   *[]Call
		from []template.Call
	}{
		{&n.Ready.Calls, x.t.Ready.Calls},
		{&n.Leave, x.t.Leave},
		{&n.Drain, x.t.Upgrade.Before},
	}
	if n.Added {
		lists = append(lists, []struct {
			to   *[]Call
			from []template.Call
		}{{&n.Before, x.t.Add.Before}, {&n.After, x.t.Add.After}}...)
	}
	for _, l := range lists {
		if *l.to, err = x.calls(d, l.from); err != nil {
			return err
		}
	}
	n.Ready.Notify, n.Ready.Log, n.Ready.Timeout = x.t.Ready.Notify, x.t.Ready.Log, x.t.Ready.Timeout
	n.Ready.LogFiles = x.t.Ready.LogFiles
	n.Members = Members{Notify: x.t.Members.Notify, IncludesStopped: x.t.Members.IncludesStopped, Timeout: x.t.Members.Timeout}
	if n.Members.Require, err = x.calls(d, x.t.Members.Require); err != nil {
		return err
	}
	if n.Members.Call, err = x.oneCall(d, &x.t.Members.Call); err != nil {
		return err
	}
	if n.Members.Call == nil {
		if n.Members.Call, err = x.oneCall(d, &x.t.Members.Otherwise); err != nil {
			return err
		}
	}
	if n.Refresh, err = x.refresh(d); err != nil {
		return err
	}
	if n.Staged, err = x.oneCall(d, &x.t.Start.Staged); err != nil {
		return err
	}
	if n.Ctl, err = x.t.ExpandArgs(x.t.Ctl.Command, d); err != nil {
		return err
	}
	if n.Lacks, err = x.text(x.t.Snapshot.Note, d); err != nil {
		return err
	}
	n.Client = nil
	for _, src := range x.t.Client.Commands {
		line, err := x.text(src, d)
		if err != nil {
			return err
		}
		n.Client = append(n.Client, line)
	}
	n.ClientEnv, err = x.environment(d, x.t.Client.Environment, nil)
	return err
}

// environment expands the texts of the template and of the way to join, and lays what people gave over them.
func (x *expander) environment(d *template.Data, texts, method map[string]string, overrides ...map[string]string) ([]string, error) {
	env := make(map[string]string, len(texts)+len(method))
	for _, m := range []map[string]string{texts, method} {
		for key, src := range m {
			value, err := x.text(src, d)
			if err != nil {
				return nil, err
			}
			if value == "" && src != "" {
				continue // a text that says nothing is no variable
			}
			env[key] = value
		}
	}
	for _, m := range overrides {
		maps.Copy(env, m)
	}
	var out []string
	for key, value := range env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return out, nil
}
