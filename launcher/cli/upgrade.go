package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func upgradeCommand(c *call) *cobra.Command {
	var o launcher.UpgradeOptions
	var rollback bool
	var timeout *timeoutFlag
	cmd := &cobra.Command{
		Use:   "upgrade [NODE…]",
		Short: "Give nodes (default: all) a new directory or program, one by one",
		Long: "upgrade takes one node at a time: it drains it as the template says, stops it, swaps what the new directory brings (data, edited\n" +
			"files, names and ports stay), starts it, and waits until the cluster has settled. It stops at the first failure.\n" +
			"What a node was stays beside it until its next upgrade; --rollback puts it back, with the data of that moment.",
		Example: "  onemore upgrade --source ./server-2.1\n  onemore upgrade --release 2.1.0\n  onemore upgrade --bin ./server-2.1/bin/server 1\n  onemore upgrade --rollback",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rollback && (o.Source != "" || o.Bin != "" || o.Release != "") {
				return usage(cmd, errors.New("--rollback goes back to what was; it takes no --source, no --bin and no --release"))
			}
			p := c.progress()
			cl, err := c.openFor(timeout, p)
			if err != nil {
				return err
			}
			if o.Nodes, err = cl.Find(args...); err != nil {
				return err
			}
			var st *launcher.Status
			if rollback {
				st, err = cl.Rollback(cmd.Context(), o.Nodes...)
			} else {
				st, err = cl.Upgrade(cmd.Context(), o)
			}
			p.end()
			if err != nil {
				return err
			}
			return c.show(st, false)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Source, "source", "s", "", "the new node directory; it is never written to. Also an archive of it, or an archive's URL")
	f.StringVar(&o.Release, "release", "", "the new VERSION of the server, fetched as the template says")
	f.StringVar(&o.Bin, "bin", "", "the new program, where it is not in the node directory")
	f.BoolVar(&rollback, "rollback", false, "go back to what the nodes were")
	timeout = addTimeout(cmd, "")
	cmd.ValidArgsFunction = c.completeNodes
	return cmd
}
