package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func execCommand(c *call) *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: "exec NODE… -- CMD…", Short: "Run any command in a node's directory and environment", Args: inNodes(&all, 1),
		ValidArgsFunction: c.completeInNode,
		Example:           "  onemore exec 2 -- sh -c 'ls data'\n  onemore exec --all -- du -sh .",
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, command := splitNodes(all, args)
			if command = afterDash(command); len(command) == 0 {
				return usage(cmd, errors.New("it names no command"))
			}
			return execInNodes(cmd.Context(), c, nodes, func(launcher.NodePlan) ([]string, error) { return command, nil })
		}}
	cmd.Flags().SetInterspersed(false) // flags after the node are the command's
	cmd.Flags().BoolVar(&all, "all", false, "in every node, one after the other")
	return cmd
}

func ctlCommand(c *call) *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: "ctl NODE… -- ARGS…", Short: "Run the server's own control command against a node",
		Long: "Run the server's own control command against a node of the cluster. In the directory of a built-in node, `onemore ctl cluster …` runs against that node.", Args: inNodes(&all, 0),
		ValidArgsFunction: c.completeInNode,
		Example:           "  onemore ctl 2 -- cluster status\n  onemore ctl --all -- cluster status",
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, rest := splitNodes(all, args)
			rest, err := ownFlags(cmd, rest)
			if err != nil {
				return err
			}
			return execInNodes(cmd.Context(), c, nodes, func(n launcher.NodePlan) ([]string, error) {
				if len(n.Ctl) == 0 {
					return nil, fmt.Errorf("the template of this cluster has no control command; use `onemore exec %d -- CMD`", n.Index)
				}
				return append(n.Ctl, afterDash(rest)...), nil
			})
		}}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVar(&all, "all", false, "against every node, one after the other")
	return cmd
}

// inNodes is the check of a command that takes nodes, or --all, and so many words at least.
func inNodes(all *bool, words int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		least := words
		if !*all {
			least++
		}
		return atLeast(least)(cmd, args)
	}
}

// splitNodes divides arguments into the word that names the nodes and what follows it.
func splitNodes(all bool, args []string) (nodes string, rest []string) {
	if all {
		return "all", args
	}
	return args[0], args[1:]
}

// ownFlags parses onemore's own flags between the node and the --, and returns what follows them.
func ownFlags(cmd *cobra.Command, args []string) ([]string, error) {
	dash := slices.Index(args, "--")
	if dash <= 0 || !strings.HasPrefix(args[0], "-") {
		return args, nil
	}
	err := cmd.Flags().Parse(args[:dash])
	if err == nil && cmd.Flags().NArg() > 0 {
		err = fmt.Errorf("%q stands before the --", cmd.Flags().Arg(0))
	}
	if err != nil {
		return nil, usage(cmd, err)
	}
	return args[dash:], nil
}

// afterDash drops the -- between the node and the command.
func afterDash(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// execInNodes runs a command in the directory and environment of each node that a word names, one after the other, with our
// streams. The first exit code that is not 0 becomes ours.
func execInNodes(ctx context.Context, c *call, nodes string, args func(launcher.NodePlan) ([]string, error)) error {
	cl, err := c.open(0, nil)
	if err != nil {
		return err
	}
	indices, err := cl.Find(nodes)
	if err != nil {
		return err
	}
	for _, i := range indices {
		if len(indices) > 1 && !c.quiet {
			fmt.Fprintf(c.Stderr, "--- node %d\n", i)
		}
		code, err := cl.Exec(ctx, i, c.streams(), args)
		if c.code == 0 {
			c.code = code
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// streams are our streams as files; one that is no file (in tests) is /dev/null for the command.
func (c *call) streams() launcher.Streams {
	var s launcher.Streams
	s.In, _ = c.Stdin.(*os.File)
	s.Out, _ = c.App.Stdout.(*os.File)
	s.Err, _ = c.Stderr.(*os.File)
	return s
}
