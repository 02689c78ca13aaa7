package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

func learnCommand(c *call) *cobra.Command {
	var o launcher.LearnOptions
	var out string
	cmd := &cobra.Command{Use: "learn DIR [-o FILE] [-- CMD…]", Short: "Draft a template for any server by watching nodes of it run",
		Long:    "learn starts a node in a scratch copy of DIR, sees which ports it listens on and which files it writes, finds the ports in\nDIR's files, in CMD and in the environment, starts another with every port moved to prove it, and writes a draft of a\ntemplate, which it has brought up: with one node, then with as many as it can. CMD is how one node is started in the foreground, in DIR, where DIR does not show it. DIR is never written to.",
		Example: "  onemore learn ./kvd -o kvd.toml -- kvd --config kvd.conf\n  onemore up 2 -t ./kvd.toml -s ./kvd",
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at == 1 && len(args) > 1 || at < 0 && len(args) == 1 {
				return nil
			}
			return errors.New("want: onemore learn DIR [-o FILE] [-- CMD…]")
		},
		ValidArgsFunction: completeLearn,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Command = args[0], args[1:]
			return runLearn(cmd.Context(), c, o, out)
		}}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write the draft to (default: stdout); it must not exist")
	cmd.Flags().StringVar(&o.Name, "name", "", "name of the template (default: the directory's)")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", time.Minute, "of one start of a node")
	cmd.Flags().DurationVar(&o.Settle, "settle", 2*time.Second, "ports that don't change for so long are all there are")
	return cmd
}

func runLearn(ctx context.Context, c *call, o launcher.LearnOptions, out string) error {
	if out != "" {
		if _, err := os.Lstat(out); err == nil {
			return &launcher.InputError{Err: fmt.Errorf("%s is there already", out), Hint: "name another file with -o, or remove it first"}
		}
		if _, err := os.Stat(filepath.Dir(out)); err != nil {
			return &launcher.InputError{Err: fmt.Errorf("the folder of %s: %w", out, err)}
		}
	}
	if !c.quiet {
		o.Log = func(s string) { fmt.Fprintf(c.Stderr, "onemore: %s\n", s) }
	}
	d, err := launcher.Learn(ctx, o)
	if err != nil {
		return err
	}
	if d.Trouble != "" {
		c.say(map[bool]string{true: "error", false: "note"}[d.Nodes == 0], describeTrial(d))
	}
	if d.Nodes == 0 {
		c.code = exitFailed
	}
	if !c.quiet {
		for _, l := range d.Listeners {
			fmt.Fprintf(c.Stderr, "%-12s %5d  %s\n", strings.Join(l.Protocols, "+"), l.Port, describeListener(l.Proven, l.Derive, l.Where, l.Why))
		}
	}
	if out != "" {
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return &launcher.InputError{Err: fmt.Errorf("%s is there already", out)}
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(d.TOML)
		if err := errors.Join(err, f.Close()); err != nil {
			return errors.Join(err, os.Remove(out))
		}
		fmt.Fprintf(c.Stderr, "onemore: hint: `onemore up 2 -t %s -s %s` tries it\n", pathOf(out), o.Source)
	}
	if c.json {
		return c.printJSON(d)
	}
	if out == "" {
		fmt.Fprint(c.Stdout, d.TOML)
	}
	return nil
}

// describeTrial says how far the draft could be brought up.
func describeTrial(d *launcher.Draft) string {
	if d.Nodes == 0 {
		return "the draft does not come up: " + d.Trouble
	}
	return fmt.Sprintf("the draft was brought up with %d node(s), and no more: %s", d.Nodes, d.Trouble)
}

// describeListener says in a line whether a port was proven to move with the configuration, and how.
func describeListener(proven bool, derive string, where []string, why string) string {
	switch {
	case !proven:
		return "NOT PROVEN: " + why
	case derive != "":
		return "proven: " + derive
	}
	return "proven: " + strings.Join(where, "; ")
}

// pathOf is a file's name in a form that can't be mistaken for a template's name.
func pathOf(out string) string {
	if strings.ContainsAny(out, `/\`) {
		return out
	}
	return "./" + out
}
