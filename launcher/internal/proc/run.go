package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

const (
	// outputLimit is how much of each stream of a command is kept, in bytes.
	outputLimit = 1 << 20
	// outputDelay bounds how long a command's end waits for a pipe that a
	// daemon, started by the command, still holds open.
	outputDelay = 300 * time.Millisecond
)

// Output is what a command wrote and how it ended.
type Output struct {
	// Stdout and Stderr hold the first mebibyte of each stream.
	Stdout, Stderr []byte
	// Code is the exit code, or -1 when a signal ended the command.
	Code int
}

// Run runs a short command to its end and captures its output; Spec.Stdout and
// Spec.Stderr are not used. The command has a process group of its own, which
// is killed when the context is done. A command that ran and failed is no error:
// see Output.Code. Not for a process that has a Spawner with Reap; use its Run.
func Run(ctx context.Context, spec Spec) (Output, error) {
	return run(ctx, spec, func(ctx context.Context, c *exec.Cmd) (*Process, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c.SysProcAttr.Setpgid = true
		return begin(c, func(*Process) {})
	})
}

// Run is like the function Run, but the command also dies with this process.
func (s *Spawner) Run(ctx context.Context, spec Spec) (Output, error) {
	return run(ctx, spec, s.start)
}

func run(ctx context.Context, spec Spec, start func(context.Context, *exec.Cmd) (*Process, error)) (Output, error) {
	spec.Stdout, spec.Stderr = nil, nil
	c, err := spec.command()
	if err != nil {
		return Output{}, err
	}
	var stdout, stderr head
	c.Stdout, c.Stderr = &stdout, &stderr
	if spec.Copy != nil {
		c.Stdout, c.Stderr = io.MultiWriter(&stdout, spec.Copy), io.MultiWriter(&stderr, spec.Copy)
	}
	c.WaitDelay = outputDelay
	p, err := start(ctx, c)
	if err != nil {
		return Output{}, fmt.Errorf("run %q: %w", spec.Args[0], err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		// Gone just now is as good as done in time.
		if err = p.SignalGroup(syscall.SIGKILL); err == nil {
			err = context.Cause(ctx)
		} else if errors.Is(err, ErrGone) {
			err = nil
		}
	}
	e := p.Exit()
	out := Output{Stdout: stdout.kept.Bytes(), Stderr: stderr.kept.Bytes(), Code: e.Code}
	if err == nil {
		err = e.Err
	}
	if err != nil {
		return out, fmt.Errorf("run %q: %w", spec.Args[0], err)
	}
	return out, nil
}

// head keeps the beginning of what is written to it and drops the rest.
// The buffer is not embedded: its ReadFrom would go past the limit.
type head struct{ kept bytes.Buffer }

func (h *head) Write(b []byte) (int, error) {
	if room := outputLimit - h.kept.Len(); room > 0 {
		h.kept.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}
