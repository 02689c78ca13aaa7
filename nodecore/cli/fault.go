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
	set := &cobra.Command{Use: "set NAME@HOST…", Short: "Make the traffic with members suffer; replaces what was set for them",
		Args: cobra.MinimumNArgs(1), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, peers []string) error { return c.faultSet(cmd.Context(), peers, f) }}
	set.Flags().StringVar(&f.direction, "direction", "both", "out (to the member), in (from it) or both")
	set.Flags().BoolVar(&f.block, "block", false, "let nothing pass")
	set.Flags().DurationVar(&f.delay, "delay", 0, "hold everything up for so long")
	set.Flags().StringVar(&f.drop, "drop", "0%", "lose so many of the packets, in percent")
	clear := &cobra.Command{Use: "clear [NAME@HOST…]", Short: "End the faults with members, or all of them",
		Args: cobra.ArbitraryArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, peers []string) error { return c.faultClear(cmd.Context(), peers) }}
	list := c.command("list", "Show the faults that are set", 0, "no arguments",
		func(ctx context.Context, _ string) error {
			return c.faultDo(ctx, "Failed to list faults", nodecore.ControlRequest{Op: nodecore.OpFaultList})
		})
	return group("fault", "Try the cluster under a bad network, in the node's own transport", set, clear, list)
}

func (c *ctl) faultSet(ctx context.Context, peers []string, f faultFlags) error {
	drop, err := parsePercent(f.drop)
	if err != nil {
		return &usageError{err}
	}
	fault := nodecore.Fault{Direction: f.direction, Block: f.block, Delay: f.delay, Drop: drop}
	if fault == (nodecore.Fault{Direction: f.direction}) {
		return &usageError{fmt.Errorf("set fault: none of --block, --delay and --drop is given")}
	}
	var reqs []nodecore.ControlRequest
	for _, fault.Peer = range peers {
		reqs = append(reqs, nodecore.ControlRequest{Op: nodecore.OpFaultSet, Fault: fault})
	}
	return c.faultDo(ctx, "Failed to set fault", reqs...)
}

func (c *ctl) faultClear(ctx context.Context, peers []string) error {
	if len(peers) == 0 {
		peers = []string{""}
	}
	var reqs []nodecore.ControlRequest
	for _, peer := range peers {
		reqs = append(reqs, nodecore.ControlRequest{Op: nodecore.OpFaultClear, Target: peer})
	}
	return c.faultDo(ctx, "Failed to clear faults", reqs...)
}

// parsePercent reads "10%" or "10" as 0.1. A number below 1 needs the sign: it
// may be meant as a share.
func parsePercent(s string) (float64, error) {
	number, sign := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || v > 100 {
		return 0, fmt.Errorf("set fault: %q is not a percentage from 0 to 100", s)
	}
	if !sign && v > 0 && v < 1 {
		return 0, fmt.Errorf("set fault: %q may be a share or a percentage: write %.6g%% or %.6g%%", s, v, 100*v)
	}
	return v / 100, nil
}

// faultDo sends requests and prints the faults that there are after the last.
func (c *ctl) faultDo(ctx context.Context, what string, reqs ...nodecore.ControlRequest) error {
	var reply nodecore.ControlReply
	for _, req := range reqs {
		var err error
		if reply, err = c.ask(ctx, what, req); err != nil {
			return err
		}
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
