package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

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
