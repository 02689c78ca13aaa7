package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// nodeCommand is a command on some nodes, or on all.
func nodeCommand(c *call, use, short, example string, args cobra.PositionalArgs,
	run func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error)) *cobra.Command {
	var timeout *timeoutFlag
	cmd := &cobra.Command{Use: use, Short: short, Example: "  " + example, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		if s, err := c.wholeStack(); err == nil && s != nil && len(args) == 0 {
			limit, err := timeout.limit()
			if err != nil {
				return err
			}
			return onStack(cmd.Context(), c, s, cmd.Name() == "stop", limit, run)
		}
		p := c.progress()
		cl, err := c.openFor(timeout, p)
		if err != nil {
			return err
		}
		nodes, err := cl.Find(args...)
		if err != nil {
			return err
		}
		st, err := run(cmd.Context(), cl, nodes)
		p.end()
		if err != nil {
			return err
		}
		return c.show(st, false)
	}}
	timeout = addTimeout(cmd, "")
	cmd.ValidArgsFunction = c.completeNodes
	return cmd
}

func addCommand(c *call) *cobra.Command {
	var timeout *timeoutFlag
	var role string
	cmd := &cobra.Command{Use: "add [K]", Short: "Add K nodes (default 1) to the cluster", Example: "  onemore add\n  onemore add 2", Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k := 1
			if len(args) > 0 {
				var err error
				if k, err = strconv.Atoi(args[0]); err != nil || k < 1 {
					return &launcher.InputError{Err: fmt.Errorf("%q is no number of nodes to add", args[0]), Hint: "for example: onemore add 2"}
				}
			}
			p := c.progress()
			cl, err := c.openFor(timeout, p)
			if err != nil {
				return err
			}
			st, err := cl.AddRole(cmd.Context(), k, role)
			p.end()
			if err != nil {
				return err
			}
			return c.show(st, false)
		}}
	timeout = addTimeout(cmd, ", and undo")
	cmd.Flags().StringVar(&role, "role", "", "the role of the new nodes, where the template has roles")
	return cmd
}

func removeCommand(c *call) *cobra.Command {
	return nodeCommand(c, "remove NODE…", "Let nodes leave the cluster, then stop and remove them", "onemore remove 3", atLeast(1),
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Remove(ctx, nodes...)
		})
}

func stopCommand(c *call) *cobra.Command {
	return nodeCommand(c, "stop [NODE…]", "Stop nodes (default: all); data, names and ports stay", "onemore stop 2\n  onemore stop 2-4", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Stop(ctx, nodes...)
		})
}

func startCommand(c *call) *cobra.Command {
	return nodeCommand(c, "start [NODE…]", "Start stopped nodes (default: all)", "onemore start\n  onemore start 2", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Start(ctx, nodes...)
		})
}

func restartCommand(c *call) *cobra.Command {
	var rolling bool
	cmd := nodeCommand(c, "restart [NODE…]", "Stop and start nodes (default: all)", "onemore restart 1,3\n  onemore restart --rolling", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Restart(ctx, rolling, nodes...)
		})
	cmd.Flags().BoolVar(&rolling, "rolling", false, "one after the other, the cluster settled in between")
	return cmd
}

func killCommand(c *call) *cobra.Command {
	return nodeCommand(c, "kill NODE…", "Kill nodes with SIGKILL, as a crash would", "onemore kill 2\n  onemore kill all", atLeast(1),
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Kill(ctx, nodes...)
		})
}

func pauseCommand(c *call) *cobra.Command {
	return nodeCommand(c, "pause [NODE…]", "Freeze nodes (default: all) where they are (SIGSTOP)", "onemore pause 1", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Pause(ctx, nodes...)
		})
}

func resumeCommand(c *call) *cobra.Command {
	return nodeCommand(c, "resume [NODE…]", "Let paused nodes go on", "onemore resume 1", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Resume(ctx, nodes...)
		})
}
