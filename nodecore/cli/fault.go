package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"onemore/nodecore"

	"github.com/spf13/cobra"
)

// faultFlags are the flags of `fault set`.
type faultFlags struct {
	direction string
	block     bool
	delay     time.Duration
	drop      string
}

// faultCommand is `ctl fault`: faults of the node's own transport, for tests of
// what a bad network does.
func (c *ctl) faultCommand() *cobra.Command {
	var f faultFlags
	set := c.command("set NAME@HOST", "Make the traffic with a member suffer; replaces what was set for it", 1, "the other member",
		func(ctx context.Context, peer string) error { return c.faultSet(ctx, peer, f) })
	set.Flags().StringVar(&f.direction, "direction", "both", "out (to the member), in (from it) or both")
	set.Flags().BoolVar(&f.block, "block", false, "let nothing pass")
	set.Flags().DurationVar(&f.delay, "delay", 0, "hold everything up for so long")
	set.Flags().StringVar(&f.drop, "drop", "0%", "lose so many of the packets, in percent")
	clear := c.command("clear [NAME@HOST]", "End the faults with a member, or all of them", 1, "at most one member",
		func(ctx context.Context, peer string) error {
			return c.faultDo(ctx, "Failed to clear faults", nodecore.ControlRequest{Op: nodecore.OpFaultClear, Target: peer})
		})
	clear.Args = cobra.MaximumNArgs(1)
	list := c.command("list", "Show the faults that are set", 0, "no arguments",
		func(ctx context.Context, _ string) error {
			return c.faultDo(ctx, "Failed to list faults", nodecore.ControlRequest{Op: nodecore.OpFaultList})
		})
	return group("fault", "Try the cluster under a bad network, in the node's own transport", set, clear, list)
}

func (c *ctl) faultSet(ctx context.Context, peer string, f faultFlags) error {
	drop, err := parsePercent(f.drop)
	if err != nil {
		return &usageError{err}
	}
	fault := nodecore.Fault{Peer: peer, Direction: f.direction, Block: f.block, Delay: f.delay, Drop: drop}
	if fault == (nodecore.Fault{Peer: peer, Direction: f.direction}) {
		return &usageError{fmt.Errorf("set fault: none of --block, --delay and --drop is given")}
	}
	return c.faultDo(ctx, "Failed to set fault", nodecore.ControlRequest{Op: nodecore.OpFaultSet, Fault: fault})
}

// parsePercent reads "10%" or "10" as 0.1.
func parsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || v < 0 || v > 100 {
		return 0, fmt.Errorf("set fault: %q is not a percentage from 0 to 100", s)
	}
	return v / 100, nil
}

// faultDo sends a request and prints the faults that there are then.
func (c *ctl) faultDo(ctx context.Context, what string, req nodecore.ControlRequest) error {
	reply, err := c.ask(ctx, what, req)
	if err != nil {
		return err
	}
	if c.json {
		if err := json.NewEncoder(c.Out).Encode(map[string]any{"faults": reply.Faults}); err != nil {
			return fmt.Errorf("print faults: %w", err)
		}
		return nil
	}
	var text strings.Builder
	for _, f := range reply.Faults {
		text.WriteString(f.String() + "\n")
	}
	if text.Len() == 0 {
		text.WriteString("no faults\n")
	}
	if _, err := io.WriteString(c.Out, text.String()); err != nil {
		return fmt.Errorf("print faults: %w", err)
	}
	return nil
}
