package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func templatesCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{Use: "templates", Short: "What can be launched; show or check a template", Args: takes(0, 0),
		Example: "  onemore templates\n  onemore templates show onemore",
		RunE:    func(*cobra.Command, []string) error { return runTemplates(c) }}
	cmd.AddCommand(&cobra.Command{Use: "show TEMPLATE", Short: "Print a template's TOML", Args: takes(1, 1),
		ValidArgsFunction: completeFirst(completeTemplates),
		Example:           "  onemore templates show onemore > mine.toml",
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := launcher.TemplateText(args[0])
			if err != nil {
				return err
			}
			_, err = c.Stdout.Write(text)
			return err
		}})
	cmd.AddCommand(checkCommand(c))
	return cmd
}

func runTemplates(c *call) error {
	list, broken := launcher.Templates()
	if list == nil {
		return broken
	}
	if c.json {
		return errors.Join(broken, c.printJSON(list))
	}
	tw := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, t := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", t.Name, t.Summary, t.From)
	}
	return errors.Join(broken, tw.Flush())
}
