package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

const (
	noFiles  = cobra.ShellCompDirectiveNoFileComp
	alsoFile = cobra.ShellCompDirectiveDefault // files, where nothing else fits
)

// completion tells the shell what the values of flags can be, and that arguments are no files unless a command says so.
func (c *command) completion(cmd *cobra.Command) {
	values := map[string]cobra.CompletionFunc{
		"cluster":  c.completeClusters,
		"template": completeTemplates,
		"from":     completeSnapshots,
		"format":   cobra.FixedCompletions([]string{"shell", "dotenv", "json"}, noFiles),
		"spread":   cobra.FixedCompletions([]string{"port", "address"}, noFiles),
		"join":     cobra.FixedCompletions([]string{"config", "command", "none"}, noFiles),
		"base":     cobra.FixedCompletions([]string{"auto"}, noFiles),
		"source":   cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"bundle":   cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"dir":      cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"project":  cobra.FixedCompletions([]string{noProject}, alsoFile),
	}
	for _, name := range []string{"timeout", "host", "offset", "set", "env", "param", "node", "since", "grep", "wait-for", "settle", "name"} {
		values[name] = cobra.NoFileCompletions
	}
	for name, complete := range values {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // the error says that it has no such flag, or that the flag has one
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		c.completion(sub)
	}
}

// described is a completion with what the shell may show beside it.
func described(value, what string) string { return cobra.CompletionWithDesc(value, what) }

func (c *command) completeClusters(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, _ := launcher.Names() // none: there is nobody to tell why
	return names, noFiles
}

// completeTemplates offers names; a template may be a file, too.
func completeTemplates(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	list, _ := launcher.Templates()
	var out []string
	for _, t := range list {
		out = append(out, described(t.Name, t.Summary))
	}
	return out, alsoFile
}

func completeSnapshots(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	list, _ := launcher.Snapshots()
	var out []string
	for _, s := range list {
		if !slices.Contains(given, s.Name) {
			out = append(out, described(s.Name, "of cluster "+s.Cluster))
		}
	}
	return out, noFiles
}

// completeNodes offers the numbers of the cluster's nodes that are not given yet.
func (c *command) completeNodes(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, n := range c.planned() {
		if number := strconv.Itoa(n.Index); !slices.Contains(given, number) {
			out = append(out, described(number, n.Name))
		}
	}
	return out, noFiles
}

// completeNode offers nodes for the flag of that name.
func (c *command) completeNode(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return c.completeNodes(cmd, nil, word)
}

// completeInNode offers a node first; the shell knows more of the command that follows it.
func (c *command) completeInNode(cmd *cobra.Command, given []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, alsoFile
	}
	return c.completeNodes(cmd, nil, word)
}

// completeFault offers nodes, one by one in a list with commas, and what may stand between such lists.
func (c *command) completeFault(between ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(given) > 2 && between[0] != "/": // only groups can be more than two
			return nil, noFiles
		case len(given)%2 == 1:
			return between, noFiles
		}
		list := word[:strings.LastIndex(word, ",")+1]
		nodes, _ := c.completeNodes(cmd, strings.FieldsFunc(strings.Join(given, ",")+","+list, notInList), word)
		for i := range nodes {
			if list != "" { // the script for bash matches no word with a comma that is described
				number, _, _ := strings.Cut(nodes[i], "\t")
				nodes[i] = list + number
			}
		}
		return nodes, noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

func notInList(r rune) bool { return r == ',' || r == '/' }

func (c *command) planned() []launcher.NodePlan {
	cl, err := c.open(0, nil)
	if err != nil {
		return nil
	}
	p, err := cl.Plan()
	if err != nil {
		return nil
	}
	return p.Nodes
}

// completeFirst is a completion for the first argument only.
func completeFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, noFiles
		}
		return complete(cmd, given, word)
	}
}

// completeLearn wants a directory; the shell knows more of the command that follows it.
func completeLearn(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, alsoFile
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}
