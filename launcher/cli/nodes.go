package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// settleTimeout bounds the commands that change running clusters, unless --timeout says otherwise.
const settleTimeout = time.Minute

// nodeCommand is a command on some nodes, or on all.
func nodeCommand(c *call, use, short string, args cobra.PositionalArgs,
	run func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error)) *cobra.Command {
	timeout := settleTimeout
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		p := c.progress()
		cl, err := c.open(timeout, p)
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
	cmd.Flags().DurationVar(&timeout, "timeout", settleTimeout, "give up after this time")
	cmd.ValidArgsFunction = c.completeNodes
	return cmd
}

func addCommand(c *call) *cobra.Command {
	timeout := settleTimeout
	cmd := &cobra.Command{Use: "add [K]", Short: "Add K nodes (default 1) to the cluster", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k := 1
			if len(args) > 0 {
				var err error
				if k, err = strconv.Atoi(args[0]); err != nil || k < 1 {
					return &launcher.InputError{Err: fmt.Errorf("%q is no number of nodes to add", args[0]), Hint: "for example: onemore add 2"}
				}
			}
			p := c.progress()
			cl, err := c.open(timeout, p)
			if err != nil {
				return err
			}
			st, err := cl.Add(cmd.Context(), k)
			p.end()
			if err != nil {
				return err
			}
			return c.show(st, false)
		}}
	cmd.Flags().DurationVar(&timeout, "timeout", settleTimeout, "give up after this time, and undo")
	return cmd
}

func removeCommand(c *call) *cobra.Command {
	return nodeCommand(c, "remove NODE…", "Let nodes leave the cluster, then stop and remove them", cobra.MinimumNArgs(1),
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Remove(ctx, nodes...)
		})
}

func stopCommand(c *call) *cobra.Command {
	return nodeCommand(c, "stop [NODE…]", "Stop nodes (default: all); data, names and ports stay", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Stop(ctx, nodes...)
		})
}

func startCommand(c *call) *cobra.Command {
	return nodeCommand(c, "start [NODE…]", "Start stopped nodes (default: all)", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Start(ctx, nodes...)
		})
}

func restartCommand(c *call) *cobra.Command {
	var rolling bool
	cmd := nodeCommand(c, "restart [NODE…]", "Stop and start nodes (default: all)", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Restart(ctx, rolling, nodes...)
		})
	cmd.Flags().BoolVar(&rolling, "rolling", false, "one after the other, the cluster settled in between")
	return cmd
}

func killCommand(c *call) *cobra.Command {
	return nodeCommand(c, "kill NODE…", "Kill nodes with SIGKILL, as a crash would", cobra.MinimumNArgs(1),
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Kill(ctx, nodes...)
		})
}

func pauseCommand(c *call) *cobra.Command {
	return nodeCommand(c, "pause [NODE…]", "Freeze nodes (default: all) where they are (SIGSTOP)", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Pause(ctx, nodes...)
		})
}

func resumeCommand(c *call) *cobra.Command {
	return nodeCommand(c, "resume [NODE…]", "Let paused nodes go on", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, nodes []int) (*launcher.Status, error) {
			return cl.Resume(ctx, nodes...)
		})
}

func downCommand(c *call) *cobra.Command {
	var all, keepData bool
	timeout := settleTimeout
	cmd := &cobra.Command{Use: "down", Short: "Stop the cluster and remove it: nothing is left", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !all {
				name, err := c.clusterName()
				if err != nil {
					return err
				}
				return runDown(cmd.Context(), c, name, timeout, keepData, c.progress())
			}
			names, err := launcher.Names()
			if err != nil {
				return err
			}
			for _, name := range names { // an error with one is reported, and the others are taken down
				p := c.progress()
				p.cluster = name
				if err := runDown(cmd.Context(), c, name, timeout, keepData, p); err != nil {
					c.say("error", fmt.Sprintf("cluster %q can't be taken down:", name))
					c.code = c.report(cmd.Context(), err)
				}
			}
			return nil
		}}
	cmd.Flags().BoolVar(&all, "all", false, "every cluster")
	cmd.Flags().BoolVar(&keepData, "keep-data", false, "stop everything, but leave the directories; `up` starts it again")
	cmd.Flags().DurationVar(&timeout, "timeout", settleTimeout, "give up after this time")
	return cmd
}

func runDown(ctx context.Context, c *call, name string, timeout time.Duration, keepData bool, p *progress) error {
	defer p.end()
	cl, err := launcher.Open(name, launcher.Options{Timeout: timeout, Progress: p.event})
	if err == nil {
		err = cl.Down(ctx, keepData)
	}
	if errors.Is(err, launcher.ErrNoCluster) {
		if !c.quiet {
			fmt.Fprintf(c.Stderr, "onemore: cluster %q is not there; nothing to do\n", name)
		}
		return nil
	}
	return err
}

func statusCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "status", Short: "The nodes of the cluster, looked at, not remembered", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.open(settleTimeout, nil)
			if err != nil {
				return err
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(st, false)
		}}
}

func lsCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "All clusters on this host", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, broken := launcher.List(cmd.Context())
			if list == nil {
				return broken
			}
			if c.json {
				return errors.Join(broken, c.printJSON(list))
			}
			return errors.Join(broken, clusterTable(c, list))
		}}
}

func gcCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "gc", Short: "Remove what crashed runs left: processes, folders, kept logs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := launcher.GC(cmd.Context())
			if done == nil {
				return err
			}
			if c.json {
				return errors.Join(err, c.printJSON(done))
			}
			for _, l := range done {
				fmt.Fprintln(c.Stdout, l)
			}
			return err
		}}
}
