package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"onemore/launcher"
	"onemore/launcher/internal/nearest"
)

// usage is an error about the call itself.
func usage(cmd *cobra.Command, err error) error {
	return &launcher.InputError{Err: err, Hint: helpOf(cmd)}
}

func helpOf(cmd *cobra.Command) string { return fmt.Sprintf("see `%s --help`", cmd.CommandPath()) }

// orHelp is a hint, or where it is empty, where the help of a command is.
func orHelp(cmd *cobra.Command, hint string) string {
	if hint == "" {
		return helpOf(cmd)
	}
	return hint
}

// quoted is a word of the command line as a hint shows it.
func quoted(format string) func(string) string {
	return func(word string) string { return "`" + fmt.Sprintf(format, word) + "`" }
}

// takes is the check of a command that takes so many arguments; its Use says which.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, form, _ := strings.Cut(cmd.Use, " ")
		switch {
		case len(args) > most && cmd.HasSubCommands():
			return noCommand(cmd, args[0])
		case len(args) > most && most == 0:
			return &launcher.InputError{Err: fmt.Errorf("`%s` takes no %q", cmd.CommandPath(), args[0]), Hint: "-c NAME names another cluster; " + helpOf(cmd)}
		case len(args) > most:
			return usage(cmd, fmt.Errorf("`%s` takes %s; %q is too much", cmd.CommandPath(), form, args[most]))
		case len(args) < least:
			return &launcher.InputError{Err: fmt.Errorf("`%s` wants %s", cmd.CommandPath(), form), Hint: orHelp(cmd, exampleHint(cmd))}
		}
		return nil
	}
}

// atLeast is takes without an upper bound.
func atLeast(least int) cobra.PositionalArgs { return takes(least, int(^uint(0)>>1)) }

// exampleHint is a command's first example as a hint; "" without one.
func exampleHint(cmd *cobra.Command) string {
	first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	first, _, _ = strings.Cut(first, "  #")
	if first == "" {
		return ""
	}
	return "for example: " + strings.TrimSpace(first)
}

// onlyCommands is the check of a command that has only subcommands.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return noCommand(cmd, args[0])
}

// otherWords are the words of other programs for what we have, and ours.
func otherWords() map[string]string {
	return map[string]string{
		"ps": "status", "info": "status", "inspect": "status", "nodes": "status", "show": "status", "list": "ls", "clusters": "ls",
		"rm": "remove", "delete": "down", "destroy": "down", "teardown": "down", "clean": "gc", "cleanup": "gc", "prune": "gc",
		"create": "up", "launch": "up", "new": "up", "deploy": "up", "scale": "up", "log": "logs", "tail": "logs", "kill-node": "kill",
		"exec-in": "exec", "sh": "exec", "ssh": "exec", "shell": "exec", "test": "run", "template": "templates", "partition": "fault", "heal": "fault",
		"save": "snapshot", "backup": "snapshot", "restore": "up --from", "unpause": "resume", "scaffold": "init", "generate": "learn",
		"join": "add", "leave": "remove", "reload": "restart",
	}
}

// noCommand is the error of a word that is no subcommand of cmd.
func noCommand(cmd *cobra.Command, word string) error {
	in := &launcher.InputError{Err: fmt.Errorf("there is no command %q", strings.TrimPrefix(cmd.CommandPath()+" "+word, cmd.Root().Name()+" "))}
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	show := quoted(cmd.CommandPath() + " %s")
	in.Hint = nearest.Hint(word, known, show)
	if other, ok := otherWords()[strings.ToLower(word)]; ok && !cmd.HasParent() {
		in.Hint = "did you mean " + show(other) + "?"
		if other == "remove" && word == "rm" {
			in.Hint = "did you mean `onemore down`, which removes the cluster, or `onemore remove NODE`?"
		}
	}
	in.Hint = orHelp(cmd, in.Hint)
	return in
}

// flagError says in our words what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); len(args) > 0 && cmd.HasSubCommands() {
		return noCommand(cmd, args[0]) // its flags are no matter
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return &launcher.InputError{Err: valueError("--"+bad.GetFlag().Name, bad.GetFlag().Value.Type(), bad.GetValue(), bad.Unwrap()), Hint: helpOf(cmd)}
	}
	if bad, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		f := bad.GetFlag()
		return usage(cmd, fmt.Errorf("--%s wants a value%s", f.Name, map[string]string{"duration": " such as 30s", "int": ": a whole number"}[f.Value.Type()]))
	}
	if bad, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return usage(cmd, fmt.Errorf("%q is no flag", bad.GetSpecifiedFlag()))
	}
	if bad, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return noFlag(cmd, bad)
	}
	return usage(cmd, err)
}

// valueError says what is wrong with the value of a flag of that type.
func valueError(flag, kind, value string, err error) error {
	_, number := strconv.ParseFloat(value, 64)
	switch {
	case kind == "duration" && number == nil:
		return fmt.Errorf("%s %s: %s what? write %ss", flag, value, value, value)
	case kind == "duration":
		return fmt.Errorf("%s %q is no time: write 30s, 5m or 1h30m", flag, value)
	case kind == "int" || kind == "float64":
		return fmt.Errorf("%s %q: want a whole number", flag, value)
	case kind == "bool":
		return fmt.Errorf("%s=%q: want true or false, or %s alone", flag, value, flag)
	}
	return fmt.Errorf("%s %q: %w", flag, value, err)
}

// otherFlags are the flags of other programs, and the way here.
func otherFlags() map[string]string {
	return map[string]string{
		"name": "-c NAME names the cluster", "nodes": "the number of nodes stands alone: `onemore up 5`", "n": "the number of nodes stands alone: `onemore up 5`",
		"count": "the number of nodes stands alone: `onemore up 5`", "replicas": "the number of nodes stands alone: `onemore up 5`", "scale": "the number of nodes stands alone: `onemore up 5`",
		"port": "--set LISTENER=PORT sets a port of node 1; --base N moves all", "p": "--set LISTENER=PORT sets a port of node 1; --base N moves all",
		"config": "--project FILE names the project file", "dir": "-s DIR names the directory to copy",
		"output": "--json prints JSON", "yes": "leave it out: nothing is asked", "y": "leave it out: nothing is asked", "force": "leave it out: nothing is asked",
		"version": "`onemore version` tells it", "debug": "-v shows every event", "env-file": "-e NAME=VALUE sets one variable", "namespace": "-c NAME names the cluster",
	}
}

// noFlag is the error of a flag that cmd does not have.
func noFlag(cmd *cobra.Command, bad *pflag.NotExistError) error {
	name := bad.GetSpecifiedName()
	if group := bad.GetSpecifiedShortnames(); group != "" {
		if _, err := strconv.Atoi(group); err == nil {
			return negativeNumber(cmd, group)
		}
		hint := otherFlags()[name]
		if f := cmd.Flags().Lookup(group); f != nil {
			hint = "did you mean `--" + group + "`?" // a long flag with one dash
		}
		return &launcher.InputError{Err: fmt.Errorf("`%s` has no flag -%s", cmd.CommandPath(), name), Hint: orHelp(cmd, hint)}
	}
	var known []string
	add := func(f *pflag.Flag) {
		if !f.Hidden && !slices.Contains(known, f.Name) {
			known = append(known, f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	hint := otherFlags()[name]
	if hint == "" {
		hint = nearest.Hint(name, known, quoted("--%s"))
	}
	return &launcher.InputError{Err: fmt.Errorf("`%s` has no flag --%s", cmd.CommandPath(), name), Hint: orHelp(cmd, hint)}
}

// negativeNumber is the error of an argument such as -1.
func negativeNumber(cmd *cobra.Command, digits string) error {
	switch cmd.Name() {
	case "up", "run", "init":
		return usage(cmd, fmt.Errorf("a cluster of -%s nodes can't be", digits))
	case "add":
		return usage(cmd, fmt.Errorf("-%s is no number of nodes to add", digits))
	}
	return usage(cmd, fmt.Errorf("`%s` has no flag -%s; nodes are numbered from 1", cmd.CommandPath(), digits))
}
