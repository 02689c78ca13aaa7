package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func runCommand(c *call) *cobra.Command {
	var f planFlags
	var o launcher.RunOptions
	cmd := &cobra.Command{Use: "run [N] -- CMD…", Short: "A cluster for the life of one command: up, CMD, down",
		Long:              "run brings up a cluster of its own on free ports, runs CMD with every address in its environment (as `onemore env`\nprints them), and takes the cluster down. CMD's exit code and the signals are passed through.",
		Example:           "  onemore run 3 -- pytest -q\n  onemore run -t nats --bundle ./failed -- go test ./...",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.FixedCompletions(nil, alsoFile), // of CMD
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			if at < 0 || at > 1 || at == len(args) {
				return usage(cmd, errors.New("want: onemore run [N] -- COMMAND [ARGS…]"))
			}
			o.Named = cmd.Flags().Changed("cluster")
			s, err := c.wholeStack()
			if err != nil {
				return err
			}
			if s != nil {
				so, err := f.stackOptions(cmd, args[:at], s)
				if err != nil {
					return err
				}
				if !cmd.Flags().Changed("base") {
					so.Base = "auto"
				}
				o.Named = cmd.Flags().Changed("stack")
				return runStackRun(cmd.Context(), c, s, so, o, args[at:])
			}
			opts, err := f.options(c)
			if err != nil {
				return err
			}
			if err := parseCount(cmd, args[:at], &opts); err != nil {
				return err
			}
			if !cmd.Flags().Changed("base") {
				opts.Base = "auto"
			}
			return runRun(cmd.Context(), c, opts, o, args[at:])
		}}
	f.add(cmd)
	cmd.Flags().StringVar(&o.Bundle, "bundle", "", "folder for the logs and the status when CMD fails (default: one in the temporary folder)")
	cmd.Flags().BoolVar(&o.Reuse, "reuse", false, "leave the cluster running for the next run --reuse, and use one that is")
	return cmd
}

func runStackRun(ctx context.Context, c *call, s *launcher.Stack, o launcher.StackOptions, r launcher.RunOptions, args []string) error {
	p := c.progress()
	p.quiet = p.quiet || !c.verbose
	o.Progress = p.eventOf
	r.Streams = c.streams()
	code, bundle, err := s.Run(ctx, o, r, args)
	p.end()
	if bundle != "" {
		c.say("hint", "the nodes' logs and the status of each cluster are in "+bundle)
	}
	c.code = code
	return err
}

func runRun(ctx context.Context, c *call, o launcher.Options, r launcher.RunOptions, args []string) error {
	p := c.progress()
	p.quiet = p.quiet || !c.verbose && !p.live
	r.Formed = func(cl *launcher.Cluster) {
		if plan, err := cl.Plan(); err == nil {
			p.endWith("%d nodes formed in %s", len(plan.Nodes))
		}
		p.end()
	}
	o.Progress = p.event
	r.Streams = c.streams()
	code, bundle, err := launcher.Run(ctx, o, r, args)
	p.end()
	if bundle != "" {
		c.say("hint", "the nodes' logs and the status are in "+bundle)
	}
	c.code = code
	return err
}
