package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// Streams are the standard streams of a command; nil is /dev/null.
type Streams struct{ In, Out, Err *os.File }

// Exec runs a command in a node's directory and environment, with the caller's streams, and returns its exit code.
func (c *Cluster) Exec(ctx context.Context, node int, s Streams, args func(NodePlan) ([]string, error)) (int, error) {
	p, err := c.Plan()
	if err != nil {
		return 0, err
	}
	for _, n := range p.Nodes {
		if n.Index != node {
			continue
		}
		words, err := args(n)
		if err != nil {
			return 0, err
		}
		if _, err := os.Stat(n.Dir); errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("node %s has no directory: %s is gone, or was never made; `onemore status` tells what to do", n.Name, n.Dir)
		}
		as, err := runsAs(n)
		if err != nil {
			return 0, err
		}
		env := p.Inherited(os.Environ())
		if as != nil {
			env = append(env, as.Environ()...)
		}
		env = append(env, n.Env...)
		if home := os.Getenv(state.HomeVariable); home != "" {
			env = append(env, state.HomeVariable+"="+home) // for an onemore that the command runs
		}
		for _, v := range Environment(p) {
			env = append(env, v.Name+"="+v.Value)
		}
		return foreground(ctx, proc.Spec{Args: words, Dir: n.Dir, Env: env, User: as, Stdin: s.In, Stdout: s.Out, Stderr: s.Err})
	}
	return 0, &InputError{Err: fmt.Errorf("cluster %q has no node %d", c.name, node)}
}

// foreground runs a command that shares our terminal, if we have one, and passes our signals on to it. It returns the exit code
// as a shell has it: the command's, 128 plus the signal that ended it, or that of a command that can't be started. Once the
// command runs, ctx has no effect: it ends with a signal, which the command gets too.
func foreground(ctx context.Context, spec proc.Spec) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if ctx.Err() != nil { // a signal that came before we could pass it on
		return 0, context.Cause(ctx)
	}
	runtime.LockOSThread() // the command dies with this thread, and so with us, however we end
	defer runtime.UnlockOSThread()
	child, err := proc.Attach(spec)
	if err != nil {
		return notStarted(err), err
	}
	for {
		select {
		case <-child.Done():
			return exitCode(child.Exit())
		case sig := <-signals:
			if fromTerminal(sig) {
				continue // the terminal sent it to the command too
			}
			if err := child.Signal(sig.(syscall.Signal)); err != nil && !errors.Is(err, proc.ErrGone) {
				return 0, err
			}
		}
	}
}

// notStarted is the exit code of a command that could not be started, as a shell has it: 127 when it was not found, 126 when
// it can't be executed.
func notStarted(err error) int {
	reason, ok := errors.AsType[syscall.Errno](err)
	if errors.Is(err, fs.ErrPermission) || ok && reason != syscall.ENOENT {
		return 126
	}
	return 127
}

// fromTerminal reports whether a signal is one that the terminal sends to the whole foreground group, which is ours.
func fromTerminal(sig os.Signal) bool {
	if sig != syscall.SIGINT && sig != syscall.SIGQUIT || !term.IsTerminal(0) {
		return false
	}
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitCode(e proc.ExitStatus) (int, error) {
	switch {
	case e.Signal != 0:
		return 128 + int(e.Signal), nil
	case e.Err != nil:
		return 0, e.Err
	}
	return e.Code, nil
}
