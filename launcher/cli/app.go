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
	wide        bool    // -o wide
	notes       bool    // notes of a cluster are told
	plain       bool    // no colours
	saidProject bool    // which project file was found above this folder
	code        int     // of a command that passes another's exit code through
	Stdout      *output // App.Stdout
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
		c.quiet = true
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
	c.json = c.json || wantsJSON(args) // an error in the flags may have come first
	if code := c.report(ctx, err); c.code == 0 {
		return code
	}
	return c.code
}

// Command is the tree of commands, for what documents them; Run is what carries one out.
func (a App) Command() *cobra.Command {
	return rootCommand(&call{App: a, Stdout: &output{Writer: a.Stdout}})
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
		Use:           "onemore",
		Short:         "A real cluster of any clustered server on this host",
		Long:          "onemore copies a server's node directory N times, gives every copy its own ports and name, starts the nodes, joins them,\nand returns when every node itself says that the cluster has N members. `onemore down` leaves nothing behind.",
		Version:       c.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
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
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate("onemore {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&c.cluster, "cluster", "c", os.Getenv(clusterVariable), "name of the cluster (default: $"+clusterVariable+", the project's, else \"default\")")
	f.BoolVar(&c.json, "json", false, "results as JSON on stdout")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no progress")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "every event")
	commands(c, root)
	projectFlags(c, root)
	checkArgs(root)
	return root
}

// commands adds all commands, in the groups in which help lists them.
func commands(c *call, root *cobra.Command) {
	group := func(title string, list ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: title, Title: title})
		for _, cmd := range list {
			cmd.GroupID = title
			root.AddCommand(cmd)
		}
	}
	group("Clusters", upCommand(c), downCommand(c), statusCommand(c), lsCommand(c), addCommand(c), removeCommand(c))
	group("Nodes", stopCommand(c), startCommand(c), restartCommand(c), killCommand(c), pauseCommand(c), resumeCommand(c), upgradeCommand(c))
	group("Working with a cluster", ctlCommand(c), execCommand(c), logsCommand(c), envCommand(c), urlCommand(c))
	group("Tests", runCommand(c), faultCommand(c), snapshotCommand(c))
	group("Templates and projects", templatesCommand(c), releasesCommand(c), learnCommand(c), initCommand(c), watchCommand(c), exportCommand(c))
	root.AddCommand(gcCommand(c), versionCommand(c))
	root.AddCommand(c.Extra...)
	help := helpCommand(c)
	root.SetHelpCommand(help)
	root.AddCommand(help)
	root.InitDefaultCompletionCmd()
	if scripts, _, err := root.Find([]string{"completion"}); err == nil {
		scripts.Short = "A script that completes commands, names and numbers in your shell"
		scripts.Long = scripts.Short + ". Each shell's own command says how to load it."
		for _, shell := range append(scripts.Commands(), scripts) {
			shell.Example = "  source <(onemore completion bash)"
		}
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
}

func versionCommand(c *call) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "What build this is, as --version does", Example: "  onemore version", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(map[string]string{"version": c.Version})
			}
			_, err := fmt.Fprintf(c.Stdout, "onemore %s\n", c.Version)
			return err
		}}
}

// checkArgs gives a command that only has subcommands its check and its help, and turns what other checks of arguments say into
// usage errors.
func checkArgs(cmd *cobra.Command) {
	if !cmd.Runnable() && cmd.HasSubCommands() {
		cmd.Args = onlyCommands
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.DisableFlagsInUseLine = true
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if _, ours := errors.AsType[*launcher.InputError](err); err != nil && !ours {
				return usage(cmd, err)
			}
			return err
		}
	}
	for _, sub := range cmd.Commands() {
		checkArgs(sub)
	}
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
