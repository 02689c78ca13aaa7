package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/docs"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/project"
	"onemore/launcher/internal/template"
)

// ProjectFile is the name of a project file, which says what cluster a project works with.
const ProjectFile = project.FileName

// Project is what a project file says.
type Project struct {
	Path    string // absolute
	Cluster string // "" if the file names none
	Options Options
	Stack   *Stack // nil in a file of one cluster
}

// ReadProject reads a project file; docs/project.md describes it. An *InputError wraps fs.ErrNotExist when there is none.
func ReadProject(path string) (*Project, error) {
	p, err := project.Load(path)
	if err != nil {
		return nil, &InputError{Err: err, Hint: "`onemore init` writes a project file; `onemore help project` describes it"}
	}
	if p.Stack != nil {
		s, err := newStack(p)
		if err != nil {
			return nil, err
		}
		return &Project{Path: p.Path, Stack: s}, nil
	}
	if p.Cluster != "" {
		if err := ValidName(p.Cluster); err != nil {
			return nil, &InputError{Err: fmt.Errorf("%s: %w", p.Where("cluster"), err), Hint: "name the cluster otherwise in this file"}
		}
	}
	return &Project{Path: p.Path, Cluster: p.Cluster, Options: projectOptions(p)}, nil
}

// projectOptions are what a project file, or one cluster of its stack, says.
func projectOptions(p *project.Project) Options {
	o := Options{Cluster: p.Cluster, Template: p.Template, Source: p.Source, Release: p.Release, Least: p.Nodes, Host: p.Host, Spread: p.Spread, Offset: p.Offset,
		Base: string(p.Base), Set: p.Set, Env: p.Env, CleanEnv: p.CleanEnv, User: p.User, Roles: p.Roles, Params: p.Params, Join: p.Join, Seed: p.Seed, Bin: p.Bin, Timeout: p.Timeout.Duration,
		Files: planFiles(p.Files), Nodes: map[int]NodeOptions{}}
	for i, n := range p.Node {
		o.Nodes[i] = NodeOptions{Set: n.Set, Env: n.Env, Source: n.Source, Release: n.Release, Bin: n.Bin, Files: planFiles(n.Files)}
	}
	if p.Command != nil {
		o.Program = &Program{Command: p.Command, Listeners: p.Listeners, Ready: p.Ready, Environment: map[string]string{}}
		if p.Source == "" {
			o.Program.Dir = filepath.Dir(p.Path)
		}
		o.Env = maps.Clone(p.Env)
		for name, value := range p.Env {
			if strings.Contains(value, "{{") {
				o.Program.Environment[name] = value
				delete(o.Env, name)
			}
		}
	}
	o.Build, o.Watch, o.Folder = p.Build, p.Watch, filepath.Dir(p.Path)
	o.places = map[string]string{}
	for key := range o.values() {
		o.places[key] = p.Where(key)
	}
	return o
}

// InitProject writes a commented project file with what o sets of Cluster, Template, Source and Count; it replaces none.
func InitProject(path string, o Options) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return &InputError{Err: err}
	}
	if o.Cluster == "" {
		o.Cluster = clusterName(filepath.Base(filepath.Dir(abs)))
	}
	o.Source = relativeTo(o.Source, filepath.Dir(abs))
	if template.IsPath(o.Template) {
		o.Template = relativeTo(o.Template, filepath.Dir(abs))
	}
	schema, err := docs.FS.ReadFile("schema/project.json")
	if err != nil {
		return err
	}
	beside := filepath.Join(filepath.Dir(abs), schemaFile)
	text := "#:schema ./" + schemaFile + "\n" + project.Sample(project.Project{Cluster: o.Cluster, Template: o.Template, Source: o.Source, Nodes: o.Count})
	if err := project.Write(path, text); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &InputError{Err: err, Hint: "edit it, or remove it first"}
		}
		return err
	}
	if err := project.Write(beside, string(schema)); err != nil && !errors.Is(err, fs.ErrExist) {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// schemaFile is the JSON Schema of a project file, beside it, for editors.
const schemaFile = "onemore.schema.json"

// FindProject returns the path of the project file of a folder: the one in it, or in the nearest folder above. It is "" where there
// is none.
func FindProject(dir string) string {
	for {
		path := filepath.Join(dir, ProjectFile)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// relativeTo turns a path that is relative to the working directory into one that is relative to dir.
func relativeTo(path, dir string) string {
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

// clusterName makes a valid cluster name of a folder's.
func clusterName(folder string) string {
	name := strings.Trim(notInName().ReplaceAllString(strings.ToLower(folder), "-"), "-")
	return cmp.Or(strings.Trim(name[:min(len(name), 24)], "-"), defaultCluster)
}

// planFiles are the files that are written over a copy, in a fixed order.
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
