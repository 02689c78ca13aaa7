package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onemore/launcher"
)

func statusCommand(c *call) *cobra.Command {
	var exitCode, watch bool
	var wide string
	cmd := &cobra.Command{Use: "status", Short: "The nodes of the cluster, looked at, not remembered", Args: takes(0, 0),
		Example: "  onemore status\n  onemore status --json | jq .state",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wide != "" && wide != "wide" {
				return &launcher.InputError{Err: fmt.Errorf("--output %q", wide), Hint: "use wide, or --json"}
			}
			c.wide, c.notes = wide == "wide", true
			if s, err := c.wholeStack(); err != nil || s != nil {
				if err != nil {
					return err
				}
				list, err := s.Status(cmd.Context())
				if err == nil && exitCode && statusOf(s, list).State != "running" {
					c.code = exitFailed
				}
				if err != nil {
					return err
				}
				return showStack(c, s, list)
			}
			cl, err := c.open(0, nil)
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(cmd.Context(), c, cl)
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			if exitCode && st.State != "running" {
				c.code = exitFailed
			}
			return c.show(st, false)
		}}
	cmd.Flags().StringVarP(&wide, "output", "o", "", "wide: every column, however wide the terminal is")
	cmd.Flags().BoolVar(&watch, "watch", false, "look again every second, until Ctrl-C")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 unless all nodes run and each sees all (state \"running\")")
	return cmd
}

// watchEvery is how often a watched status is looked at.
const watchEvery = time.Second

// watchStatus shows the status again and again until ctx ends, or the cluster: on a terminal in place of the last one, elsewhere when
// it has changed.
func watchStatus(ctx context.Context, c *call, cl *launcher.Cluster) error {
	var s screen
	out, last := c.Stdout, ""
	f, ok := c.App.Stdout.(*os.File)
	live := ok && term.IsTerminal(int(f.Fd())) && !c.json
	c.plain = true // of coloured lines it could not be said how wide they are
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		st, err := cl.Status(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is the way to end it
		}
		if err != nil {
			return err
		}
		var b bytes.Buffer
		c.Stdout = &output{Writer: &b}
		err = c.show(st, false)
		c.Stdout = out
		switch {
		case err != nil:
			return err
		case live:
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return err
			}
			fmt.Fprint(out, s.replace(strings.Split(strings.TrimRight(b.String(), "\n"), "\n"), columns, rows))
		case b.String() != last:
			fmt.Fprint(out, b.String())
		}
		if last = b.String(); out.err != nil {
			return out.err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func lsCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "All clusters on this host", Args: takes(0, 0),
		Example: "  onemore ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, broken := launcher.List(cmd.Context())
			if list == nil {
				return broken
			}
			if c.json {
				return errors.Join(broken, c.printJSON(list))
			}
			return errors.Join(broken, clusterTable(c, list))
		}}
}
