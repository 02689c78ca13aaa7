package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/template"
)

// versionTimeout bounds how long a program may take to tell its version.
const versionTimeout = 20 * time.Second

// checkVersions asks every program that nodes are going to run for its version, where the template says how and which
// ones it can work with.
func checkVersions(ctx context.Context, t *templateT, po *plan.Options) error {
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

// checkVersion wants what the program says of itself to match. Its exit code is not looked at: some have no such option,
// and tell their version with the error.
func checkVersion(ctx context.Context, t *templateT, po *plan.Options, bin string, accept *regexp.Regexp) error {
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
	out, err := proc.Run(ctx, proc.Spec{Args: args, Dir: os.TempDir(), Env: os.Environ()})
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	said := string(out.Stdout) + string(out.Stderr)
	if accept.MatchString(said) {
		return nil
	}
	return fmt.Errorf("template %q does not fit %s: `%s` says %s, which does not match %q",
		t.Name, cmp.Or(bin, args[0]), strings.Join(args, " "), saying(said), t.Program.Accept)
}

// saying is the beginning of what a program said, quoted.
func saying(text string) string {
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
