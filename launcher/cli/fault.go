package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func faultCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "fault", Short: "Break the network between nodes, and heal it",
		Long: "Faults are between nodes; clients reach them all the same. They end with `fault heal`, or with the cluster. The built-in node\n" +
			"breaks its own transport; for any other server the kernel does it, which takes root on Linux and the program nft.",
		Example: "  onemore fault partition 1,2 / 3\n  onemore fault heal"}
	cmd.AddCommand(
		faultAdd(c, "partition NODE,… / NODE,…", "Nodes of different groups don't reach each other", "onemore fault partition 1,2 / 3"),
		faultAdd(c, "one-way NODE,… to NODE,…", "Nothing that the first send reaches the second", "onemore fault one-way 1 to 2\n  onemore fault one-way '1 -> 2'"),
		faultAdd(c, "delay NODE,… and|to NODE,… TIME", "What they send arrives later", "onemore fault delay 1 and 2 50ms\n  onemore fault delay '1 -> 2' 50ms"),
		faultAdd(c, "drop NODE,… and|to NODE,… SHARE", "Some of the packets are lost", "onemore fault drop 1 and 2 10%\n  onemore fault drop '1 <-> 2' 10%"),
		faultHealCommand(c), faultListCommand(c))
	return cmd
}

func faultAdd(c *call, use, short, example string) *cobra.Command {
	kind, form, _ := strings.Cut(use, " ")
	cmd := faultChange(c, use, short, example, atLeast(1),
		func(ctx context.Context, cl *launcher.Cluster, args []string) (*launcher.Status, error) {
			f, err := cl.ParseFault(kind + " " + strings.Join(args, " "))
			if err != nil {
				return nil, err
			}
			return cl.AddFault(ctx, f)
		})
	between := strings.Split(strings.Fields(form)[1], "|") // the two lists of nodes
	cmd.ValidArgsFunction = c.completeFault(between...)
	return cmd
}

func faultHealCommand(c *call) *cobra.Command {
	return faultChange(c, "heal [NUMBER…]", "End faults (default: all), and wait until the cluster has settled", "onemore fault heal\n  onemore fault heal 2", cobra.ArbitraryArgs,
		func(ctx context.Context, cl *launcher.Cluster, args []string) (*launcher.Status, error) {
			var numbers []int
			for _, a := range args {
				n, err := strconv.Atoi(a)
				if err != nil {
					return nil, &launcher.InputError{Err: fmt.Errorf("%q is no number of a fault", a), Hint: "`onemore fault ls` numbers them"}
				}
				numbers = append(numbers, n)
			}
			return cl.Heal(ctx, numbers...)
		})
}

func faultChange(c *call, use, short, example string, args cobra.PositionalArgs,
	run func(ctx context.Context, cl *launcher.Cluster, args []string) (*launcher.Status, error)) *cobra.Command {
	var timeout *timeoutFlag
	cmd := &cobra.Command{Use: use, Short: short, Example: "  " + example, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		p := c.progress()
		cl, err := c.openFor(timeout, p)
		if err != nil {
			return err
		}
		st, err := run(cmd.Context(), cl, args)
		p.end()
		if err != nil {
			return err
		}
		return showFaults(c, st)
	}}
	timeout = addTimeout(cmd, "")
	return cmd
}

func faultListCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "The faults that are set", Args: takes(0, 0),
		Example: "  onemore fault ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.open(0, nil)
			if err != nil {
				return err
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			return showFaults(c, st)
		}}
}

func showFaults(c *call, st *launcher.Status) error {
	if c.json {
		return c.printJSON(st.FaultTable.Faults)
	}
	if len(st.Faults) == 0 {
		fmt.Fprintln(c.Stdout, "no faults")
	}
	for i, f := range st.Faults {
		fmt.Fprintf(c.Stdout, "%d  %s\n", i+1, f)
	}
	return nil
}
