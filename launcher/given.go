package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
)

// given are the options that say what a cluster is made of, but for files: key, as the project's file has it, to value.
func (o Options) given() map[string]string {
	out := map[string]string{}
	put := func(key, value string) {
		if value != "" {
			out[key] = value
		}
	}
	tables := func(at string, set map[string]int, env map[string]string) {
		for name, port := range set {
			out[at+"set."+name] = strconv.Itoa(port)
		}
		for name, value := range env {
			out[at+"env."+name] = value
		}
	}
	for key, value := range map[string]string{"template": o.Template, "source": o.Source, "bin": o.Bin, "host": o.Host, "spread": o.Spread,
		"base": o.Base, "join": o.Join} {
		put(key, value)
	}
	if o.Offset != 0 {
		put("offset", strconv.Itoa(o.Offset))
	}
	tables("", o.Set, o.Env)
	for name, value := range o.Params {
		out["params."+name] = value
	}
	for i, n := range o.Nodes {
		at := fmt.Sprintf("node.%d.", i)
		put(at+"source", n.Source)
		put(at+"bin", n.Bin)
		tables(at, n.Set, n.Env)
	}
	return out
}

// has is what a cluster was made with, by the keys of given. The values of one key are equally good; people are told the
// first one.
func has(p *Plan) map[string][]string {
	o := p.Options
	spread := "port"
	if o.Spread {
		spread = "address"
	}
	out := map[string][]string{"source": {o.Source}, "bin": {o.Bin}, "host": {o.Host}, "spread": {spread}, "join": {o.Join},
		"offset": {strconv.Itoa(p.Offset), strconv.Itoa(o.Offset)}, "base": {strconv.Itoa(p.Shift), o.Base.String()}}
	listeners := func(at string, list []plan.Listener) {
		for _, l := range list {
			out[at+l.Name] = append(out[at+l.Name], strconv.Itoa(l.Port))
		}
	}
	listeners("set.", p.Shared)
	for _, n := range p.Nodes {
		at := fmt.Sprintf("node.%d.", n.Index)
		own := o.Node[n.Index]
		out[at+"source"], out[at+"bin"] = []string{n.Source}, []string{cmp.Or(own.Bin, o.Bin)}
		listeners(at+"set.", n.Listeners)
		for name, value := range over(own.Env, o.Env) {
			out[at+"env."+name] = []string{value}
		}
		if n.Index == 1 {
			listeners("set.", n.Listeners)
		}
	}
	for name, port := range o.Set {
		out["set."+name] = append(out["set."+name], strconv.Itoa(port))
	}
	for name, value := range o.Env {
		out["env."+name] = []string{value}
	}
	for name, value := range o.Params {
		out["params."+name] = []string{value}
	}
	return out
}

// fit refuses options that a formed cluster can't take any more: those that differ from what it was made with. What its new
// nodes are made of may differ. `--base auto` leaves the place to the cluster, and that is where it has one.
func (o Options) fit(p *Plan, added []int) error {
	had := has(p)
	var errs []error
	given := o.given()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		value, kind := given[key], key
		i, what, single := nodeKey(key)
		if single {
			kind = what
			if slices.Contains(added, i) {
				continue
			}
			if !slices.ContainsFunc(p.Nodes, func(n plan.Node) bool { return n.Index == i }) {
				if o.places[key] == "" { // a node of the project may come later
					errs = append(errs, fmt.Errorf("%s: cluster %q has no node %d, and none is added", o.named(key), p.Cluster, i))
				}
				continue
			}
		}
		kind, _, _ = strings.Cut(kind, ".")
		switch {
		case kind == "template", key == "base" && value == "auto":
			continue
		case !single && len(added) > 0 && (kind == "source" || kind == "bin" || kind == "env"):
			continue // of the added nodes
		case kind == "source", kind == "bin":
			abs, err := filepath.Abs(value)
			if err != nil {
				return &InputError{Err: err}
			}
			value = abs
		case kind == "base":
			if n, err := strconv.Atoi(value); err == nil {
				value = strconv.Itoa(n)
			}
		}
		if !slices.Contains(had[key], value) {
			with := "without it"
			if len(had[key]) > 0 && had[key][0] != "" {
				with = fmt.Sprintf("with %s, not %s", had[key][0], value)
			}
			errs = append(errs, fmt.Errorf("%s: cluster %q is there already, %s", o.named(key), p.Cluster, with))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &InputError{Err: errors.Join(errs...),
		Hint: "leave it out, take the cluster down first (`onemore down`), or name another one with -c; `onemore upgrade` changes source and program"}
}

// nodeKey takes a key such as node.3.set.NAME apart.
func nodeKey(key string) (index int, what string, ok bool) {
	rest, ok := strings.CutPrefix(key, "node.")
	if !ok {
		return 0, "", false
	}
	number, what, _ := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	return index, what, err == nil
}

// placed puts before an error where in the project's file the option stands that it is about.
func (o Options) placed(key string, err error) error {
	in, ok := errors.AsType[*InputError](err)
	if place := o.places[key]; ok && place != "" {
		return &InputError{Err: fmt.Errorf("%s: %w", place, in.Err), Hint: in.Hint}
	}
	return err
}

// named says for people where an option was given: a flag, or a place of the project's file.
func (o Options) named(key string) string {
	if place := o.places[key]; place != "" {
		return place
	}
	if i, what, ok := nodeKey(key); ok {
		return fmt.Sprintf("--node %d:%s", i, what)
	}
	kind, name, table := strings.Cut(key, ".")
	if kind == "params" {
		kind = "param"
	}
	if table {
		return "--" + kind + " " + name
	}
	return "--" + kind
}

// checkBin refuses a program where the template runs none that can be named.
func (o Options) checkBin(t *template.Template) error {
	if t.ReadsProgram() {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(o.given())) {
		if _, what, _ := nodeKey(key); key != "bin" && what != "bin" {
			continue
		}
		err := fmt.Errorf("template %s takes no %s", t.Name, o.named(key))
		if o.places[key] != "" {
			err = fmt.Errorf("%s: template %s takes no --bin", o.named(key), t.Name)
		}
		return &InputError{Err: err, Hint: "leave it out; another program of such nodes is in another node directory (--source), or in a template of your own"}
	}
	return nil
}

// checkHost wants an address by which nodes can reach each other: one of this host.
func (o Options) checkHost() error {
	if o.Host == "" {
		return nil
	}
	why, hint := "", "127.0.0.1, which is used without --host, always works"
	addr, err := netip.ParseAddr(o.Host)
	switch {
	case err != nil:
		why = "not an IP address"
	case addr.IsUnspecified():
		why, hint = "no address by which nodes can reach each other", "give one of this host's own addresses"
	case addr.IsMulticast():
		why = "not an address of this host"
	default:
		l, err := net.Listen("tcp", net.JoinHostPort(o.Host, "0"))
		if err != nil {
			why = "not an address of this host"
		} else if err := l.Close(); err != nil {
			return err
		}
	}
	if why == "" {
		return nil
	}
	return &InputError{Err: fmt.Errorf("%s: %q is %s", o.named("host"), o.Host, why), Hint: hint}
}
