package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"onemore/launcher"
)

// timeoutFlag is the --timeout of a command that changes a cluster.
type timeoutFlag struct {
	cmd   *cobra.Command
	given time.Duration
}

// addTimeout adds --timeout to a command. after says what follows when the time is over, such as ", and undo".
func addTimeout(cmd *cobra.Command, after string) *timeoutFlag {
	f := &timeoutFlag{cmd: cmd}
	cmd.Flags().DurationVar(&f.given, "timeout", 0, fmt.Sprintf("give up after this time%s; 0: never (default: when nothing has moved on for %v, or the template's own time)", after, time.Minute))
	return f
}

// limit is the flag's value as launcher.Options take it.
func (f *timeoutFlag) limit() (time.Duration, error) {
	switch {
	case f.given < 0:
		return 0, &launcher.InputError{Err: fmt.Errorf("--timeout %v is before it has begun", f.given), Hint: "for example 30s; 0 is no limit"}
	case f.given == 0 && f.cmd.Flags().Changed("timeout"):
		return launcher.NoTimeout, nil
	}
	return f.given, nil
}
