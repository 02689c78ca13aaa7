// Package cli is the command line of the built-in node: `node run` and `ctl`.
//
// It has the flags, the texts for people and the exit codes; everything else
// is nodecore's. Start at NodeCommand and RunCtl.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"onemore/nodecore"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Streams are where a command reads and writes: results go to Out, everything
// else to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// usageError is a call that can't be carried out as it was typed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// ExitCode is the exit code for what a command returned: 2 if the call or its
// input is wrong, 1 if it failed.
func ExitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*nodecore.ConfigError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// Report writes an error the way all commands do, and returns its exit code.
func Report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	// There is no one left to tell that stderr can't be written.
	_, _ = fmt.Fprintf(w, "onemore: error: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return ExitCode(err)
}

// exactly is cobra.ExactArgs with this package's kind of error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{fmt.Errorf("%s takes %s, got %d", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}

// group is a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("%s needs a subcommand: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
			}
			return &usageError{fmt.Errorf("%s has no subcommand %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%s: %w: see %s --help", cmd.CommandPath(), err, cmd.CommandPath())}
	})
	cmd.AddCommand(subs...)
	return cmd
}
