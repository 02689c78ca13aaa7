package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func checkCommand(c *call) *cobra.Command {
	f := planFlags{}
	var lint bool
	cmd := &cobra.Command{Use: "check TEMPLATE", Short: "Read a template strictly, and try it with real clusters", Args: takes(1, 1),
		ValidArgsFunction: completeFirst(completeTemplates),
		Example:           "  onemore templates check ./kvd.toml -s ./kvd\n  onemore templates check ./kvd.toml --lint",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.project = noProject
			o, err := f.options(c)
			if err != nil {
				return err
			}
			o.Template = args[0]
			return runCheck(cmd.Context(), c, launcher.CheckOptions{Options: o, Lint: lint})
		}}
	f.addServer(cmd)
	cmd.Flags().BoolVar(&lint, "lint", false, "only read it and plan with it; start nothing")
	return cmd
}

func runCheck(ctx context.Context, c *call, o launcher.CheckOptions) error {
	if !c.json {
		o.Step = func(s launcher.Step) {
			verdict := map[bool]string{true: "ok", false: "FAILED"}[s.OK]
			fmt.Fprintf(c.Stdout, "%-7s %s (%.1fs)\n", verdict, s.Name, s.Seconds)
			if s.Why != "" {
				fmt.Fprintf(c.Stdout, "        %s\n", indent(s.Why))
			}
			for _, l := range s.Log {
				fmt.Fprintf(c.Stdout, "        | %s\n", l)
			}
			for _, more := range []string{s.Hint, s.Logs} {
				if more != "" {
					fmt.Fprintf(c.Stdout, "        (%s)\n", more)
				}
			}
		}
	}
	steps, err := launcher.CheckTemplate(ctx, o)
	if c.json && steps != nil {
		err = errors.Join(err, c.printJSON(steps))
	}
	return err
}

// indent keeps the lines of a text below its first one.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n        ") }
