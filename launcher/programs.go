package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// versionTimeout bounds how long a program may take to print its version.
const versionTimeout = 20 * time.Second

// checkBin refuses --bin where the template starts no program that could be named.
func (o Options) checkBin(t *template.Template) error {
	if t.ReadsProgram() {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(o.values())) {
		if _, rest, _ := nodeKey(key); key != "bin" && rest != "bin" {
			continue
		}
		err := fmt.Errorf("template %s takes no %s", t.Name, o.label(key))
		if o.places[key] != "" {
			err = fmt.Errorf("%s: template %s takes no --bin", o.label(key), t.Name)
		}
		return &InputError{Err: err, Hint: "leave it out; another program of such nodes is in another node directory (--source), or in a template of your own"}
	}
	return nil
}

// findPrograms finds the server's program, if po.Bin does not name it, and the tools that the template's calls use. label
// names the option that po.Bin is from.
func findPrograms(t *template.Template, po *plan.Options, label string) error {
	var errs []error
	var err error
	switch {
	case po.Bin != "":
		errs = append(errs, checkProgram(po.Bin, label))
	case t.Program.Command != "":
		po.Bin, err = findProgram(t, t.Program.Command)
		errs = append(errs, err)
	}
	po.Tools = map[string]string{}
	for _, need := range t.Program.Needs {
		if po.Tools[need] = besideOf(po.Bin, need); po.Tools[need] == "" {
			po.Tools[need], err = findProgram(t, need)
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &InputError{Err: err, Hint: cmp.Or(t.Program.Install, "install it, or name the program with --bin")}
	}
	return nil
}

// checkProgram checks the program that an option names; label names the option.
func checkProgram(path, label string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("program of %s: %w", label, err)
	}
	if fi.IsDir() || fi.Mode()&0o111 == 0 {
		return fmt.Errorf("program of %s: %s can't be executed", label, path)
	}
	return nil
}

// findProgram finds a program of a template: where the template says, else on PATH.
func findProgram(t *template.Template, name string) (string, error) {
	for _, p := range programPaths(t) {
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

// programPaths are the files that the template names as programs; of those that a glob stands for, the last comes first: it is
// that of the latest version.
func programPaths(t *template.Template) []string {
	var out []string
	for _, glob := range t.Program.Paths {
		found, _ := filepath.Glob(glob) // package template has checked it
		slices.Reverse(found)
		out = append(out, found...)
	}
	return out
}

// checkVersions asks every program that nodes are going to run for its version, where the template says how to ask and which
// versions it works with.
func checkVersions(ctx context.Context, t *template.Template, po *plan.Options) error {
	if len(t.Program.Version) == 0 {
		return nil
	}
	accept, err := regexp.Compile(t.Program.Accept)
	if err != nil {
		return fmt.Errorf("template %q: program.accept: %w", t.Name, err)
	}
	programs := []string{po.Bin}
	for _, i := range slices.Sorted(maps.Keys(po.Node)) {
		if own := po.Node[i].Bin; own != "" && !slices.Contains(programs, own) {
			programs = append(programs, own)
		}
	}
	var errs []error
	for _, bin := range programs {
		errs = append(errs, checkVersion(ctx, t, po, bin, accept))
	}
	if err := errors.Join(errs...); err != nil {
		return &InputError{Err: err, Hint: cmp.Or(t.Program.Install, "name another program with --bin")}
	}
	return nil
}

// checkVersion refuses a program whose output, when it is asked for its version, does not match accept. The exit code does
// not count: some programs have no such option and print their version with the usage error.
func checkVersion(ctx context.Context, t *template.Template, po *plan.Options, bin string, accept *regexp.Regexp) error {
	params := map[string]string{}
	for name, p := range t.Params {
		params[name] = p.Default
	}
	maps.Copy(params, po.Params)
	args, err := t.ExpandArgs(t.Program.Version, &template.Data{
		Node: &template.Node{Bin: bin, Host: cmp.Or(po.Host, plan.DefaultHost)}, Cluster: po.Cluster, ID: po.ID, ClusterDir: po.Dir,
		Onemore: po.Onemore, Join: cmp.Or(po.Join, t.Join.Default), Param: params, Tools: po.Tools, N: len(po.Nodes),
	})
	if err != nil {
		return fmt.Errorf("template %q: program.version: %w", t.Name, err)
	}
	if len(args) == 0 {
		return fmt.Errorf("template %q: program.version is no command", t.Name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, versionTimeout, fmt.Errorf("no answer within %v", versionTimeout))
	defer cancel()
	out, err := proc.Run(ctx, proc.Spec{Args: args, Dir: scratchDir(), Env: plan.InheritOf(t, po).From(os.Environ(), nil)})
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	output := string(out.Stdout) + string(out.Stderr)
	if accept.MatchString(output) {
		return nil
	}
	return fmt.Errorf("template %q does not fit %s: `%s` says %s, which does not match %q",
		t.Name, cmp.Or(bin, args[0]), strings.Join(args, " "), quoteFirstLine(output), t.Program.Accept)
}

// scratchDir is a directory for programs that may leave something where they run, such as a dump: the temporary one, if it is there.
func scratchDir() string {
	if info, err := os.Stat(os.TempDir()); err == nil && info.IsDir() {
		return os.TempDir()
	}
	return "/"
}

// quoteFirstLine is the beginning of a program's output, quoted.
func quoteFirstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return "nothing"
	}
	const longest = 120
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", line)
}
