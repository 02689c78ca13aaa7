// Package project reads onemore.toml, the file in which a project says what cluster it works with, and writes a first one
// (Sample). It is strict: an unknown key is an error, with its line, and all problems are reported at once.
//
// It knows neither clusters nor templates: whether a template has a listener that the file sets, the plan checks. Relative
// paths are made absolute against the file's own folder. docs/project.md describes every key.
//
// Start at Load.
package project

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"onemore/launcher/internal/schema"
)

// FileName is what the file is called in a project's folder.
const FileName = "onemore.toml"

// maxFile bounds onemore.toml and the files that it names, in bytes: they are configuration, not programs.
const maxFile = 1 << 20

// Project is what the file says. Paths are absolute; zero values are not in the file.
type Project struct {
	Path string `toml:"-"` // of the file, absolute

	Cluster  string            `toml:"cluster"`
	Template string            `toml:"template"` // a name, or a path
	Source   string            `toml:"source"`
	Release  string            `toml:"release"` // version of the server
	Bin      string            `toml:"bin"`
	Nodes    int               `toml:"nodes"`
	Offset   int               `toml:"offset"`
	Base     Base              `toml:"base"`
	Host     string            `toml:"host"`
	Spread   string            `toml:"spread"`
	Join     string            `toml:"join"`
	Seed     string            `toml:"seed"`
	Timeout  Duration          `toml:"timeout"`
	Env      map[string]string `toml:"env"`
	CleanEnv bool              `toml:"clean_env"`
	User     string            `toml:"user"`
	Params   map[string]string `toml:"params"`
	Roles    map[string]int    `toml:"roles"` // role → how many nodes
	Set      map[string]int    `toml:"set"`   // listener → port of node 1
	Files    map[string]*File  `toml:"files"`
	Node     map[int]Node      `toml:"-"` // by index, from [node.N]

	// A program of the project's own, which needs no template.
	Command   []string       `toml:"command"`
	Listeners map[string]int `toml:"listeners"` // name → port of node 1
	Ready     string         `toml:"ready"`     // path of an HTTP request to the first listener
	Build     string         `toml:"build"`
	Watch     []string       `toml:"watch"` // slash globs, below the file's folder

	Stack *Stack   `toml:"-"` // nil in a file that has no [clusters.NAME]
	Needs []string `toml:"-"` // of [clusters.NAME]: others of the stack

	nodeTables map[string]Node // [node.N], by N as it is written
	lines      map[string]int  // see linesOf
	at         toml.Key        // of the table that this is, in a stack
}

// Node is what one node has apart from the others: the table [node.N].
type Node struct {
	Source  string            `toml:"source"`
	Release string            `toml:"release"`
	Bin     string            `toml:"bin"`
	Env     map[string]string `toml:"env"`
	Set     map[string]int    `toml:"set"` // listener → port
	Files   map[string]*File  `toml:"files"`
}

// File is written over the copy of a node directory. Its value is a text, or { from = "PATH" }.
type File struct {
	Text string
	Exec bool // executable, as the file at PATH is
	from string
}

// Base is "auto", or the number that is added to every port, in the form that --base takes.
type Base string

// Duration is a time that is written as "90s".
type Duration struct{ time.Duration }

// TOMLSchema is a text such as "1m30s".
func (Duration) TOMLSchema() *schema.Schema {
	return &schema.Schema{Type: "string", Pattern: schema.DurationPattern}
}

// UnmarshalTOML takes a text such as "1m30s".
func (d *Duration) UnmarshalTOML(v any) error {
	text, _ := v.(string)
	var err error
	if d.Duration, err = time.ParseDuration(text); err != nil || d.Duration <= 0 {
		return fmt.Errorf(`%q is no time to wait: write "30s", "5m" or "1h30m"`, text)
	}
	return nil
}

// TOMLSchema is a text or a number.
func (Base) TOMLSchema() *schema.Schema {
	return &schema.Schema{AnyOf: []*schema.Schema{{Type: "string"}, {Type: "integer"}}, Description: `want "auto" or a whole number`}
}

// UnmarshalTOML takes a text or a number.
func (b *Base) UnmarshalTOML(v any) error {
	*b = Base(fmt.Sprint(v))
	return nil
}

// TOMLSchema is a text, or a table with from.
func (File) TOMLSchema() *schema.Schema {
	from := &schema.Schema{Type: "object", Properties: map[string]*schema.Schema{"from": {Type: "string"}}}
	return &schema.Schema{AnyOf: []*schema.Schema{{Type: "string"}, from}, Description: `want a text, or { from = "PATH" }`}
}

// UnmarshalTOML takes a text, or a table with from.
func (f *File) UnmarshalTOML(v any) error {
	f.Text, _ = v.(string)
	if table, ok := v.(map[string]any); ok {
		if f.from, _ = table["from"].(string); f.from == "" {
			return errors.New(`want a text, or { from = "PATH" }`)
		}
	}
	return nil
}

// Load reads the file, and the files that it names. The error wraps fs.ErrNotExist when there is no such file.
func Load(path string) (*Project, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	src, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("read project file: %w", err)
	}
	p, err := parse(path, src)
	if err != nil {
		return nil, err
	}
	c := check{path: path, lines: p.lines}
	for _, one := range p.all() {
		one.absolutePaths()
		for key, f := range one.allFiles() {
			if err := f.load(filepath.Dir(path)); err != nil {
				c.add(slices.Concat(one.at, parts(key)), "%w", err)
			}
		}
	}
	return p, c.err()
}

// all are the projects of a file: itself, or the clusters of its stack.
func (p *Project) all() []*Project {
	if p.Stack == nil {
		return []*Project{p}
	}
	return slices.Collect(maps.Values(p.Stack.Clusters))
}

// Where is the prefix of an error about a key, such as node.3.env.NAME: file, line and key.
func (p *Project) Where(key string) string {
	return where(p.Path, p.lines, slices.Concat(p.at, parts(key)))
}

// parts splits a key; the name in a table may have dots.
func parts(key string) toml.Key {
	if strings.HasPrefix(key, "node.") {
		return strings.SplitN(key, ".", 4)
	}
	return strings.SplitN(key, ".", 2)
}

// absolutePaths makes the paths absolute.
func (p *Project) absolutePaths() {
	dir := filepath.Dir(p.Path)
	if strings.ContainsAny(p.Template, `/\`) || strings.HasSuffix(p.Template, ".toml") || p.Template == "." || p.Template == ".." {
		p.Template = under(dir, p.Template)
	}
	p.Source, p.Bin, p.Seed = under(dir, p.Source), under(dir, p.Bin), under(dir, p.Seed)
	for i, n := range p.Node {
		n.Source, n.Bin = under(dir, n.Source), under(dir, n.Bin)
		p.Node[i] = n
	}
}

// under is a path of the file as an absolute one: relative to dir, or to the home folder where it begins with ~/. URLs stay.
func under(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || filepath.IsAbs(path) || strings.Contains(path, "://") {
		return path
	}
	return filepath.Join(dir, path)
}

// allFiles are the files of the project and of its nodes, by their keys.
func (p *Project) allFiles() map[string]*File {
	all := map[string]*File{}
	for path, f := range p.Files {
		all["files."+path] = f
	}
	for i, n := range p.Node {
		for path, f := range n.Files {
			all[fmt.Sprintf("node.%d.files.%s", i, path)] = f
		}
	}
	return all
}

// load reads the text from the file at PATH, if there is one.
func (f *File) load(dir string) error {
	if f.from == "" {
		return nil
	}
	path := under(dir, f.from)
	src, err := readBounded(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f.Text, f.Exec = string(src), info.Mode()&0o111 != 0
	return checkText(f.Text)
}

func readBounded(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is no file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(src) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return src, err
}

func parse(path string, src []byte) (*Project, error) {
	var values map[string]any
	if _, err := toml.Decode(string(src), &values); err != nil {
		if bad, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, fmt.Errorf("%s: line %d: %s", path, bad.Position.Line, describe(bad))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p := &Project{Path: path, lines: linesOf(src)}
	c := check{path: path, lines: p.lines}
	if _, ok := values["clusters"]; ok {
		p.parseStack(&c, values)
		return p, c.err()
	}
	if name, ok := values["stack"]; ok {
		c.add(toml.Key{"stack"}, "%v names a stack, and this file has no [clusters.NAME]; a single cluster is named by cluster", name)
		delete(values, "stack")
	}
	p.decode(&c, values)
	return p, c.err()
}

// decode fills a project from the table of its keys.
func (p *Project) decode(c *check, values map[string]any) {
	c.at = p.at
	c.conform(Schema(nil), p.at, values)
	if node, ok := values["node"]; ok {
		c.fill(c.key("node"), node, reflect.ValueOf(&p.nodeTables).Elem())
		delete(values, "node")
	}
	c.fill(p.at, values, reflect.ValueOf(p).Elem())
	p.check(c)
}

// Schema is what a project file may say.
func Schema(about schema.About) *schema.Schema {
	s := schema.Of(reflect.TypeFor[Project](), about)
	s.Properties["node"] = &schema.Schema{Type: "object", Others: schema.Of(reflect.TypeFor[Node](), about)}
	return s
}

// describe is the message of a syntax error, with the key before it.
func describe(e toml.ParseError) string {
	if e.LastKey != "" {
		return fmt.Sprintf("%s: %s", e.LastKey, e.Message)
	}
	return e.Message
}
