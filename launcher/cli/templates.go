package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func (c *command) templatesCommand() *cobra.Command {
	return &cobra.Command{Use: "templates", Short: "What can be launched", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list, broken := launcher.Templates()
			if c.json {
				return errors.Join(broken, c.printJSON(list))
			}
			tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
			for _, t := range list {
				fmt.Fprintf(tw, "%s\t%s\n", t.Name, t.Summary)
			}
			return errors.Join(broken, tw.Flush())
		}}
}
