// Package cli is onemore's command line: flags, texts for people, and exit codes. Every command turns its flags into options and
// makes one call of package launcher; it decides nothing about clusters itself. No other package of launcher uses cobra. (The
// built-in node has commands of its own, which main adds.)
//
// Start at App.Run. A command is in the file of its name, or with its like: nodes.go (add, remove, stop, start, restart, kill,
// pause, resume), exec.go (exec, ctl), status.go (status, ls), check.go (templates check), project.go (init).
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// clusterVariable names the cluster where -c does not.
const clusterVariable = "ONEMORE_CLUSTER"

// App is the command line with what it gets from main.
type App struct {
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Extra are commands that main runs itself (the built-in node's); here they are listed in help and completion only.
	Extra []*cobra.Command
}

// global are the flags that every command has.
type global struct {
	cluster string
	project string // file; "none" for none
	stack   string // name of the stack
	json    bool
	quiet   bool
	verbose bool
}

// call is one call of onemore: its streams, its global flags and its exit code.
type call struct {
	App
	global
	code   int     // of a command that passes another's exit code through
	Stdout *output // App.Stdout
}

// output is stdout and remembers its first error, since most prints ignore theirs. A closed pipe is no such error: it ends the
// process by SIGPIPE.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Run carries out one command line and returns the exit code. ctx ends with the first signal.
func (a App) Run(ctx context.Context, args []string) int {
	c := &call{App: a, Stdout: &output{Writer: a.Stdout}}
	root := rootCommand(c)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		completion(c, root)
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	c.noteLost(cmd)
	if err == nil {
		err = c.Stdout.err
	}
	if err == nil {
		return c.code
	}
	if code := c.report(ctx, err); c.code == 0 {
		return code
	}
	return c.code
}

// noteLost prints, after a command about one cluster, a note about others that have lost their keeper.
func (c *call) noteLost(cmd *cobra.Command) {
	if c.quiet || !slices.Contains([]string{"up", "run", "status", "down"}, cmd.Name()) {
		return
	}
	own := cmp.Or(c.cluster, "default")
	for _, name := range launcher.Lost() {
		if name != own {
			c.say("note", fmt.Sprintf("cluster %s has lost its keeper: `onemore ls` shows what is left, `onemore gc` removes it", name))
		}
	}
}

func rootCommand(c *call) *cobra.Command {
	root := &cobra.Command{
		Use:                        "onemore",
		Short:                      "A real cluster of any clustered server on this host",
		Long:                       "onemore copies a server's node directory N times, gives every copy its own ports and name, starts the nodes, joins them,\nand returns when every node itself says that the cluster has N members. `onemore down` leaves nothing behind.",
		Version:                    c.Version,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 1, // a command that differs by two letters is most often another one
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("cluster") && c.cluster == "" {
				return usage(cmd, errors.New("--cluster names no cluster"))
			}
			return nil
		},
	}
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.SetVersionTemplate("onemore {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&c.cluster, "cluster", "c", os.Getenv(clusterVariable), "name of the cluster (default: the project's, else \"default\")")
	f.BoolVar(&c.json, "json", false, "results as JSON on stdout")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no progress")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "every event")
	root.AddCommand(upCommand(c), downCommand(c), statusCommand(c), lsCommand(c), addCommand(c), removeCommand(c),
		stopCommand(c), startCommand(c), restartCommand(c), killCommand(c), pauseCommand(c), resumeCommand(c),
		ctlCommand(c), execCommand(c), logsCommand(c), envCommand(c), runCommand(c), templatesCommand(c), gcCommand(c), initCommand(c))
	root.AddCommand(upgradeCommand(c), releasesCommand(c), snapshotCommand(c), faultCommand(c))
	root.AddCommand(learnCommand(c), watchCommand(c), versionCommand(c))
	root.AddCommand(c.Extra...)
	projectFlags(c, root)
	root.InitDefaultCompletionCmd()
	wrapArgs(root)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = func(_ *cobra.Command, args []string) error {
			if found, rest, err := root.Find(args); err != nil || len(rest) > 0 {
				return usage(found, fmt.Errorf("there is no command %q to help with", strings.Join(args, " ")))
			}
			return nil
		}
	}
	return root
}

func versionCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "What build this is, as --version does", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(map[string]string{"version": c.Version})
			}
			_, err := fmt.Fprintf(c.Stdout, "onemore %s\n", c.Version)
			return err
		}}
}

// wrapArgs makes wrong arguments usage errors. A command that only has subcommands takes no arguments, and shows its help.
func wrapArgs(cmd *cobra.Command) {
	if cmd.HasParent() && !cmd.Runnable() {
		cmd.Args = cobra.NoArgs
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.DisableFlagsInUseLine = true
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err != nil && isUnknownCommand(err) && !cmd.HasSubCommands() {
				return &launcher.InputError{Err: fmt.Errorf("`%s` takes no %q", cmd.CommandPath(), args[0]), Hint: "-c NAME names another cluster; see `" + cmd.CommandPath() + " --help`"}
			}
			if err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// usage is an error about the call itself.
func usage(cmd *cobra.Command, err error) error {
	return &launcher.InputError{Err: err, Hint: fmt.Sprintf("see `%s --help`", cmd.CommandPath())}
}

// report says what went wrong on stderr and returns the exit code.
func (c *call) report(ctx context.Context, err error) int {
	var in *launcher.InputError
	var fail *launcher.Failure
	interrupted := ctx.Err() != nil
	switch {
	case errors.As(err, &fail):
		interrupted = interrupted || fail.Interrupted
		if interrupted && fail.Hint != "" { // it stopped half way, and the hint says what is left to do
			c.say("error", "interrupted: "+strings.TrimPrefix(fail.Error(), "interrupted; "))
			c.say("hint", fail.Hint)
			break
		}
		if interrupted {
			c.say("error", map[bool]string{true: "interrupted; what was begun is undone", false: "interrupted"}[fail.Undone])
			break
		}
		c.say("error", fail.Error())
		for _, l := range fail.Log {
			fmt.Fprintf(c.Stderr, "  | %s\n", l)
		}
		if fail.Logs != "" {
			c.say("hint", "the logs are in "+fail.Logs)
		}
		if fail.Hint != "" {
			c.say("hint", c.ofCluster(fail.Hint))
		}
	case interrupted:
		c.say("error", "interrupted")
	case errors.As(err, &in):
		c.say("error", in.Error())
		if in.Hint != "" {
			c.say("hint", in.Hint)
		}
		return exitUsage
	case errors.Is(err, launcher.ErrNoCluster):
		c.say("error", err.Error())
		c.say("hint", "`onemore ls` lists what there is, `onemore up` makes one")
	case isUnknownCommand(err):
		c.say("error", err.Error())
		c.say("hint", "see `onemore --help`")
		return exitUsage
	default:
		c.say("error", err.Error())
	}
	if interrupted {
		return exitInterrupted
	}
	return exitFailed
}

// ofCluster adds -c to the commands in a hint, where the command line has it.
func (c *call) ofCluster(hint string) string {
	if c.cluster == "" || c.cluster == os.Getenv(clusterVariable) {
		return hint
	}
	return aboutCluster.ReplaceAllString(hint, "`onemore -c "+c.cluster+" $1")
}

// aboutCluster matches a command about a cluster in a hint.
var aboutCluster = regexp.MustCompile("`onemore (up|down|add|remove|stop|start|restart|kill|resume|logs|upgrade|status)\\b")

// isUnknownCommand recognizes cobra's error for an unknown command by its text: it has no type.
func isUnknownCommand(err error) bool { return strings.HasPrefix(err.Error(), "unknown command ") }

func (c *call) say(kind, text string) {
	fmt.Fprintf(c.Stderr, "onemore: %s: %s\n", kind, strings.TrimSpace(text))
}

// openFor is open with the time that a command may take.
func (c *call) openFor(t *timeoutFlag, p *progress) (*launcher.Cluster, error) {
	timeout, err := t.limit()
	if err != nil {
		return nil, err
	}
	return c.open(timeout, p)
}

// open returns the cluster that -c names.
func (c *call) open(timeout time.Duration, p *progress) (*launcher.Cluster, error) {
	o := launcher.Options{Timeout: timeout}
	if p != nil {
		o.Progress = p.event
	}
	name, err := c.clusterName()
	if err != nil {
		return nil, err
	}
	return launcher.Open(name, o)
}
