package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func snapshotCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "Save whole clusters; `up --from NAME` brings one back",
		Long: "A snapshot is a copy of all node directories. Nodes that run are paused, all at once and only while they are copied, so it is\n" +
			"what a crash of all of them at that moment would leave: what a server does not write before it acknowledges may be missing.\n" +
			"Stop the cluster first where that is not enough.",
		Example: "  onemore snapshot save before-the-test\n  onemore up --from before-the-test"}
	cmd.AddCommand(snapshotSaveCommand(c), snapshotListCommand(c), snapshotRemoveCommand(c))
	return cmd
}

// snapshotTimeout bounds the copying of all nodes' directories, during which nothing is heard.
const snapshotTimeout = 10 * time.Minute

func snapshotSaveCommand(c *call) *cobra.Command {
	timeout := snapshotTimeout
	cmd := &cobra.Command{Use: "save NAME", Short: "Copy the directories of all nodes", Example: "  onemore snapshot save before-the-test", Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s, err := c.wholeStack(); err != nil || s != nil {
				if err != nil {
					return err
				}
				return saveStack(cmd.Context(), c, s, args[0], timeout)
			}
			p := c.progress()
			cl, err := c.open(timeout, p)
			if err != nil {
				return err
			}
			s, err := cl.SaveSnapshot(cmd.Context(), args[0])
			p.end()
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(s)
			}
			return tellSaved(c, s)
		}}
	cmd.Flags().DurationVar(&timeout, "timeout", snapshotTimeout, "give up after this time")
	return cmd
}

func tellSaved(c *call, s *launcher.Snapshot) error {
	how := "stopped"
	if s.Running > 0 {
		how = fmt.Sprintf("%d of them paused for %v: as after a crash of all at once", s.Running, time.Duration(s.PausedMS)*time.Millisecond)
	}
	_, err := fmt.Fprintf(c.Stdout, "saved %s: %d nodes of cluster %s (%s), %s\n", s.Name, s.Nodes, s.Cluster, how, formatBytes(s.Bytes))
	return err
}

// saveStack saves all clusters of a stack.
func saveStack(ctx context.Context, c *call, s *launcher.Stack, name string, timeout time.Duration) error {
	list, err := s.SaveSnapshot(ctx, name, launcher.Options{Timeout: timeout})
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(list)
	}
	for _, one := range list {
		if err := tellSaved(c, one); err != nil {
			return err
		}
	}
	return nil
}

func snapshotListCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "All snapshots", Example: "  onemore snapshot ls", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			list, err := launcher.Snapshots()
			if list == nil {
				return err
			}
			if c.json {
				return errors.Join(err, c.printJSON(list))
			}
			tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "SNAPSHOT\tCLUSTER\tTEMPLATE\tNODES\tSIZE\tSAVED")
			for _, s := range list {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Name, s.Cluster, s.Template, s.Nodes, formatBytes(s.Bytes), s.Time.Local().Format(time.DateTime))
			}
			return errors.Join(err, tw.Flush())
		}}
}

func snapshotRemoveCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "rm NAME…", Short: "Remove snapshots", Example: "  onemore snapshot rm before-the-test", Args: atLeast(1), ValidArgsFunction: completeSnapshots,
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				errs = append(errs, launcher.RemoveSnapshot(name))
			}
			return errors.Join(errs...)
		}}
}

// formatBytes is a size with a binary unit.
func formatBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit && prefix < 4 {
		size /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGTP"[prefix])
}
