package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func downCommand(c *call) *cobra.Command {
	var all, keepData bool
	var timeout *timeoutFlag
	cmd := &cobra.Command{Use: "down", Short: "Stop the cluster and remove it: nothing is left", Args: takes(0, 0),
		Example: "  onemore down\n  onemore -c other down --keep-data\n  onemore down --all",
		RunE: func(cmd *cobra.Command, _ []string) error {
			take := downNamed
			if all {
				take = downAll
			}
			limit, err := timeout.limit()
			if err != nil {
				return err
			}
			done, err := take(cmd.Context(), c, limit, keepData)
			if err != nil || !c.json {
				return err
			}
			return c.printJSON(done)
		}}
	cmd.Flags().BoolVar(&all, "all", false, "every cluster")
	cmd.Flags().BoolVar(&keepData, "keep-data", false, "stop everything, but leave the directories; `up` starts it again")
	timeout = addTimeout(cmd, "")
	return cmd
}

// downNamed takes down the cluster that -c names. It returns a line for it, none if it was not there.
func downNamed(ctx context.Context, c *call, timeout time.Duration, keepData bool) ([]string, error) {
	s, err := c.wholeStack()
	if errors.Is(err, launcher.ErrNoCluster) {
		s, err = &launcher.Stack{Name: c.stack}, nil
	}
	if err != nil {
		return nil, err
	}
	if s != nil {
		return downStack(ctx, c, s, timeout, keepData)
	}
	name, err := c.clusterName()
	if err != nil {
		return nil, err
	}
	return runDown(ctx, c, name, timeout, keepData, c.progress())
}

// downAll takes down every cluster; an error with one is reported, and the others are taken down.
func downAll(ctx context.Context, c *call, timeout time.Duration, keepData bool) ([]string, error) {
	names, err := launcher.Names()
	done := []string{}
	for _, name := range names {
		p := c.progress()
		p.cluster = name
		lines, err := runDown(ctx, c, name, timeout, keepData, p)
		if err != nil {
			c.say("error", fmt.Sprintf("cluster %q can't be taken down:", name))
			c.code = c.report(ctx, err)
		}
		done = append(done, lines...)
	}
	return done, err
}

// runDown takes down one cluster. It returns a line for it, none if it was not there.
func runDown(ctx context.Context, c *call, name string, timeout time.Duration, keepData bool, p *progress) ([]string, error) {
	defer p.end()
	cl, err := launcher.Open(name, launcher.Options{Timeout: timeout, Progress: p.event})
	nodes, ports := 0, 0
	if err == nil {
		nodes, ports = sizeOf(cl)
		err = cl.Down(ctx, keepData)
	}
	if errors.Is(err, launcher.ErrNoCluster) {
		if !c.quiet {
			fmt.Fprintf(c.Stderr, "onemore: cluster %q is not there; nothing to do\n", name)
		}
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	p.endWith("down: %d nodes, %d ports, %s", nodes, ports)
	if keepData {
		return []string{fmt.Sprintf("stopped cluster %s; its data is in %s", name, cl.Dir())}, nil
	}
	return []string{"removed cluster " + name}, nil
}

// sizeOf is how many nodes and ports a cluster has, as it was planned.
func sizeOf(cl *launcher.Cluster) (nodes, ports int) {
	p, err := cl.Plan()
	if err != nil {
		return 0, 0
	}
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			ports += len(l.Protocols)
		}
	}
	return len(p.Nodes), ports
}
