package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"onemore/nodecore"

	"github.com/spf13/cobra"
)

// envNodeDir names the node directory for ctl when --dir does not.
const envNodeDir = "ONEMORE_NODE_DIR"

// failure is what a node did not do, in the words of the command that asked.
type failure struct {
	what, why string
}

func (f *failure) Error() string { return f.what + ": " + f.why }

// CtlOwns reports whether the arguments after `ctl` are for the built-in node of
// a directory, rather than for a node of a launched cluster: they name the
// directory, or begin with one of the node's commands.
func CtlOwns(args []string) bool {
	for _, a := range args {
		switch {
		case a == "--dir" || strings.HasPrefix(a, "--dir="):
			return true
		case a == "-c" || a == "--cluster":
			return false // what follows is a name
		case strings.HasPrefix(a, "-"):
		default:
			return a == "cluster" || a == "fault"
		}
	}
	return false
}

// RunCtl carries out `ctl ARGS` and returns the exit code. A node's refusal is
// printed in the node's own words.
func RunCtl(ctx context.Context, args []string, s Streams) int {
	cmd := ctlCommand(s)
	cmd.SetArgs(args)
	cmd.SetIn(s.In)
	cmd.SetOut(s.Out)
	cmd.SetErr(s.Err)
	err := cmd.ExecuteContext(ctx)
	if f, ok := errors.AsType[*failure](err); ok {
		_, _ = fmt.Fprintln(s.Err, f) // there is no one left to tell that stderr can't be written
		return exitFailed
	}
	return Report(s.Err, err)
}

// ctl is what the subcommands share.
type ctl struct {
	Streams
	dir  string
	json bool
}

func ctlCommand(s Streams) *cobra.Command {
	c := &ctl{Streams: s}
	cluster := group("cluster", "Join, leave and look at the node's cluster",
		c.command("join NAME@HOST[:PORT]", "Join the cluster of another node; this node's own data is dropped", 1, "the node to join", c.join),
		c.command("leave", "Leave the cluster and go on alone; this node's own data is dropped", 0, "no arguments", c.leave),
		c.command("force-leave NAME@HOST", "Remove another node for good, running or not", 1, "the node to remove", c.forceLeave),
		c.command("status", "Show which members run and which are stopped", 0, "no arguments", c.status),
	)
	root := group("ctl", "Control the built-in node of a directory", cluster, c.faultCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	refuse := root.Args
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return refuse(cmd, args)
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.PersistentFlags().StringVar(&c.dir, "dir", "", "node directory (default: $"+envNodeDir+", or the current one)")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print the result as JSON")
	return root
}

func (c *ctl) command(use, short string, n int, what string, run func(context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n, what), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), strings.Join(args, ""))
		},
	}
}

// ask sends a request to the node and returns its answer; what names the
// attempt in the words for a failure.
func (c *ctl) ask(ctx context.Context, what string, req nodecore.ControlRequest) (nodecore.ControlReply, error) {
	dir := c.dir
	if dir == "" {
		dir = os.Getenv(envNodeDir)
	}
	if dir == "" {
		dir = "."
	}
	data, err := nodecore.DataDir(dir, os.Environ())
	if err != nil {
		return nodecore.ControlReply{}, err
	}
	reply, err := nodecore.Control(ctx, data, req)
	if err != nil {
		return reply, &failure{what: what, why: err.Error()}
	}
	if reply.Error != "" {
		return reply, &failure{what: what, why: reply.Error}
	}
	return reply, nil
}

func (c *ctl) join(ctx context.Context, target string) error {
	reply, err := c.ask(ctx, "Failed to join the cluster", nodecore.ControlRequest{Op: nodecore.OpJoin, Target: target})
	if err != nil {
		return err
	}
	return c.print("Join the cluster successfully.", reply.Status)
}

func (c *ctl) leave(ctx context.Context, _ string) error {
	reply, err := c.ask(ctx, "Failed to leave the cluster", nodecore.ControlRequest{Op: nodecore.OpLeave})
	if err != nil {
		return err
	}
	return c.print("Leave the cluster successfully.", reply.Status)
}

func (c *ctl) forceLeave(ctx context.Context, name string) error {
	reply, err := c.ask(ctx, "Failed to remove the node from cluster", nodecore.ControlRequest{Op: nodecore.OpForceLeave, Target: name})
	if err != nil {
		return err
	}
	return c.print("Remove the node from cluster successfully.", reply.Status)
}

func (c *ctl) status(ctx context.Context, _ string) error {
	reply, err := c.ask(ctx, "Failed to get the cluster's status", nodecore.ControlRequest{Op: nodecore.OpStatus})
	if err != nil {
		return err
	}
	return c.print("", reply.Status)
}

// clusterJSON is the stable form of a result.
type clusterJSON struct {
	Name         string   `json:"name"`
	Cluster      string   `json:"cluster"`
	RunningNodes []string `json:"running_nodes"`
	StoppedNodes []string `json:"stopped_nodes"`
}

// print writes what was done and the cluster as it is then.
func (c *ctl) print(done string, s *nodecore.Status) error {
	if c.json {
		err := json.NewEncoder(c.Out).Encode(clusterJSON{
			Name: s.Name, Cluster: s.Cluster, RunningNodes: s.RunningNodes, StoppedNodes: s.StoppedNodes,
		})
		if err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		return nil
	}
	if done != "" {
		done += "\n"
	}
	if _, err := io.WriteString(c.Out, done+"Cluster status: "+statusTerm(s)+"\n"); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

// statusTerm is the cluster in the form that scripts for such brokers look for.
func statusTerm(s *nodecore.Status) string {
	term := "[{running_nodes,[" + quoteAll(s.RunningNodes) + "]}"
	if len(s.StoppedNodes) > 0 {
		term += ",{stopped_nodes,[" + quoteAll(s.StoppedNodes) + "]}"
	}
	return term + "]"
}

func quoteAll(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, n := range names {
		quoted = append(quoted, "'"+n+"'")
	}
	return strings.Join(quoted, ",")
}
