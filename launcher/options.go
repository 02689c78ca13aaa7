package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
)

// DefaultCount is the number of nodes of a new cluster whose options name none.
const DefaultCount = 3

// NoTimeout is the Options.Timeout of an operation that is never given up.
const NoTimeout = time.Duration(-1)

// defaultCluster is the name of a cluster whose options name none.
const defaultCluster = "default"

// Options say what is wanted of a cluster. The zero value is three nodes of the built-in server, called "default".
type Options struct {
	Cluster  string // name; "" is "default"
	Template string // name, NAME@VERSION (see Release), file or folder; "" is what Source is detected as, else the built-in node
	Source   string // node directory to copy; an archive of one, or an archive's URL
	Release  string // version of the server, fetched as the template says; "" is what is installed, or Source
	Count    int    // nodes; 0: as many as there are, DefaultCount for a new cluster
	Least    int    // where Count is 0: so many, or more if the cluster has more

	Host     string // "" is 127.0.0.1
	Spread   string // "" and "port", or "address"
	Offset   int
	Base     string // "", "auto", or a number
	Set      map[string]int
	Env      map[string]string
	CleanEnv bool   // processes of the cluster get only a few variables of this one's environment: docs/templates.md lists them
	User     string // who the nodes' processes run as, where this one is root; "": the template's start.user
	Params   map[string]string
	Roles    map[string]int // nodes of each role that the template has; of those that are not named, as many as it says
	role     string         // of all nodes that are added; see Cluster.Add
	Join     string
	Seed     string // file for the new cluster: a program, or what the template's [[seed]] takes
	Bin      string
	Nodes    map[int]NodeOptions
	Program  *Program   // in place of a template
	Build    string     // a shell command that makes the program, and runs in Folder before anything is planned
	Watch    []string   // slash globs below Folder, of the files from which Build makes it
	Folder   string     // of the project
	Files    []FilePlan // written over the copy of every node, before its edits

	Timeout  time.Duration     // of one operation; 0: as long as something moves on, see docs/templates.md at ready.timeout; NoTimeout: none
	Keep     bool              // leave everything in place when `up` fails
	needs    []string          // others of the stack, by their names there
	places   map[string]string // where in the project file an option stands ("FILE: line N: KEY"), by its key; see values
	fetched  map[string]string // by the keys of values: the label of the option, a release, that an option comes from
	Progress func(Event)       `json:"-"` // may be nil; called from one goroutine at a time
}

// NodeOptions are what one node has apart from the others.
type NodeOptions = plan.NodeOptions

// FilePlan is a file that is written into a node directory.
type FilePlan = plan.File

// values are the options that are set and say what a cluster is made of, except for files. Keys are those of the project
// file: "host", "set.mqtt", "node.3.env.NAME".
func (o Options) values() map[string]string {
	out := map[string]string{}
	put := func(key, value string) {
		if value != "" {
			out[key] = value
		}
	}
	tables := func(prefix string, set map[string]int, env map[string]string) {
		for name, port := range set {
			out[prefix+"set."+name] = strconv.Itoa(port)
		}
		for name, value := range env {
			out[prefix+"env."+name] = value
		}
	}
	for key, value := range map[string]string{"template": o.Template, "source": o.Source, "release": o.Release, "bin": o.Bin, "host": o.Host, "spread": o.Spread,
		"user": o.User, "base": o.Base, "join": o.Join, "seed": o.Seed} {
		put(key, value)
	}
	if o.Offset != 0 {
		put("offset", strconv.Itoa(o.Offset))
	}
	if o.CleanEnv {
		put("clean_env", "true")
	}
	tables("", o.Set, o.Env)
	for name, count := range o.Roles {
		out["roles."+name] = strconv.Itoa(count)
	}
	for name, value := range o.Params {
		out["params."+name] = value
	}
	for i, n := range o.Nodes {
		prefix := fmt.Sprintf("node.%d.", i)
		put(prefix+"source", n.Source)
		put(prefix+"release", n.Release)
		put(prefix+"bin", n.Bin)
		tables(prefix, n.Set, n.Env)
	}
	return out
}

// recordedValues are the options that a cluster was made with, by the keys of Options.values. An option that equals any of
// the values of its key is compatible; error messages show the first.
func recordedValues(p *Plan) map[string][]string {
	o := p.Options
	spread := "port"
	if o.Spread {
		spread = "address"
	}
	out := map[string][]string{"source": {o.Source}, "bin": {o.Bin}, "host": {o.Host}, "spread": {spread}, "join": {o.Join}, "seed": {o.Seed},
		"clean_env": {strconv.FormatBool(o.CleanEnv)}, "user": {clusterUser(p)},
		"offset": {strconv.Itoa(p.Offset), strconv.Itoa(o.Offset)}, "base": {strconv.Itoa(p.Shift), o.Base.String()}}
	listeners := func(prefix string, list []plan.Listener) {
		for _, l := range list {
			out[prefix+l.Name] = append(out[prefix+l.Name], strconv.Itoa(l.Port))
		}
	}
	listeners("set.", p.Shared)
	for _, n := range p.Nodes {
		prefix := fmt.Sprintf("node.%d.", n.Index)
		own := o.Node[n.Index]
		out[prefix+"source"], out[prefix+"bin"] = []string{n.Source}, []string{cmp.Or(own.Bin, o.Bin)}
		listeners(prefix+"set.", n.Listeners)
		for name, value := range overlay(own.Env, o.Env) {
			out[prefix+"env."+name] = []string{value}
		}
		if n.Index == 1 {
			listeners("set.", n.Listeners)
		}
	}
	for name, count := range rolesOf(p) {
		out["roles."+name] = []string{strconv.Itoa(count)}
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

// compatible refuses options that differ from those that the formed cluster p was made with. Options of the nodes that are
// being added may differ. `--base auto` is always compatible: it leaves the ports to the cluster, which has them already.
func (o Options) compatible(p *Plan, added []int) error {
	recorded, values := recordedValues(p), o.values()
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if i, _, single := nodeKey(key); single && !hasNode(p, i) {
			if !slices.Contains(added, i) && o.places[key] == "" { // the project file may describe nodes that are added later
				errs = append(errs, fmt.Errorf("%s: cluster %q has no node %d, and none is added", o.label(key), p.Cluster, i))
			}
			continue
		}
		if strings.HasPrefix(key, "roles.") && o.places[key] != "" {
			continue // a cluster that has more than the project file says keeps them
		}
		if onlyNewNodes(key, values[key], added) {
			continue
		}
		value, err := normalized(key, values[key])
		if err != nil {
			return err
		}
		if slices.Contains(recorded[key], value) {
			continue
		}
		with := "without it"
		if len(recorded[key]) > 0 && recorded[key][0] != "" {
			with = fmt.Sprintf("with %s, not %s", recorded[key][0], value)
		}
		errs = append(errs, fmt.Errorf("%s: cluster %q is there already, %s", o.label(key), p.Cluster, with))
	}
	if len(errs) == 0 {
		return nil
	}
	return &InputError{Err: errors.Join(errs...),
		Hint: "leave it out, take the cluster down first (`onemore down`), or name another one with -c; `onemore upgrade` changes source and program"}
}

// onlyNewNodes reports whether an option concerns none of the nodes that a cluster already has. The template is checked when
// it is chosen.
func onlyNewNodes(key, value string, added []int) bool {
	if i, _, single := nodeKey(key); single {
		return slices.Contains(added, i)
	}
	switch kind, _, _ := strings.Cut(key, "."); kind {
	case "template":
		return true
	case "base":
		return value == "auto"
	case "source", "bin", "roles", "env":
		return len(added) > 0
	}
	return false
}

// normalized is the value of an option in the form in which it is recorded.
func normalized(key, value string) (string, error) {
	kind := key
	if _, what, single := nodeKey(key); single {
		kind = what
	}
	switch kind {
	case "source", "bin", "seed":
		return absolute(value)
	case "base":
		if n, err := strconv.Atoi(value); err == nil {
			return strconv.Itoa(n), nil
		}
	}
	return value, nil
}

func hasNode(p *Plan, index int) bool {
	return slices.ContainsFunc(p.Nodes, func(n plan.Node) bool { return n.Index == index })
}

// nodeKey splits a key such as node.3.set.NAME; ok is false for a key that is not about a single node.
func nodeKey(key string) (index int, rest string, ok bool) {
	rest, ok = strings.CutPrefix(key, "node.")
	if !ok {
		return 0, "", false
	}
	number, rest, _ := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	return index, rest, err == nil
}

// label names an option in an error: its place in the project file, or its flag.
func (o Options) label(key string) string {
	if place := cmp.Or(o.places[key], o.fetched[key]); place != "" {
		return place
	}
	if i, rest, ok := nodeKey(key); ok {
		return fmt.Sprintf("--node %d:%s", i, rest)
	}
	kind, name, table := strings.Cut(key, ".")
	switch kind {
	case "params":
		kind = "param"
	case "roles":
		kind = "role"
	case "clean_env":
		kind = "clean-env"
	}
	if table {
		return "--" + kind + " " + name
	}
	return "--" + kind
}

// withPlace prefixes an error about an option with the option's place in the project file, if it has one.
func (o Options) withPlace(key string, err error) error {
	in, ok := errors.AsType[*InputError](err)
	if place := o.places[key]; ok && place != "" {
		return &InputError{Err: fmt.Errorf("%s: %w", place, in.Err), Hint: in.Hint}
	}
	return err
}

// absolutePaths makes all paths absolute, those of single nodes too, and takes a version off the template's name. The caller's maps
// are not changed.
func (o Options) absolutePaths() (Options, error) {
	o, err := o.splitVersion()
	errs := []error{err}
	abs := func(path string) string {
		path, err := absolute(path)
		errs = append(errs, err)
		return path
	}
	if template.IsPath(o.Template) {
		o.Template = abs(o.Template)
	}
	o.Source, o.Bin, o.Seed = abs(o.Source), abs(o.Bin), abs(o.Seed)
	nodes := make(map[int]NodeOptions, len(o.Nodes))
	for i, n := range o.Nodes {
		n.Source, n.Bin = abs(n.Source), abs(n.Bin)
		nodes[i] = n
	}
	o.Nodes = nodes
	return o, errors.Join(errs...)
}

// absolute makes a path absolute; "" and URLs stay what they are.
func absolute(path string) (string, error) {
	if path == "" || isURL(path) {
		return path, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &InputError{Err: err}
	}
	return abs, nil
}

// Over lays the options over those of a project: options that are set win, each variable, port and file by itself.
func (o Options) Over(under Options) Options {
	o.places = maps.Clone(under.places)
	for key := range o.values() {
		delete(o.places, key)
	}
	o, under = o.overRelease(under)
	for _, s := range []struct{ to, from *string }{{&o.Cluster, &under.Cluster}, {&o.Template, &under.Template}, {&o.Source, &under.Source}, {&o.Release, &under.Release},
		{&o.Host, &under.Host}, {&o.Spread, &under.Spread}, {&o.Base, &under.Base}, {&o.Join, &under.Join}, {&o.Bin, &under.Bin}, {&o.User, &under.User}, {&o.Seed, &under.Seed}} {
		*s.to = cmp.Or(*s.to, *s.from)
	}
	o.Offset, o.Timeout = cmp.Or(o.Offset, under.Offset), cmp.Or(o.Timeout, under.Timeout)
	o.Least = cmp.Or(o.Least, under.Least)
	o.CleanEnv = o.CleanEnv || under.CleanEnv
	o.Roles = overlay(o.Roles, under.Roles)
	o.Set, o.Env, o.Params = overlay(o.Set, under.Set), overlay(o.Env, under.Env), overlay(o.Params, under.Params)
	o.Files = slices.Concat(under.Files, o.Files)
	o.needs = under.needs
	o.Program, o.Build, o.Watch, o.Folder = under.Program, under.Build, under.Watch, under.Folder
	nodes := maps.Clone(under.Nodes)
	for i, n := range o.Nodes {
		u := nodes[i]
		switch {
		case n.Release != "":
			u.Bin = ""
		case n.Bin != "":
			u.Release = ""
		}
		nodes = overlay(map[int]NodeOptions{i: {Set: overlay(n.Set, u.Set), Env: overlay(n.Env, u.Env), Source: cmp.Or(n.Source, u.Source),
			Release: cmp.Or(n.Release, u.Release), Bin: cmp.Or(n.Bin, u.Bin), Files: slices.Concat(u.Files, n.Files)}}, nodes)
	}
	o.Nodes = nodes
	return o
}

// overlay is a new map with the entries of both; those of top win.
func overlay[K comparable, V any](top, under map[K]V) map[K]V {
	out := make(map[K]V, len(top)+len(under))
	maps.Copy(out, under)
	maps.Copy(out, top)
	return out
}
