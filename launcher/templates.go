package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
	"onemore/templates"
)

type templateT = template.Template

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

// templateSet are all templates that -t finds by name: the user's before the built-in ones.
func templateSet() *template.Set {
	if dir, ok := userTemplates(); ok {
		return template.NewSet(os.DirFS(dir), templates.FS)
	}
	return template.NewSet(templates.FS)
}

// TemplateInfo is a line about a template.
type TemplateInfo struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	From    string `json:"from"` // "built in", or the file that it stands in
}

// Templates lists what can be launched. Broken templates of the user are in the error; the others are returned too.
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
		out = append(out, TemplateInfo{Name: name, Summary: t.Summary, From: from})
	}
	return out, errors.Join(errs...)
}

// findTemplate tells where the template of that name stands, and in words where that is.
func findTemplate(name string) (fsys fs.FS, file, from string, err error) {
	layer, file, err := templateSet().Find(name)
	if err != nil {
		return nil, "", "", err
	}
	if dir, ok := userTemplates(); ok && layer == 0 {
		return os.DirFS(dir), file, filepath.Join(dir, filepath.FromSlash(file)), nil
	}
	return templates.FS, file, "built in", nil
}

// Ways out.
const (
	listTemplates = "`onemore templates` lists what can be launched"
	sourceHint    = "give the node directory to copy with -s"
)

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
		return nil, &InputError{Err: err, Hint: listTemplates}
	}
	return fs.ReadFile(fsys, file)
}

// chooseTemplate returns the template that was asked for: by name, by path, by what a source holds, or the default. asked
// names it for later commands.
func chooseTemplate(ctx context.Context, arg, source string) (t *templateT, asked string, err error) {
	hint := "docs/templates.md describes what a template may say"
	defer func() {
		if errors.Is(err, template.ErrUnknown) || errors.Is(err, template.ErrUndetected) {
			hint = listTemplates
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

// findPrograms looks up the server's program and the tools that its template's calls use.
func findPrograms(t *templateT, po *plan.Options, o Options) error {
	var errs []error
	if t.Program.Command != "" || o.Bin != "" {
		path, err := findProgram(t, t.Program.Command, o.Bin, o.named("bin"))
		errs = append(errs, err)
		po.Bin = path
	}
	po.Tools = map[string]string{}
	for _, need := range t.Program.Needs {
		path, err := findProgram(t, need, "", "")
		errs = append(errs, err)
		po.Tools[need] = path
	}
	if err := errors.Join(errs...); err != nil {
		hint := t.Program.Install
		if hint == "" {
			hint = "install it, or name the program with --bin"
		}
		return &InputError{Err: err, Hint: hint}
	}
	return nil
}

// findProgram looks up one program, or checks the one that option names.
func findProgram(t *templateT, name, bin, option string) (string, error) {
	if bin != "" {
		abs, err := filepath.Abs(bin)
		if err != nil {
			return "", err
		}
		fi, err := os.Stat(abs)
		if err != nil {
			return "", fmt.Errorf("program of %s: %w", option, err)
		}
		if fi.IsDir() || fi.Mode()&0o111 == 0 {
			return "", fmt.Errorf("program of %s: %s can't be executed", option, abs)
		}
		return abs, nil
	}
	for _, p := range t.Program.Paths {
		if fi, err := os.Stat(p); err == nil && filepath.Base(p) == name && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	path, err := proc.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("template %q needs the program %q, which is not on PATH", t.Name, name)
	}
	return path, nil
}

// checkSources checks every node directory that is going to be copied, and reads the ports that the first declares.
func checkSources(ctx context.Context, t *templateT, po *plan.Options) error {
	for i, n := range po.Node {
		if n.Source != "" {
			if err := nodedir.CheckSource(ctx, n.Source, t.Copy.Exclude...); err != nil {
				return &InputError{Err: fmt.Errorf("source of node %d: %w", i, err)}
			}
		}
	}
	if po.Source == "" {
		return nil
	}
	if err := nodedir.CheckSource(ctx, po.Source, t.Copy.Exclude...); err != nil {
		return &InputError{Err: err, Hint: sourceHint}
	}
	config, err := t.ReadConfig(os.DirFS(po.Source), po.Source)
	if err != nil {
		return &InputError{Err: fmt.Errorf("source %s: %w", po.Source, err)}
	}
	po.Config = config
	return nil
}
