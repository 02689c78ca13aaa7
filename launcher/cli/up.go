package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

const templateUsage = "what to launch: a name that onemore templates lists, NAME@VERSION to fetch that version, or a template's file or folder"

// planFlags are the flags of every command that can make a cluster.
type planFlags struct {
	o    launcher.Options
	set  []string
	env  []string
	par  []string
	role []string
	node []string
	time *timeoutFlag
	// changed reports whether a flag is on the command line. Options that are not may come from the project file.
	changed func(flag string) bool
}

func (f *planFlags) add(cmd *cobra.Command) {
	f.addServer(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&f.o.Template, "template", "t", "", templateUsage)
	fl.IntVar(&f.o.Offset, "offset", 0, "step between the ports of neighbouring nodes (default: 1000, or the nearest that works)")
	fl.StringVar(&f.o.Base, "base", "", "shift all ports by this number, or \"auto\": to a free block")
	fl.StringArrayVar(&f.set, "set", nil, "LISTENER=PORT: the port of node 1's listener")
	fl.StringArrayVar(&f.node, "node", nil, "N:KEY=VALUE: for one node only; KEY is source, release, bin, env.NAME or set.LISTENER")
	fl.StringVar(&f.o.Seed, "seed", "", "a file for the new cluster, once: a program, run with the addresses of onemore env, or what the template's [[seed]] takes")
	fl.StringVar(&f.o.Host, "host", "", "address of the nodes (default 127.0.0.1)")
	fl.StringVar(&f.o.Spread, "spread", "", "port (default), or address: every node an own 127.0.0.x and the same ports")
}

// addServer adds the flags that say what a node is made of, as opposed to its addresses and ports.
func (f *planFlags) addServer(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.o.Source, "source", "s", "", "the node directory to copy; it is never written to. Also an archive of it, or an archive's URL")
	fl.StringVar(&f.o.Release, "release", "", "VERSION of the server: fetched once, as the template says; -t TEMPLATE@VERSION is short for it")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "K=V: environment of every node")
	fl.BoolVar(&f.o.CleanEnv, "clean-env", false, "keep all but a few variables of this environment from the nodes, such as PATH and HOME")
	fl.StringVar(&f.o.User, "user", "", "as root: who the nodes' processes run as (default: the template's start.user)")
	fl.StringArrayVar(&f.role, "role", nil, "ROLE=COUNT: how many nodes of a role, where the template has roles")
	fl.StringArrayVar(&f.par, "param", nil, "NAME=VALUE: a setting of the template")
	fl.StringVar(&f.o.Join, "join", "", "how nodes join: config, command or none (default: the template's)")
	fl.StringVar(&f.o.Bin, "bin", "", "the server's program, where it is not the one on PATH")
	f.time = addTimeout(cmd, ", and undo")
	f.changed = fl.Changed
}

// checkValues refuses flags whose value means the default though it was not meant: an empty one, such as that of an unset
// variable in a script, and --offset 0.
func (f *planFlags) checkValues() error {
	for name, value := range map[string]string{"template": f.o.Template, "source": f.o.Source, "release": f.o.Release, "bin": f.o.Bin, "host": f.o.Host, "user": f.o.User, "join": f.o.Join,
		"base": f.o.Base, "spread": f.o.Spread, "seed": f.o.Seed} {
		if f.changed(name) && value == "" {
			return &launcher.InputError{Err: fmt.Errorf("--%s is empty", name), Hint: "give a value, or leave it out"}
		}
	}
	if f.changed("offset") && f.o.Offset == 0 {
		return &launcher.InputError{Err: errors.New("--offset 0: all nodes would have the same ports"),
			Hint: "leave it out for 1000, or the nearest step that works; --spread address gives all nodes the same ports, each on an address of its own"}
	}
	return nil
}

// options turns the flags into what the launcher takes.
func (f *planFlags) options(c *call) (launcher.Options, error) {
	o := f.o
	o.Cluster = c.cluster
	if err := c.checkCluster(); err != nil {
		return o, err
	}
	if err := f.checkValues(); err != nil {
		return o, err
	}
	project, stack, err := c.surroundings()
	if err != nil {
		return o, err
	}
	if stack != nil && stack.Has(c.cluster) && project.Stack != nil {
		if project.Options, err = stack.One(c.cluster); err != nil {
			return o, err
		}
		o.Cluster = project.Options.Cluster
	}
	var errs []error
	pairs := func(flag string, in []string, put func(k, v string) error) {
		for _, kv := range in {
			k, v, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				errs = append(errs, fmt.Errorf("--%s %q: want NAME=VALUE", flag, kv))
			} else if err := put(k, v); err != nil {
				errs = append(errs, fmt.Errorf("--%s %q: %w", flag, kv, err))
			}
		}
	}
	o.Set, o.Roles, o.Env, o.Params = map[string]int{}, map[string]int{}, map[string]string{}, map[string]string{}
	pairs("set", f.set, func(k, v string) (err error) { o.Set[k], err = portOf(v); return err })
	pairs("env", f.env, func(k, v string) error { o.Env[k] = v; return nil })
	pairs("role", f.role, func(k, v string) (err error) { o.Roles[k], err = countOf(v); return err })
	pairs("param", f.par, func(k, v string) error { o.Params[k] = v; return nil })
	pairs("node", f.node, func(k, v string) error { return setNodeOption(&o, k, v) })
	if err := errors.Join(errs...); err != nil {
		return o, &launcher.InputError{Err: err, Hint: "see `onemore up --help`"}
	}
	if o.Timeout, err = f.time.limit(); err != nil {
		return o, err
	}
	return o.Over(project.Options), nil
}

func portOf(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is no port (1 to 65535)", s)
	}
	return n, nil
}

func countOf(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number of nodes", s)
	}
	return n, nil
}

// setNodeOption sets one option of one node: key is N:KEY, as in "3:source".
func setNodeOption(o *launcher.Options, key, value string) error {
	num, what, ok := strings.Cut(key, ":")
	index, err := strconv.Atoi(num)
	if !ok || err != nil || index < 1 {
		return errors.New("want N:KEY=VALUE with a node's number N")
	}
	if o.Nodes == nil {
		o.Nodes = map[int]launcher.NodeOptions{}
	}
	n := o.Nodes[index]
	switch kind, name, _ := strings.Cut(what, "."); kind {
	case "source":
		n.Source = value
	case "release":
		n.Release = value
	case "bin":
		n.Bin = value
	case "env":
		if n.Env == nil {
			n.Env = map[string]string{}
		}
		n.Env[name] = value
	case "set":
		port, err := portOf(value)
		if err != nil {
			return err
		}
		if n.Set == nil {
			n.Set = map[string]int{}
		}
		n.Set[name] = port
	default:
		return fmt.Errorf("unknown key %q: use source, release, bin, env.NAME or set.LISTENER", what)
	}
	o.Nodes[index] = n
	return nil
}

// parseCount reads the optional number of nodes.
func parseCount(cmd *cobra.Command, args []string, o *launcher.Options) error {
	if len(args) == 0 {
		return nil
	}
	n, err := strconv.Atoi(args[0])
	hint := "give 1 or more"
	if cmd.Name() == "up" {
		hint += ", or take it down with `onemore down`"
	}
	switch {
	case err != nil:
		return &launcher.InputError{Err: fmt.Errorf("%q is no number of nodes", args[0]), Hint: noCountHint(cmd, args[0])}
	case n < 1:
		return &launcher.InputError{Err: fmt.Errorf("a cluster of %d nodes can't be", n), Hint: hint}
	}
	o.Count = n
	return nil
}

// noCountHint is the way out where a word stands for the number of nodes.
func noCountHint(cmd *cobra.Command, word string) string {
	list, _ := launcher.Templates() // without them the hint is the other one
	for _, t := range list {
		if t.Name == word {
			return fmt.Sprintf("`%s -t %s` launches that template", cmd.CommandPath(), word)
		}
	}
	return fmt.Sprintf("for example: %s 3; -c NAME names a cluster, -t NAME a template", cmd.CommandPath())
}

func upCommand(c *call) *cobra.Command {
	var f planFlags
	var dryRun, foreground, detach bool
	var from string
	wait := true
	cmd := &cobra.Command{
		Use:     "up [N]",
		Short:   "Bring the cluster to N running nodes (default 3)",
		Long:    "up brings the cluster to N running nodes: it creates it, starts stopped nodes, and adds missing ones. It returns when every node itself says that the cluster has N members. When it fails, everything is undone; the logs are kept.",
		Example: "  onemore up 3\n  onemore -c other up 5 -t nats --base auto\n  onemore up 3 -s ./emqx",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if detach && foreground {
				return usage(cmd, errors.New("--detach and --foreground are opposites"))
			}
			if !wait {
				return usage(cmd, errors.New("--wait=false: `up` always waits until the cluster has formed"))
			}
			if s, err := c.wholeStack(); err != nil || s != nil {
				if err != nil {
					return err
				}
				so, err := f.stackOptions(cmd, args, s)
				if err != nil {
					return err
				}
				return runStackUp(cmd.Context(), c, s, so, from, foreground)
			}
			o, err := f.options(c)
			if err != nil {
				return err
			}
			if err := parseCount(cmd, args, &o); err != nil {
				return err
			}
			if from != "" {
				if err := checkFrom(cmd, args); err != nil {
					return err
				}
				o.Cluster = c.cluster
				return runUp(cmd.Context(), c, o, from, foreground)
			}
			if dryRun {
				return runDryRun(cmd.Context(), c, o)
			}
			return runUp(cmd.Context(), c, o, "", foreground)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "bring back the cluster of this snapshot, as it was")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the plan and touch nothing")
	cmd.Flags().BoolVar(&foreground, "foreground", false, "stay and show the nodes' logs; Ctrl-C takes down a cluster that this made, and leaves one that was there before")
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "return when the cluster has formed, and leave it running: as without it")
	cmd.Flags().BoolVar(&wait, "wait", true, "return when the cluster has formed, not before: as without it")
	cmd.Flags().BoolVar(&f.o.Keep, "keep", false, "when it fails, leave nodes and folders as they are, for debugging: `onemore down` removes them; Ctrl-C undoes all the same")
	return cmd
}

// checkFrom refuses arguments and flags that have no effect on a cluster that is restored from a snapshot.
func checkFrom(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, errors.New("a snapshot has as many nodes as it has: give no number with --from"))
	}
	for _, name := range []string{"template", "source", "offset", "base", "set", "env", "clean-env", "user", "role", "param", "node", "join", "bin", "release", "host", "spread", "dry-run"} {
		if cmd.Flags().Changed(name) {
			return usage(cmd, fmt.Errorf("a snapshot comes back as it was: --%s does not go with --from", name))
		}
	}
	return nil
}

// runUp brings up a cluster; with from, that of the snapshot of this name.
func runUp(ctx context.Context, c *call, o launcher.Options, from string, foreground bool) error {
	p := c.progress()
	o.Progress = p.event
	cl, st, own, err := up(ctx, o, from, foreground)
	if err != nil {
		p.end()
		return err
	}
	p.endWith("%d nodes formed in %s", len(st.Nodes))
	defer own.Release()
	c.notes = true
	if err := c.show(st, true); err != nil || !foreground {
		return err
	}
	return runForeground(ctx, c, cl, own)
}

// up brings up a cluster, which this process is to own if it stays in the foreground and made it.
func up(ctx context.Context, o launcher.Options, from string, foreground bool) (*launcher.Cluster, *launcher.Status, *launcher.Ownership, error) {
	switch {
	case from != "" && foreground:
		return launcher.RestoreOwned(ctx, from, o)
	case from != "":
		cl, st, err := launcher.Restore(ctx, from, o)
		return cl, st, nil, err
	case foreground:
		return launcher.UpOwned(ctx, o)
	}
	cl, st, err := launcher.Up(ctx, o)
	return cl, st, nil, err
}

// runForeground prints the cluster's logs until the first signal; then it takes the cluster down, if this process owns it, and else
// leaves it. A second signal ends this process at once (main) and with it the ownership: the keeper kills what is left.
func runForeground(ctx context.Context, c *call, cl *launcher.Cluster, own *launcher.Ownership) error {
	gone, stop, err := cl.Watch(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	defer stop()
	logs, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-gone
		cancel()
	}()
	err = cl.Logs(logs, launcher.LogOptions{Follow: true}, c.logLine())
	select {
	case <-gone:
		if _, err := cl.Status(ctx); errors.Is(err, launcher.ErrNoCluster) {
			return errors.New("the cluster was taken down by somebody else")
		}
		return fmt.Errorf("cluster %q has lost its keeper, and with it its nodes; `onemore up` starts it again, `onemore down` removes it", cl.Name())
	default:
	}
	if err != nil && logs.Err() == nil && !errors.Is(err, launcher.ErrNoCluster) {
		return err
	}
	if own == nil {
		fmt.Fprintf(c.Stderr, "onemore: cluster %q was there before: it runs on; `onemore down` takes it down\n", cl.Name())
		return nil
	}
	fmt.Fprintln(c.Stderr, "onemore: taking the cluster down")
	return cl.Down(context.WithoutCancel(ctx), false)
}

func runDryRun(ctx context.Context, c *call, o launcher.Options) error {
	p, err := launcher.DryRun(ctx, o)
	if err != nil {
		return err
	}
	if p, err = p.Masked(); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(p)
	}
	fmt.Fprintf(c.Stdout, "cluster %s (%s), offset %d, in %s\n", p.Cluster, p.Template, p.Offset, p.Dir)
	for _, note := range p.Notes {
		fmt.Fprintf(c.Stdout, "note: %s\n", note)
	}
	for _, n := range p.Nodes {
		fmt.Fprintf(c.Stdout, "\nnode %d  %s\n", n.Index, n.Name)
		if n.Role != "" {
			fmt.Fprintf(c.Stdout, "  role    %s\n", n.Role)
		}
		if n.Source != "" {
			fmt.Fprintf(c.Stdout, "  copy    %s\n", n.Source)
		}
		fmt.Fprintf(c.Stdout, "  to      %s\n", n.Dir)
		for _, l := range n.Listeners {
			fmt.Fprintf(c.Stdout, "  listen  %-10s %s %s:%d\n", l.Name, strings.Join(l.Protocols, "+"), l.Bind, l.Port)
		}
		for _, e := range n.Edits {
			for _, s := range e.Edits {
				fmt.Fprintf(c.Stdout, "  edit    %s: %s\n", e.File, s)
			}
		}
		for _, kv := range n.Env {
			fmt.Fprintf(c.Stdout, "  env     %s\n", kv)
		}
		for _, p := range n.Prepare {
			fmt.Fprintf(c.Stdout, "  prepare %s\n", cmp.Or(strings.Join(p.Exec, " "), p.HTTP, p.TCP))
		}
		if n.User != "" {
			fmt.Fprintf(c.Stdout, "  user    %s (as root)\n", n.User)
		}
		fmt.Fprintf(c.Stdout, "  start   %s\n", strings.Join(n.Command, " "))
	}
	return nil
}
