package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onemore/launcher"
)

// logFlags are the flags of `logs`.
type logFlags struct {
	follow  bool
	since   string
	grep    string
	waitFor string
	node    []string
	timeout time.Duration
}

func logsCommand(c *call) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{Use: "logs [NODE|SERVICE…]", Short: "What nodes and services printed: merged, in order of time",
		Example: "  onemore logs -f\n  onemore logs 2 --since 5m --grep 'error|warn'\n  onemore logs --wait-for 'leader' --timeout 30s",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogs(cmd.Context(), c, append(args, f.node...), f)
		}}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with what comes")
	fl.StringVar(&f.since, "since", "", "only later lines: a time ago (5m), or a time (2006-01-02T15:04:05Z)")
	fl.StringVar(&f.grep, "grep", "", "only lines that match this regular expression")
	fl.StringVar(&f.waitFor, "wait-for", "", "return when a line matches this regular expression: 0; after --timeout: 1. Lines count from each node's last start on, or from --since")
	fl.StringArrayVar(&f.node, "node", nil, "only this node, as the arguments do")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "of --wait-for")
	cmd.ValidArgsFunction = c.completeNodes
	_ = cmd.RegisterFlagCompletionFunc("node", c.completeNode) // fails only where it is called twice
	return cmd
}

func runLogs(ctx context.Context, c *call, nodes []string, f logFlags) error {
	logs, o, err := logsOf(c, nodes)
	if err != nil {
		return err
	}
	o.Follow, o.Start = f.follow || f.waitFor != "", f.waitFor != "" && f.since == ""
	if o.Since, err = sinceOf(f.since); err != nil {
		return err
	}
	if o.Grep, err = regexpOf("grep", f.grep); err != nil {
		return err
	}
	if f.waitFor == "" {
		err := logs(ctx, o, c.logLine())
		if f.follow && (errors.Is(err, context.Canceled) || errors.Is(err, launcher.ErrNoCluster)) {
			return nil // Ctrl-C is the way to end it, or the cluster was taken down
		}
		return err
	}
	want, err := regexpOf("wait-for", f.waitFor)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no line matched %q within %v", f.waitFor, f.timeout))
	defer cancel()
	show := c.logLine()
	return logs(ctx, o, func(l launcher.LogLine) bool {
		if !want.MatchString(l.Text) {
			return true
		}
		show(l)
		return false
	})
}

// logsOf is how the logs are read that the command is about: those of a whole stack, or of one cluster's nodes and services.
func logsOf(c *call, words []string) (func(context.Context, launcher.LogOptions, func(launcher.LogLine) bool) error, launcher.LogOptions, error) {
	var o launcher.LogOptions
	s, err := c.wholeStack()
	if err != nil {
		return nil, o, err
	}
	if s != nil && len(words) == 0 {
		return s.Logs, o, nil
	}
	cl, err := c.open(0, nil)
	if err != nil {
		return nil, o, err
	}
	nodes, services, err := splitServices(cl, words)
	if err != nil {
		return nil, o, err
	}
	o.Services = services
	o.Nodes, err = cl.Find(nodes...)
	return cl.Logs, o, err
}

// splitServices divides words into those for nodes and names of services.
func splitServices(cl *launcher.Cluster, words []string) (nodes, services []string, err error) {
	p, err := cl.Plan()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range words {
		if slices.ContainsFunc(p.Services, func(s launcher.ServicePlan) bool { return s.Name == w }) {
			services = append(services, w)
		} else {
			nodes = append(nodes, w)
		}
	}
	return nodes, services, nil
}

func sinceOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, &launcher.InputError{Err: fmt.Errorf("--since %q is neither a duration (5m) nor a time (2006-01-02T15:04:05Z)", s)}
	}
	return t, nil
}

func regexpOf(flag, s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, nil
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, &launcher.InputError{Err: fmt.Errorf("--%s: %w", flag, err)}
	}
	return re, nil
}

// colours are the terminal colours of the nodes' prefixes, in order of their numbers.
var colours = []int{36, 33, 32, 35, 34, 31}

// logLine returns a function that prints one line: as JSON, or prefixed with its node, in colours on a terminal.
func (c *call) logLine() func(launcher.LogLine) bool {
	if c.json {
		enc := json.NewEncoder(c.Stdout)
		return func(l launcher.LogLine) bool { return enc.Encode(l) == nil }
	}
	f, ok := c.App.Stdout.(*os.File)
	coloured := ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	return func(l launcher.LogLine) bool {
		who := strconv.Itoa(l.Node)
		if l.Node == 0 {
			who = l.Name
		}
		if l.Cluster != "" {
			who = l.Cluster + "/" + who
		}
		var err error
		if coloured {
			_, err = fmt.Fprintf(c.Stdout, "\x1b[%dm%s |\x1b[0m %s\n", colours[max(l.Node-1, 0)%len(colours)], who, l.Text)
		} else {
			_, err = fmt.Fprintf(c.Stdout, "%s | %s\n", who, l.Text)
		}
		return err == nil
	}
}
