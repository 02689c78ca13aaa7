package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func statusCommand(c *call) *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{Use: "status", Short: "The nodes of the cluster, looked at, not remembered", Args: takes(0, 0),
		Example: "  onemore status\n  onemore status --json | jq .state",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s, err := c.wholeStack(); err != nil || s != nil {
				if err != nil {
					return err
				}
				list, err := s.Status(cmd.Context())
				if err == nil && exitCode && statusOf(s, list).State != "running" {
					c.code = exitFailed
				}
				if err != nil {
					return err
				}
				return showStack(c, s, list)
			}
			cl, err := c.open(0, nil)
			if err != nil {
				return err
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			if exitCode && st.State != "running" {
				c.code = exitFailed
			}
			return c.show(st, false)
		}}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 unless all nodes run and each sees all (state \"running\")")
	return cmd
}

func lsCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "All clusters on this host", Args: takes(0, 0),
		Example: "  onemore ls",
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
