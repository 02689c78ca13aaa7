package cli

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"onemore/docs"
	"onemore/launcher"
	"onemore/launcher/internal/nearest"
)

// helpWidth is how wide help is, in columns.
const helpWidth = 80

// topics are the pages of docs that `help` prints, in order, with what they are about.
var topics = [...][2]string{
	{"templates", "the language in which a server is described"},
	{"project", "onemore.toml: the cluster of a project"},
	{"json", "what --json prints"},
	{"faults", "faults of the network, upgrades, snapshots"},
	{"testing", "clusters in tests and in CI"},
	{"mqtt", "what the built-in server promises"},
}

func helpCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND | TOPIC]", Short: "Help with a command, or a page of the documentation",
		Example: "  onemore help up\n  onemore help templates | less", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && slices.ContainsFunc(topics[:], func(t [2]string) bool { return t[0] == args[0] }) {
				page, err := fs.ReadFile(docs.FS, args[0]+".md")
				if err != nil {
					return err
				}
				_, err = c.Stdout.Write(page)
				return err
			}
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noHelp(cmd, args)
			}
			return found.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var out []string
			at, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, noFiles
			}
			for _, sub := range at.Commands() {
				if sub.IsAvailableCommand() {
					out = append(out, described(sub.Name(), sub.Short))
				}
			}
			for _, t := range topics {
				if len(args) == 0 {
					out = append(out, described(t[0], t[1]))
				}
			}
			return out, noFiles
		}}
}

// noHelp is the error of words that are neither a command nor a topic.
func noHelp(cmd *cobra.Command, args []string) error {
	known := []string{}
	for _, t := range topics {
		known = append(known, t[0])
	}
	for _, sub := range cmd.Root().Commands() {
		known = append(known, sub.Name())
	}
	hint := ""
	if len(args) == 1 {
		hint = nearest.Hint(args[0], known, quoted("onemore help %s"))
	}
	return &launcher.InputError{Err: fmt.Errorf("there is no command or topic %q to help with", strings.Join(args, " ")), Hint: orHelp(cmd.Root(), hint)}
}

// flagGroups are the flags that stand together in help; those of no group stand before them.
var flagGroups = [...]flagGroup{
	{"What the nodes are", []string{"template", "source", "release", "bin", "param", "env", "clean-env", "join", "node", "from"}},
	{"Addresses and ports", []string{"set", "offset", "base", "host", "spread"}},
}

type flagGroup struct {
	title string
	names []string
}

// printHelp prints the help of a command.
func printHelp(w io.Writer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n", fill(about, helpWidth, ""))
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(w, "  %s\n", line)
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	printCommands(w, cmd)
	printFlags(w, cmd)
	switch {
	case !cmd.HasParent():
		fmt.Fprintln(w, "\nPages of the documentation, for `onemore help TOPIC`:")
		for _, t := range topics {
			fmt.Fprintf(w, "  %-11s %s\n", t[0], t[1])
		}
		fmt.Fprintln(w, "\n`onemore COMMAND --help` tells more of a command.")
	case cmd.HasAvailableSubCommands():
		fmt.Fprintf(w, "\n`%s COMMAND --help` tells more of a command.\n", cmd.CommandPath())
	}
}

// printCommands lists the subcommands, in their groups.
func printCommands(w io.Writer, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	list := func(title, group string) {
		first := true
		for _, sub := range cmd.Commands() {
			if sub.GroupID != group || !sub.IsAvailableCommand() {
				continue
			}
			if first {
				fmt.Fprintf(w, "\n%s:\n", title)
				first = false
			}
			fmt.Fprintf(w, "  %-11s %s\n", sub.Name(), sub.Short)
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	list(map[bool]string{true: "Others", false: "Commands"}[len(cmd.Groups()) > 0], "")
}

// printFlags lists the flags, in their groups; those that every command has come last.
func printFlags(w io.Writer, cmd *cobra.Command) {
	own := cmd.LocalFlags()
	rest := pflag.NewFlagSet("", pflag.ContinueOnError)
	always := pflag.NewFlagSet("", pflag.ContinueOnError)
	groups := make([]*pflag.FlagSet, len(flagGroups))
	for i := range groups {
		groups[i] = pflag.NewFlagSet("", pflag.ContinueOnError)
	}
	own.VisitAll(func(f *pflag.Flag) {
		i := slices.IndexFunc(flagGroups[:], func(g flagGroup) bool { return slices.Contains(g.names, f.Name) })
		switch {
		case f.Name == "help" || f.Name == "project" || f.Name == "version" || !cmd.HasParent():
			always.AddFlag(f)
		case i >= 0:
			groups[i].AddFlag(f)
		default:
			rest.AddFlag(f)
		}
	})
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { always.AddFlag(f) })
	printFlagSet(w, "Flags", rest)
	for i, g := range flagGroups {
		printFlagSet(w, g.title, groups[i])
	}
	printFlagSet(w, "Flags of every command", always)
}

func printFlagSet(w io.Writer, title string, set *pflag.FlagSet) {
	const column = 26 // where the descriptions begin
	if !set.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, about := flagValue(f)
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		if value != "" {
			name += " " + value
		}
		text := fill(about, helpWidth, strings.Repeat(" ", column))
		if len([]rune(name)) < column-1 {
			fmt.Fprintf(w, "%-*s%s\n", column, name, strings.TrimLeft(text, " "))
			return
		}
		fmt.Fprintf(w, "%s\n%s\n", name, text)
	})
}

// valueNames are what the values of flags are called in help, where their type does not tell.
func valueNames() map[string]string {
	return map[string]string{"cluster": "NAME", "template": "NAME", "source": "DIR", "bin": "FILE", "project": "FILE", "host": "ADDRESS", "base": "N", "spread": "HOW",
		"join": "HOW", "since": "TIME", "until": "TIME", "grep": "REGEXP", "wait-for": "REGEXP", "format": "FORMAT", "bundle": "DIR", "from": "NAME", "output": "FILE",
		"name": "NAME", "for": "WHAT", "release": "VERSION", "wait": "WHAT"}
}

// flagValue is what stands for a flag's value in help, and the text about it. A usage may begin with it: "LISTENER=PORT: the port …".
func flagValue(f *pflag.Flag) (value, about string) {
	about = f.Usage
	if d := f.DefValue; !strings.Contains(about, "default") && !slices.Contains([]string{"", "0", "0s", "false", "[]"}, d) {
		about += " (default " + d + ")"
	}
	if head, rest, ok := strings.Cut(about, ": "); ok && head == strings.ToUpper(head) && !strings.Contains(head, " ") {
		return head, rest
	}
	if name := valueNames()[f.Name]; name != "" && f.Value.Type() != "bool" {
		return name, about
	}
	return map[string]string{"int": "N", "duration": "TIME", "string": "TEXT", "stringArray": "TEXT", "bool": ""}[f.Value.Type()], about
}

// fill breaks a text into lines of at most so many columns, each of which begins with indent. Empty lines stay.
func fill(text string, width int, indent string) string {
	var out []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(paragraph, "\t") || strings.HasPrefix(paragraph, "  ") { // to be typed as it stands
			out = append(out, paragraph, "")
			continue
		}
		line := indent
		for _, word := range strings.Fields(paragraph) {
			if len([]rune(line))+1+len([]rune(word)) > width && strings.TrimSpace(line) != "" {
				out = append(out, line)
				line = indent
			}
			if line != indent {
				line += " "
			}
			line += word
		}
		out = append(out, line, "")
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}
