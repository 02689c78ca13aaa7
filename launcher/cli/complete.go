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

// completion registers what the values of flags can be. Arguments are no files unless a command says so.
func completion(c *call, cmd *cobra.Command) {
	values := map[string]cobra.CompletionFunc{
		"cluster":  c.completeClusters,
		"template": completeTemplates,
		"from":     completeSnapshots,
		"format":   cobra.FixedCompletions([]string{"shell", "dotenv", "json"}, noFiles),
		"spread":   cobra.FixedCompletions([]string{"port", "address"}, noFiles),
		"join":     cobra.FixedCompletions([]string{"config", "command", "none"}, noFiles),
		"role":     c.completeRoles,
		"base":     cobra.FixedCompletions([]string{"auto"}, noFiles),
		"source":   cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"bundle":   cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"dir":      cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"set":      completeSet,
		"param":    completeParam,
		"project":  cobra.FixedCompletions([]string{noProject}, alsoFile),
	}
	for _, name := range []string{"timeout", "host", "offset", "env", "since", "grep", "wait-for", "settle", "name"} {
		values[name] = cobra.NoFileCompletions
	}
	if cmd.Flags().Lookup("offset") != nil { // that of a plan, not that which names nodes
		values["node"] = completeNodeOption
	}
	for name, complete := range values {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // the error says that it has no such flag, or that the flag has one
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		completion(c, sub)
	}
}

// described is a completion with a text that the shell may show beside it.
func described(value, what string) string { return cobra.CompletionWithDesc(value, what) }

func (c *call) completeClusters(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, _ := launcher.Names() // a completion can't report an error
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

// templateOf is the template that a command line names, else the default one.
func templateOf(cmd *cobra.Command) (launcher.TemplateInfo, bool) {
	name, _ := cmd.Flags().GetString("template")
	t, err := launcher.Template(cmd.Context(), name)
	return t, err == nil
}

// completeSet offers LISTENER= for the listeners of the template.
func completeSet(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	t, _ := templateOf(cmd)
	var out []string
	for _, l := range t.Listeners {
		if l.Port > 0 {
			out = append(out, described(l.Name+"=", "default "+strconv.Itoa(l.Port)))
		}
	}
	return out, noFiles | cobra.ShellCompDirectiveNoSpace
}

// completeParam offers NAME= for the settings of the template.
func completeParam(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	t, _ := templateOf(cmd)
	var out []string
	for _, p := range t.Params {
		out = append(out, described(p.Name+"=", p.Summary))
	}
	return out, noFiles | cobra.ShellCompDirectiveNoSpace
}

// completeNodeOption offers the keys of one node, N:KEY=.
func completeNodeOption(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	node, _, ok := strings.Cut(word, ":")
	if !ok {
		return []string{"1:", "2:", "3:"}, noFiles | cobra.ShellCompDirectiveNoSpace
	}
	out := []string{node + ":source=", node + ":bin=", node + ":env."}
	if t, ok := templateOf(cmd); ok {
		for _, l := range t.Listeners {
			out = append(out, node+":set."+l.Name+"=")
		}
	}
	return out, noFiles | cobra.ShellCompDirectiveNoSpace
}

func completeSnapshots(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	list, _ := launcher.Snapshots()
	var out []string
	for _, s := range list {
		if !slices.Contains(args, s.Name) {
			out = append(out, described(s.Name, "of cluster "+s.Cluster))
		}
	}
	return out, noFiles
}

// completeNodes offers the numbers of the cluster's nodes that are not among the arguments yet.
func (c *call) completeNodes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, n := range c.plannedNodes() {
		if number := strconv.Itoa(n.Index); !slices.Contains(args, number) {
			out = append(out, described(number, n.Name))
		}
	}
	return out, noFiles
}

// completeNode offers nodes for the flag of that name.
func (c *call) completeNode(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return c.completeNodes(cmd, nil, word)
}

// completeInNode offers a node first; the command that follows is left to the shell.
func (c *call) completeInNode(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, alsoFile
	}
	return c.completeNodes(cmd, nil, word)
}

// completeFault offers nodes, one by one in a list with commas, and the words that may follow such a list.
func (c *call) completeFault(between ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) > 2 && between[0] != "/": // only groups can be more than two
			return nil, noFiles
		case len(args)%2 == 1:
			return between, noFiles
		}
		list := word[:strings.LastIndex(word, ",")+1]
		nodes, _ := c.completeNodes(cmd, strings.FieldsFunc(strings.Join(args, ",")+","+list, notInList), word)
		for i := range nodes {
			if list != "" { // bash's completion script fails on a word with a comma that has a description
				number, _, _ := strings.Cut(nodes[i], "\t")
				nodes[i] = list + number
			}
		}
		return nodes, noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

func notInList(r rune) bool { return r == ',' || r == '/' }

// plannedNodes are the nodes of the cluster; none if they can't be read.
func (c *call) plannedNodes() []launcher.NodePlan {
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

// completeRoles offers the roles of the template that the command line names, else of the cluster's; for up with the = before the count.
func (c *call) completeRoles(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	flag := cmd.Flags().Lookup("template")
	name, after, directive := "", "", noFiles
	if flag != nil {
		name, after, directive = flag.Value.String(), "=", noFiles|cobra.ShellCompDirectiveNoSpace
	}
	var roles []launcher.Role
	if cl, err := c.open(0, nil); name == "" && err == nil {
		roles, _ = cl.Roles(cmd.Context()) // a completion can't report an error
	} else if name != "" {
		roles, _ = launcher.Roles(cmd.Context(), name)
	}
	var out []string
	for _, r := range roles {
		out = append(out, described(r.Name+after, r.Summary))
	}
	return out, directive
}

// completeFirst is a completion for the first argument only.
func completeFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, noFiles
		}
		return complete(cmd, args, word)
	}
}

// completeLearn offers a directory first; the command that follows is left to the shell.
func completeLearn(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, alsoFile
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}
