package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"onemore/launcher/internal/keeper"
	"onemore/launcher/internal/learn"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// Names lists the clusters of this ONEMORE_HOME, running or not.
func Names() ([]string, error) {
	home, err := state.Home()
	if err != nil {
		return nil, &InputError{Err: err, Hint: "set ONEMORE_HOME to a directory that you may write"}
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && state.ValidName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// List looks at every cluster.
func List(ctx context.Context) ([]*Status, error) {
	names, err := Names()
	if err != nil {
		return nil, err
	}
	out := []*Status{}
	var errs []error
	for _, name := range names {
		c, err := Open(name, Options{})
		if err == nil {
			var st *Status
			if st, err = c.Status(ctx); err == nil {
				out = append(out, st)
			}
		}
		if err != nil && !errors.Is(err, ErrNoCluster) { // it went down meanwhile
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// GC removes what crashed runs left: clusters whose keeper has gone, processes that carry a cluster's mark and have no
// cluster, half-made folders, and the logs of failed runs. It returns a line for each thing done.
func GC(ctx context.Context) ([]string, error) {
	names, err := Names()
	if err != nil {
		return nil, err
	}
	done := []string{}
	var errs []error
	for _, name := range names {
		c, err := Open(name, Options{})
		if err != nil {
			continue
		}
		st, err := c.Status(ctx)
		if err == nil && st.State != keeper.Lost {
			continue
		}
		if err == nil {
			err = c.Down(ctx, false)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
			continue
		}
		done = append(done, fmt.Sprintf("removed cluster %s, whose keeper had gone", name))
	}
	home, err := state.Home()
	if err != nil {
		return done, err
	}
	swept, err := sweep(home)
	done, errs = append(done, swept...), append(errs, err)
	learned, err := learn.Sweep(ctx)
	for _, dir := range learned {
		done = append(done, "removed "+dir)
	}
	return done, errors.Join(append(errs, err)...)
}

// sweep removes folders of ours that are no clusters: those that an `up` was making when it was killed, and kept logs.
func sweep(home string) ([]string, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	var done []string
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(home, e.Name())
		if e.Name() == keeper.SnapshotsFolder { // those that are whole stay
			swept, err := sweep(dir)
			done = append(done, swept...)
			errs = append(errs, err)
			continue
		}
		if e.Name() == keeper.FailedFolder {
			swept, err := sweep(dir)
			done = append(done, swept...)
			errs = append(errs, err, os.Remove(dir))
			continue
		}
		if !strings.HasPrefix(e.Name(), ".new-") && filepath.Base(home) != keeper.FailedFolder {
			continue
		}
		if _, held := state.LockHolder(dir); held {
			continue // an `up` is at it right now
		}
		id, ok, err := nodedir.Marked(dir)
		switch {
		case err != nil:
		case ok:
			err = nodedir.Remove(dir, id)
		default:
			err = os.Remove(dir) // works only when it is empty: killed before it was marked
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, "removed "+dir)
	}
	return done, errors.Join(errs...)
}

// Streams are the standard streams of a command that a person runs.
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
		env := append(os.Environ(), n.Env...)
		for _, v := range Environment(p) {
			env = append(env, v.Name+"="+v.Value)
		}
		return foreground(ctx, proc.Spec{Args: words, Dir: n.Dir, Env: env, Stdin: s.In, Stdout: s.Out, Stderr: s.Err})
	}
	return 0, &InputError{Err: fmt.Errorf("cluster %q has no node %d", c.name, node)}
}

// foreground runs a command that shares our terminal. It gets the terminal's signals by itself; when ctx ends for another
// reason it gets TERM. The code is the command's, or 128 and the signal's number as a shell has it.
func foreground(ctx context.Context, spec proc.Spec) (int, error) {
	runtime.LockOSThread() // the command dies with this thread
	defer runtime.UnlockOSThread()
	p, err := proc.Attach(spec)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, proc.ErrGone) {
			return 0, err
		}
	}
	return exitCode(p.Exit())
}
