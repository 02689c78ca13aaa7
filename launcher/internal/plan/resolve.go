package plan

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/nearest"
	"onemore/launcher/internal/template"
)

// resolve completes the options: what a formed cluster has recorded, and defaults; and the template by what the source
// says. Its error joins all that is wrong.
func (o Options) resolve(t *template.Template) (*template.Template, Options, error) {
	if o.Formed != nil {
		o = o.withRecorded(o.Formed)
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.Join == "" {
		o.Join = t.Join.Default
	}
	var err error
	if o.Config == nil {
		if o.Config, err = t.OwnConfig(); err != nil {
			return nil, o, err
		}
	}
	t = t.With(o.Config)
	params := make(map[string]string, len(t.Params))
	for name, p := range t.Params {
		if params[name], err = t.Expand(p.Default, template.DefaultData{Sources: template.Sources{Config: o.Config}}); err != nil {
			return nil, o, fmt.Errorf("plan parameter %q: %w", name, err)
		}
	}
	maps.Copy(params, o.Params)
	o.Params = params
	if len(params) == 0 {
		o.Params = nil
	}
	return t, o, errors.Join(o.check(t)...)
}

// withRecorded gives the options of an addition: the recorded ones, and over them what may be given anew.
func (o Options) withRecorded(f *Plan) Options {
	kept := f.Options
	kept.Nodes, kept.Formed, kept.Acting, kept.Salt, kept.Renew, kept.Places = nil, f, o.Acting, o.Salt, o.Renew, o.Places
	kept.Roles, kept.Role = o.Roles, o.Role
	for _, index := range o.Nodes {
		if f.node(index) == nil {
			kept.Nodes = append(kept.Nodes, index)
		}
	}
	kept.Env = merged(kept.Env, o.Env)
	kept.Tools = merged(kept.Tools, o.Tools)
	kept.Node = merged(kept.Node, o.Node)
	kept.Needs = merged(kept.Needs, o.Needs)
	kept.Configs = merged(kept.Configs, o.Configs)
	if o.Files != nil {
		kept.Files = o.Files
	}
	for _, over := range []struct{ to, from *string }{{&kept.Source, &o.Source}, {&kept.Bin, &o.Bin}, {&kept.Onemore, &o.Onemore}} {
		if *over.from != "" {
			*over.to = *over.from
		}
	}
	return kept
}

func merged[K comparable, V any](under, over map[K]V) map[K]V {
	if len(under)+len(over) == 0 {
		return nil
	}
	out := make(map[K]V, len(under)+len(over))
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// node gives the node of that index, nil if there is none.
func (p *Plan) node(index int) *Node {
	for i := range p.Nodes {
		if p.Nodes[i].Index == index {
			return &p.Nodes[i]
		}
	}
	return nil
}

// at begins an error about an option that stands in a file.
func (o *Options) at(key string) string {
	if place := o.Places[key]; place != "" {
		return place + ": "
	}
	return ""
}

func (o *Options) check(t *template.Template) (errs []error) {
	refuse := func(hint, format string, args ...any) {
		errs = append(errs, &Refusal{Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	o.checkNodes(t, refuse)
	if !filepath.IsAbs(o.Dir) {
		refuse("", "the cluster's folder %q is not absolute", o.Dir)
	}
	if o.Spread && !t.Node.SpreadAddress {
		refuse("leave --spread out", "%stemplate %q does not allow an address per node", o.at("spread"), t.Name)
	}
	if o.Offset < 0 {
		refuse("give a step above 0, or leave --offset out", "offset %d is below 0", o.Offset)
	}
	if _, known := t.Join.Methods[o.Join]; !known && o.Join != "none" {
		refuse("--join takes "+strings.Join(append(slices.Sorted(maps.Keys(t.Join.Methods)), "none"), ", "),
			"%stemplate %q has no way to join called %q", o.at("join"), t.Name, o.Join)
	}
	for _, env := range []map[string]string{o.Env, t.Environment, t.Start.Environment} {
		for key := range env {
			if key == "" || strings.ContainsAny(key, "=\x00") {
				refuse("--env takes NAME=VALUE", "%q is no name of an environment variable", key)
			}
		}
	}
	o.checkSets(t, refuse)
	o.checkParams(t, refuse)
	return errs
}

func (o *Options) checkNodes(t *template.Template, refuse func(hint, format string, args ...any)) {
	seen := make(map[int]bool)
	for _, index := range o.Nodes {
		if index < 1 || seen[index] {
			refuse("nodes are numbered from 1, each number once", "node %d can't be made", index)
		}
		seen[index] = true
		source := o.source(index)
		if source == "" && t.Copy.Source == "required" {
			refuse("-s DIR names it", "template %q needs a node directory to copy, and none was given", t.Name)
			break
		}
		if source != "" && t.Copy.Source == "none" {
			refuse("leave --source out", "%stemplate %q copies no node directory, but %q was given", o.at("source"), t.Name, source)
			break
		}
	}
	n := len(seen)
	if o.Formed != nil {
		n += len(o.Formed.Nodes)
	}
	switch {
	case n == 0:
		refuse("give a number of nodes from 1", "a cluster of no nodes can't be made")
	case n < t.MinNodes && len(o.Nodes) > 0:
		reason := ""
		if t.MinReason != "" {
			reason = ": " + t.MinReason
		}
		refuse(fmt.Sprintf("give %d nodes or more", t.MinNodes), "a cluster of template %q needs %d nodes or more, not %d%s", t.Name, t.MinNodes, n, reason)
	}
	if len(o.Nodes) > 0 {
		o.checkRefused(t, n, refuse)
		o.checkPlaces(t, refuse)
		o.checkConfigs(t, refuse)
	}
	for _, index := range slices.Sorted(maps.Keys(o.Node)) {
		if !seen[index] && o.Formed == nil {
			refuse("make more nodes, or leave its options out", "options were given for node %d, but the cluster has no such node", index)
		}
	}
}

// checkRefused asks the template whether n nodes with these settings can be a cluster.
func (o *Options) checkRefused(t *template.Template, n int, refuse func(hint, format string, args ...any)) {
	data := o.refuseData(n)
	for _, r := range t.Refuse {
		no, err := isTrue(t, r.When, data)
		reason := r.Reason
		if err == nil && no {
			reason, err = t.Expand(r.Reason, data)
		}
		switch {
		case err != nil:
			refuse("", "template %q: %v", t.Name, err)
		case no:
			refuse("", "a cluster of template %q with %d nodes can't be made so: %s", t.Name, n, reason)
		}
	}
}

func (o *Options) refuseData(n int) template.RefuseData {
	return template.RefuseData{Sources: template.Sources{Config: o.Config}, N: n, Host: o.Host, Cluster: o.Cluster, Join: o.Join, Param: o.Params, Given: o.Env}
}

// checkPlaces refuses places outside of the source of which nodes need what is there.
func (o *Options) checkPlaces(t *template.Template, refuse func(hint, format string, args ...any)) {
	for _, p := range t.Places {
		for _, config := range slices.Concat([]*template.Config{o.Config}, slices.Collect(maps.Values(o.Configs))) {
			for _, c := range config.Places {
				if c.Place == p.Name && p.Refuse != "" && c.Inside == "" && leadsOut(c.Value) {
					refuse("", "%s of the source has %s = %s: %s", p.File, c.Key, c.Value, p.Refuse)
				}
			}
		}
	}
}

// checkConfigs refuses sources of single nodes that have listeners which the cluster's nodes do not have.
func (o *Options) checkConfigs(t *template.Template, refuse func(hint, format string, args ...any)) {
	for _, index := range slices.Sorted(maps.Keys(o.Configs)) {
		for _, name := range slices.Sorted(maps.Keys(o.Configs[index].Listeners)) {
			d := o.Configs[index].Listeners[name]
			known := slices.ContainsFunc(t.Listeners, func(l template.Listener) bool { return l.Name == name })
			if !d.Off && d.Port > 0 && !known {
				refuse("give the cluster's source that listener, too, or take it out of this one",
					"source of node %d has a listener that the cluster's source does not have: %s (port %d)", index, d.Key, d.Port)
			}
		}
	}
}

// configOf is what the config files of the source of a node say.
func (o *Options) configOf(index int) *template.Config {
	if own := o.Configs[index]; own != nil {
		return own
	}
	return o.Config
}

// notes are those of the template that hold for a cluster of n nodes.
func (o *Options) notes(t *template.Template, n int) ([]string, error) {
	var out []string
	data := o.refuseData(n)
	for _, note := range t.Notes {
		on, err := isTrue(t, note.When, data)
		if err != nil || !on {
			if err != nil {
				return nil, fmt.Errorf("template %q: note: %w", t.Name, err)
			}
			continue
		}
		text, err := t.Expand(note.Text, data)
		if err != nil {
			return nil, fmt.Errorf("template %q: note: %w", t.Name, err)
		}
		out = append(out, text)
	}
	return out, nil
}

func (o *Options) source(index int) string {
	if own := o.Node[index].Source; own != "" {
		return own
	}
	return o.Source
}

// bin is the program of a node.
func (o *Options) bin(index int) string {
	if own := o.Node[index].Bin; own != "" {
		return own
	}
	return o.Bin
}

func (o *Options) checkSets(t *template.Template, refuse func(hint, format string, args ...any)) {
	known := make(map[string]template.Listener)
	for _, l := range t.Listeners {
		known[l.Name] = l
	}
	own := maps.Clone(known)
	for _, l := range t.Shared {
		known[l.Name] = l
	}
	check := func(set map[string]int, known map[string]template.Listener, flag, key string) {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			l, ok := known[name]
			at := o.at(key + name)
			switch {
			case !ok:
				refuse(nearestOr(name, slices.Sorted(maps.Keys(known)), flag+" takes "), "%stemplate %q has no listener %q", at, t.Name, name)
			case l.Derive != "" && o.Config.Listeners[name].Port == 0:
				refuse("set what it is derived from", "%slistener %q can't be set: its port is %s", at, name, l.Derive)
			case set[name] < 1 || set[name] > 65535:
				refuse("ports are 1 to 65535", "%slistener %q can't be set to port %d", at, name, set[name])
			}
		}
	}
	check(o.Set, known, "--set", "set.")
	for _, index := range slices.Sorted(maps.Keys(o.Node)) {
		check(o.Node[index].Set, own, fmt.Sprintf("--node %d:set", index), fmt.Sprintf("node.%d.set.", index))
	}
}

// nearestOr is a hint about a name that is not known: the one that was meant, or all, after what lists them.
func nearestOr(name string, known []string, all string) string {
	if hint := nearest.Hint(name, known, strconv.Quote); hint != "" {
		return hint
	}
	return all + strings.Join(known, ", ")
}

func (o *Options) checkParams(t *template.Template, refuse func(hint, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		p, ok := t.Params[name]
		if !ok {
			hint := "leave it out: the template has no parameters"
			if len(t.Params) > 0 {
				hint = nearestOr(name, slices.Sorted(maps.Keys(t.Params)), "it has: ")
			}
			refuse(hint, "%stemplate %q has no parameter %q", o.at("params."+name), t.Name, name)
			continue
		}
		if p.Match == "" {
			continue
		}
		re, err := template.WholeMatch(p.Match)
		if err != nil || !re.MatchString(o.Params[name]) {
			refuse("--param "+name+"=VALUE: "+p.Summary, "%sparameter %q of template %q can't be %q: it must match %s", o.at("params."+name), name, t.Name, o.Params[name], p.Match)
		}
	}
}

// ownPorts are the ports that stand in sources of single nodes.
func (o *Options) ownPorts() []template.ConfigPort {
	var out []template.ConfigPort
	for _, index := range slices.Sorted(maps.Keys(o.Configs)) {
		out = append(out, o.Configs[index].Ports...)
	}
	return out
}
