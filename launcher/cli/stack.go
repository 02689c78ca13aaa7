package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// stackStatus is what `--json` prints of a stack.
type stackStatus struct {
	Stack    string             `json:"stack"`
	State    string             `json:"state"` // "running", if every cluster is, else that of the first that is not
	Clusters []*launcher.Status `json:"clusters"`
}

func statusOf(s *launcher.Stack, list []*launcher.Status) stackStatus {
	out := stackStatus{Stack: s.Name, State: "running", Clusters: list}
	for _, st := range list {
		if st.State != "running" {
			out.State = string(st.State)
			break
		}
	}
	return out
}

// showStack prints the clusters of a stack, one after the other.
func showStack(c *call, s *launcher.Stack, list []*launcher.Status) error {
	if c.json {
		return c.printJSON(statusOf(s, list))
	}
	for i, st := range list {
		if i > 0 {
			fmt.Fprintln(c.Stdout)
		}
		if err := c.show(st, false); err != nil {
			return err
		}
	}
	return nil
}

// stackOptions are the options of a stack, from the flags; those that say what one cluster is made of are refused.
func (f *planFlags) stackOptions(cmd *cobra.Command, args []string, s *launcher.Stack) (launcher.StackOptions, error) {
	o := launcher.StackOptions{Base: f.o.Base, Keep: f.o.Keep}
	one := func(what string) error {
		return &launcher.InputError{Err: fmt.Errorf("%s is about one cluster, and stack %q has several", what, s.Name), Hint: "name one with -c, or write it into the project file"}
	}
	if len(args) > 0 {
		return o, one("a number of nodes")
	}
	for _, name := range []string{"template", "source", "offset", "set", "env", "clean-env", "param", "node", "join", "bin", "host", "spread", "release", "user", "role", "seed", "dry-run"} {
		if cmd.Flags().Changed(name) {
			return o, one("--" + name)
		}
	}
	if err := f.checkValues(); err != nil {
		return o, err
	}
	var err error
	o.Timeout, err = f.time.limit()
	return o, err
}

// runStackUp brings up a stack; with from, that of the snapshots of this name.
func runStackUp(ctx context.Context, c *call, s *launcher.Stack, o launcher.StackOptions, from string, foreground bool) error {
	p := c.progress()
	o.Progress = p.eventOf
	if from != "" && (foreground || o.Base != "") {
		return &launcher.InputError{Err: errors.New("a stack comes back from its snapshot as it was: --base and --foreground don't go with --from")}
	}
	if !foreground {
		up := s.Up
		if from != "" {
			up = func(ctx context.Context, o launcher.StackOptions) ([]*launcher.Status, error) {
				return s.Restore(ctx, from, o)
			}
		}
		list, err := up(ctx, o)
		p.end()
		if err != nil {
			return err
		}
		return showStack(c, s, list)
	}
	list, own, err := s.UpOwned(ctx, o)
	p.end()
	if err != nil {
		return err
	}
	err = showStack(c, s, list)
	if err == nil {
		err = s.Logs(ctx, launcher.LogOptions{Follow: true}, c.logLine())
	}
	switch {
	case ctx.Err() != nil:
		err = nil // Ctrl-C is the way to end it
	case errors.Is(err, launcher.ErrNoCluster):
		err = errors.New("the stack was taken down by somebody else")
	}
	fmt.Fprintln(c.Stderr, "onemore: taking down the clusters that this made")
	return errors.Join(err, own.Down(context.WithoutCancel(ctx)))
}

// downStack takes down a stack; it returns a line for each cluster.
func downStack(ctx context.Context, c *call, s *launcher.Stack, timeout time.Duration, keepData bool) ([]string, error) {
	p := c.progress()
	defer p.end()
	down, err := s.Down(ctx, timeout, keepData, p.eventOf)
	lines := []string{}
	for _, name := range down {
		lines = append(lines, map[bool]string{true: "stopped cluster ", false: "removed cluster "}[keepData]+name)
	}
	if len(down) == 0 && err == nil && !c.quiet {
		fmt.Fprintf(c.Stderr, "onemore: stack %q is not there; nothing to do\n", s.Name)
	}
	return lines, err
}

// onStack carries out an operation on all clusters of a stack.
func onStack(ctx context.Context, c *call, s *launcher.Stack, reverse bool, timeout time.Duration,
	op func(context.Context, *launcher.Cluster, []int) (*launcher.Status, error)) error {
	p := c.progress()
	list, err := s.Do(ctx, reverse, timeout, p.eventOf, func(ctx context.Context, cl *launcher.Cluster) (*launcher.Status, error) { return op(ctx, cl, nil) })
	p.end()
	if err != nil {
		return err
	}
	return showStack(c, s, list)
}
