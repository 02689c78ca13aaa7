package launcher

import (
	"context"
	"fmt"
	"os"
	"strings"

	"onemore/launcher/internal/proc"
)

// build runs the command that makes a project's program, if it has one.
func build(ctx context.Context, o Options) error {
	if o.Build == "" {
		return nil
	}
	if o.Progress != nil {
		o.Progress(Event{Phase: "building", Text: o.Build})
	}
	out, err := proc.Run(ctx, proc.Spec{Args: []string{"sh", "-c", o.Build}, Dir: o.Folder, Env: os.Environ()})
	if err != nil && ctx.Err() == nil {
		return &InputError{Err: fmt.Errorf("build: %w", err)}
	}
	if err != nil {
		return err
	}
	if out.Code == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(out.Stdout)+string(out.Stderr)), "\n")
	const most = 20
	return &Failure{Phase: "build", Why: fmt.Sprintf("%q exits with %d", o.Build, out.Code), Log: lines[max(0, len(lines)-most):]}
}
