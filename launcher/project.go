package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/project"
	"onemore/launcher/internal/template"
)

// ProjectFile is the name of the file by which a project says what cluster it works with.
const ProjectFile = project.FileName

// Project is what a project's file says.
type Project struct {
	Path    string // absolute
	Cluster string // "" if the file names none
	Options Options
}

// ReadProject reads a project file; docs/project.md describes it. An *InputError wraps fs.ErrNotExist when there is none.
func ReadProject(path string) (*Project, error) {
	p, err := project.Load(path)
	if err != nil {
		return nil, &InputError{Err: err, Hint: "`onemore init` writes a project file; docs/project.md describes it"}
	}
	o := Options{Cluster: p.Cluster, Template: p.Template, Source: p.Source, Least: p.Nodes, Host: p.Host, Spread: p.Spread, Offset: p.Offset,
		Base: string(p.Base), Set: p.Set, Env: p.Env, Params: p.Params, Join: p.Join, Bin: p.Bin, Timeout: p.Timeout.Duration,
		Files: planFiles(p.Files), Nodes: map[int]NodeOptions{}}
	for i, n := range p.Node {
		o.Nodes[i] = NodeOptions{Set: n.Set, Env: n.Env, Source: n.Source, Bin: n.Bin, Files: planFiles(n.Files)}
	}
	if p.Cluster != "" {
		if err := ValidName(p.Cluster); err != nil {
			return nil, &InputError{Err: fmt.Errorf("%s: %w", p.Where("cluster"), err), Hint: "name the cluster otherwise in this file"}
		}
	}
	o.places = map[string]string{}
	for key := range o.given() {
		o.places[key] = p.Where(key)
	}
	return &Project{Path: p.Path, Cluster: p.Cluster, Options: o}, nil
}

// InitProject writes a commented project file for what o says (Cluster, Template, Source and Count); it replaces none.
func InitProject(path string, o Options) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return &InputError{Err: err}
	}
	if o.Cluster == "" {
		o.Cluster = clusterName(filepath.Base(filepath.Dir(abs)))
	}
	o.Source = fromFolder(o.Source, filepath.Dir(abs))
	if template.IsPath(o.Template) {
		o.Template = fromFolder(o.Template, filepath.Dir(abs))
	}
	text := project.Sample(project.Project{Cluster: o.Cluster, Template: o.Template, Source: o.Source, Nodes: o.Count})
	if err := project.Write(path, text); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &InputError{Err: err, Hint: "edit it, or remove it first"}
		}
		return err
	}
	return nil
}

// fromFolder makes a path, as seen from here, one that is seen from dir.
func fromFolder(path, dir string) string {
	abs, err := filepath.Abs(path)
	if path == "" || filepath.IsAbs(path) || err != nil {
		return path
	}
	rel, err := filepath.Rel(dir, abs)
	if err != nil {
		return abs
	}
	if rel = filepath.ToSlash(rel); !strings.HasPrefix(rel, "..") {
		rel = "./" + rel
	}
	return rel
}

var notInName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9-]+`) })

// clusterName makes a folder's name one that a cluster may have.
func clusterName(folder string) string {
	name := strings.Trim(notInName().ReplaceAllString(strings.ToLower(folder), "-"), "-")
	return cmp.Or(strings.Trim(name[:min(len(name), 24)], "-"), "default")
}

// Over lays the options over those of a project: what they give wins, single variables, ports and files included.
func (o Options) Over(under Options) Options {
	o.places = maps.Clone(under.places)
	for key := range o.given() {
		delete(o.places, key)
	}
	for _, s := range []struct{ to, from *string }{{&o.Cluster, &under.Cluster}, {&o.Template, &under.Template}, {&o.Source, &under.Source},
		{&o.Host, &under.Host}, {&o.Spread, &under.Spread}, {&o.Base, &under.Base}, {&o.Join, &under.Join}, {&o.Bin, &under.Bin}} {
		*s.to = cmp.Or(*s.to, *s.from)
	}
	o.Offset, o.Timeout = cmp.Or(o.Offset, under.Offset), cmp.Or(o.Timeout, under.Timeout)
	o.Least = cmp.Or(o.Least, under.Least)
	o.Set, o.Env, o.Params = over(o.Set, under.Set), over(o.Env, under.Env), over(o.Params, under.Params)
	o.Files = slices.Concat(under.Files, o.Files)
	nodes := maps.Clone(under.Nodes)
	for i, n := range o.Nodes {
		u := nodes[i]
		nodes = over(map[int]NodeOptions{i: {Set: over(n.Set, u.Set), Env: over(n.Env, u.Env), Source: cmp.Or(n.Source, u.Source),
			Bin: cmp.Or(n.Bin, u.Bin), Files: slices.Concat(u.Files, n.Files)}}, nodes)
	}
	o.Nodes = nodes
	return o
}

func over[K comparable, V any](top, under map[K]V) map[K]V {
	out := make(map[K]V, len(top)+len(under))
	maps.Copy(out, under)
	maps.Copy(out, top)
	return out
}

// planFiles are the files that are laid over a copy, in a fixed order.
func planFiles(files map[string]*project.File) []plan.File {
	var out []plan.File
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := files[path]
		mode := uint32(0o644)
		if f.Exec || strings.HasPrefix(f.Text, "#!") {
			mode = 0o755
		}
		out = append(out, plan.File{Path: path, Text: f.Text, Mode: mode})
	}
	return out
}
