package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onemore/launcher/internal/proc"
)

// Run brings up a copy of the stack on free ports, runs a command with its addresses in the environment, and takes down what it made.
// Unless the stack's name was chosen by the user, the copy has a name that no other stack has. It returns the command's exit code, and
// the folder with the logs and the status of each cluster when the command failed.
func (s *Stack) Run(ctx context.Context, o StackOptions, r RunOptions, args []string) (code int, bundle string, err error) {
	if r.Reuse {
		return 0, "", &InputError{Err: errors.New("run --reuse is for a single cluster"), Hint: "`onemore up` once, and `onemore env` for its addresses"}
	}
	if !r.Named {
		if s, err = s.Rename(UniqueName("run")); err != nil {
			return 0, "", err
		}
	}
	removeIfUnused, err := prepareBundle(r.Bundle)
	if err != nil {
		return 0, "", err
	}
	defer removeIfUnused()
	_, own, err := s.UpOwned(ctx, o)
	if err != nil {
		bundle, berr := bundleFailedUp(err, r.Bundle)
		return 0, bundle, errors.Join(err, berr)
	}
	code, err = s.runCommand(ctx, r.Streams, args)
	if lost := own.lost(); len(lost) > 0 {
		err = errors.Join(err, fmt.Errorf("cluster %s ended while the command ran: its keeper was killed, or somebody took it down", strings.Join(lost, ", ")))
	}
	if code != 0 || err != nil {
		b, berr := s.bundle(context.WithoutCancel(ctx), r.Bundle)
		bundle, err = b, errors.Join(err, berr)
	}
	return code, bundle, errors.Join(err, own.Down(context.WithoutCancel(ctx)))
}

func (s *Stack) runCommand(ctx context.Context, streams Streams, args []string) (int, error) {
	vars, err := s.Environment()
	if err != nil {
		return 0, err
	}
	env := os.Environ()
	for _, v := range vars {
		env = append(env, v.Name+"="+v.Value)
	}
	return foreground(ctx, proc.Spec{Args: args, Env: env, Stdin: streams.In, Stdout: streams.Out, Stderr: streams.Err})
}

// bundle writes the bundles of all clusters into folders of their names below dir, or a new temporary folder.
func (s *Stack) bundle(ctx context.Context, dir string) (string, error) {
	clusters, err := s.open(Options{}, nil)
	if err != nil {
		return "", err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onemore-"+s.Name+"-"); err != nil {
			return "", fmt.Errorf("make the folder for the evidence: %w", err)
		}
	}
	var errs []error
	for _, c := range clusters {
		_, member := splitStacked(c.name)
		_, err := bundleCluster(ctx, c, filepath.Join(dir, member))
		errs = append(errs, err)
	}
	return dir, errors.Join(errs...)
}
