package cli

import (
	"context"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func watchCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "watch", Short: "Build again when files change, and restart node by node", Example: "  onemore up && onemore watch", Args: takes(0, 0),
		Long: "watch stays. When a file changes that the project's `watch` matches, it runs `build`, and restarts the nodes one after the other,\nthe cluster settled in between. When the build fails, the nodes run on.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := c.progress()
			p.live = false // what is told here is not replaced by what follows
			err := runWatch(cmd.Context(), c, p)
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is the way to end it
			}
			return err
		}}
}

func runWatch(ctx context.Context, c *call, p *progress) error {
	s, err := c.wholeStack()
	if err != nil {
		return err
	}
	if s != nil {
		return s.WatchBuild(ctx, p.eventOf)
	}
	project, stack, err := c.surroundings()
	if err != nil {
		return err
	}
	o := project.Options
	if stack != nil {
		if o, err = stack.One(c.cluster); err != nil {
			return err
		}
	}
	o.Progress = p.event
	name, err := c.clusterName()
	if err != nil {
		return err
	}
	cl, err := launcher.Open(name, o)
	if err != nil {
		return err
	}
	return launcher.WatchBuild(ctx, cl, o)
}
