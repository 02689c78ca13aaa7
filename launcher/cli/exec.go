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
	cmd := &cobra.Command{Use: "exec NODE -- CMD…", Short: "Run any command in a node's directory and environment", Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: c.completeInNode,
		Example:           "  onemore exec 2 -- sh -c 'ls data'",
		RunE: func(cmd *cobra.Command, args []string) error {
			command := afterDash(args[1:])
			if len(command) == 0 {
				return usage(cmd, errors.New("it names no command"))
			}
			return execInNode(cmd.Context(), c, args[0], func(launcher.NodePlan) ([]string, error) { return command, nil })
		}}
	cmd.Flags().SetInterspersed(false) // flags after the node are the command's
	return cmd
}

func ctlCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "ctl NODE -- ARGS…", Short: "Run the server's own control command against a node",
		Long: "Run the server's own control command against a node of the cluster. In the directory of a built-in node,\n`onemore ctl cluster …` runs against that node.", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: c.completeInNode,
		Example:           "  onemore ctl 2 -- cluster status",
		RunE: func(cmd *cobra.Command, args []string) error {
			rest, err := ownFlags(cmd, args[1:])
			if err != nil {
				return err
			}
			return execInNode(cmd.Context(), c, args[0], func(n launcher.NodePlan) ([]string, error) {
				if len(n.Ctl) == 0 {
					return nil, fmt.Errorf("the template of this cluster has no control command; use `onemore exec %s -- CMD`", args[0])
				}
				return append(n.Ctl, afterDash(rest)...), nil
			})
		}}
	cmd.Flags().SetInterspersed(false)
	return cmd
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

// execInNode runs a command in a node's directory and environment, with our streams; its exit code becomes ours.
func execInNode(ctx context.Context, c *call, node string, args func(launcher.NodePlan) ([]string, error)) error {
	cl, err := c.open(0, nil)
	if err != nil {
		return err
	}
	indices, err := cl.Find(node)
	if err != nil {
		return err
	}
	c.code, err = cl.Exec(ctx, indices[0], c.streams(), args)
	return err
}

// streams are our streams as files; one that is no file (in tests) is /dev/null for the command.
func (c *call) streams() launcher.Streams {
	var s launcher.Streams
	s.In, _ = c.Stdin.(*os.File)
	s.Out, _ = c.App.Stdout.(*os.File)
	s.Err, _ = c.Stderr.(*os.File)
	return s
}
