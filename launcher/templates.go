package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"onemore/launcher/internal/nearest"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/template"
	"onemore/templates"
)

// userTemplates is the folder of the user's own templates: $XDG_CONFIG_HOME/onemore/templates, else below ~/.config.
func userTemplates() (string, bool) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", false
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "onemore", "templates"), true
}

// templateSet is the set of all templates that have a name: the user's come before the built-in ones.
func templateSet() *template.Set {
	if dir, ok := userTemplates(); ok {
		return template.NewSet(os.DirFS(dir), templates.FS)
	}
	return template.NewSet(templates.FS)
}

// BuiltIn is where a template is from that comes with onemore.
const BuiltIn = "built in"

// TemplateInfo describes a template in a list.
type TemplateInfo struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	From    string `json:"from"` // "built in", or its file
	// Program is the server's program: its path where it was found, else its name; "" where none is needed.
	Program   string             `json:"program,omitempty"`
	Found     bool               `json:"found"`             // nothing is missing on this machine
	Install   string             `json:"install,omitempty"` // how to get what is missing
	Source    string             `json:"source"`            // whether nodes are copies of a source: "required", "optional" or "none"
	Joins     []string           `json:"joins"`             // how nodes join, the default first
	MinNodes  int                `json:"min_nodes"`
	Listeners []TemplateListener `json:"listeners"`
	Params    []TemplateParam    `json:"params"`
}

// TemplateListener is a listener of a template.
type TemplateListener struct {
	Name      string   `json:"name"`
	Port      int      `json:"port,omitempty"`   // of node 1
	Derive    string   `json:"derive,omitempty"` // what its port is the sum of
	Protocols []string `json:"protocols"`
}

// TemplateParam is a setting of a template.
type TemplateParam struct {
	Name    string `json:"name"`
	Default string `json:"default"` // as the template has it: a text
	Summary string `json:"summary"`
}

// Templates lists what can be launched. The error names the user's templates that are invalid; the others are returned too.
func Templates() ([]TemplateInfo, error) {
	set := templateSet()
	names, err := set.Names()
	if err != nil {
		return nil, err
	}
	out := make([]TemplateInfo, 0, len(names))
	var errs []error
	for _, name := range names {
		t, err := set.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, _, from, err := findTemplate(name)
		if err != nil {
			return nil, err
		}
		info := describeTemplate(t, from)
		info.Name = name
		out = append(out, info)
	}
	return out, errors.Join(errs...)
}

// Template describes a template, by name or path.
func Template(ctx context.Context, arg string) (TemplateInfo, error) {
	t, name, err := chooseTemplate(ctx, arg, "")
	if err != nil {
		return TemplateInfo{}, err
	}
	from := name
	if !template.IsPath(name) {
		if _, _, from, err = findTemplate(name); err != nil {
			return TemplateInfo{}, err
		}
	}
	return describeTemplate(t, from), nil
}

func describeTemplate(t *template.Template, from string) TemplateInfo {
	info := TemplateInfo{Name: t.Name, Summary: t.Summary, From: from, Program: t.Program.Command, Found: true, Source: cmp.Or(t.Copy.Source, "optional"), MinNodes: max(1, t.MinNodes),
		Joins: []string{t.Join.Default}, Listeners: []TemplateListener{}, Params: []TemplateParam{}}
	for _, name := range append([]string{t.Program.Command}, t.Program.Needs...) {
		if name == "" {
			continue
		}
		path, err := findProgram(t, name)
		if err != nil {
			info.Found, info.Install = false, t.Program.Install
		} else if name == t.Program.Command {
			info.Program = path
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Join.Methods)) {
		if name != t.Join.Default {
			info.Joins = append(info.Joins, name)
		}
	}
	for _, l := range t.Listeners {
		one := TemplateListener{Name: l.Name, Port: l.Port, Derive: l.Derive, Protocols: l.Protocols}
		if len(one.Protocols) == 0 {
			one.Protocols = []string{"tcp"}
		}
		info.Listeners = append(info.Listeners, one)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		info.Params = append(info.Params, TemplateParam{Name: name, Default: t.Params[name].Default, Summary: t.Params[name].Summary})
	}
	return info
}

// findTemplate finds the file of the template of that name; from is where that is, in words.
func findTemplate(name string) (fsys fs.FS, file, from string, err error) {
	layer, file, err := templateSet().Find(name)
	if err != nil {
		return nil, "", "", err
	}
	if dir, ok := userTemplates(); ok && layer == 0 {
		return os.DirFS(dir), file, filepath.Join(dir, filepath.FromSlash(file)), nil
	}
	return templates.FS, file, BuiltIn, nil
}

// TemplateText returns the TOML of a template, by name or path.
func TemplateText(arg string) ([]byte, error) {
	if template.IsPath(arg) {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			arg = filepath.Join(arg, "template.toml")
		}
		text, err := os.ReadFile(arg)
		if err != nil {
			return nil, &InputError{Err: fmt.Errorf("read template %q: %w", arg, err)}
		}
		return text, nil
	}
	fsys, file, _, err := findTemplate(arg)
	if err != nil {
		return nil, &InputError{Err: err, Hint: templateHint(arg)}
	}
	return fs.ReadFile(fsys, file)
}

// templateHint is the way out where there is no template of that name.
func templateHint(name string) string {
	names, err := templateSet().Names()
	if hint := nearest.Hint(name, names, strconv.Quote); hint != "" && err == nil {
		return hint
	}
	return listTemplates
}

// chooseTemplate returns the template that arg names or is the path of; where arg is "", the one that the source is detected
// as; without a source, the default. name is what finds it again in later commands: a name, or an absolute path.
func chooseTemplate(ctx context.Context, arg, source string) (t *template.Template, name string, err error) {
	hint := "`onemore help templates` describes what a template may say"
	defer func() {
		if errors.Is(err, template.ErrUnknown) || errors.Is(err, template.ErrUndetected) {
			hint = templateHint(arg)
		}
		if err != nil {
			err = &InputError{Err: err, Hint: hint}
		}
	}()
	switch {
	case template.IsPath(arg):
		if arg, err = filepath.Abs(arg); err != nil {
			return nil, "", err
		}
		if _, err := os.Stat(arg); err != nil {
			hint = "give the file or the folder of a template, or a name that `onemore templates` lists"
			return nil, "", fmt.Errorf("read template %q: %w", arg, errors.Unwrap(err))
		}
		t, err = template.Load(os.DirFS(filepath.Dir(arg)), filepath.Base(arg))
		return t, arg, err
	case arg != "":
		t, err = templateSet().Open(arg)
		return t, arg, err
	case source == "":
		t, err = templateSet().Open(templates.Default)
		return t, templates.Default, err
	}
	if err := nodedir.CheckSource(ctx, source, "**"); err != nil {
		hint = sourceHint
		return nil, "", err
	}
	all, err := templateSet().All()
	if err != nil {
		return nil, "", err
	}
	t, err = template.FindIn(all, os.DirFS(source))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", source, err)
	}
	return t, t.Name, nil
}
