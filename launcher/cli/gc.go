package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func gcCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "gc", Short: "Remove what crashed runs left: processes, folders, kept logs", Args: takes(0, 0),
		Example: "  onemore gc",
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
