package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/learn"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/operation"
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
		if e.IsDir() && state.ValidName(e.Name()) == nil && mayBeCluster(filepath.Join(home, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// mayBeCluster tells a cluster's folder, whatever state it is in, from one that somebody else has in our home.
func mayBeCluster(dir string) bool {
	_, ok, err := nodedir.Marked(dir)
	if err != nil || ok {
		return true
	}
	_, err = cluster.ReadRecord(dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// List looks at every cluster. Those that can't be looked at are in the error; the others are returned too.
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
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
		}
	}
	return out, errors.Join(errs...)
}

// Lost lists the clusters whose keeper has gone without taking them down, as far as that can be told at no cost.
func Lost() []string {
	names, err := Names()
	if err != nil {
		return nil
	}
	home, err := state.Home()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return !cluster.IsLost(filepath.Join(home, name)) })
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
		if err == nil && st.State != control.Lost {
			continue
		}
		if err == nil {
			err = c.downLost(ctx)
		}
		switch {
		case errors.Is(err, control.ErrBusy) || errors.Is(err, ErrNoCluster):
		case err != nil:
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
		default:
			done = append(done, fmt.Sprintf("removed cluster %s, whose keeper had gone", name))
		}
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

// downLost takes down a cluster that has no keeper. control.ErrBusy says that it has one again, and is nobody's to clean up.
func (c *Cluster) downLost(ctx context.Context) error {
	cl, err := c.spawn(ctx)
	if err != nil {
		return err
	}
	if _, err = cl.Do(ctx, control.Request{Op: control.OpDown, From: "(gc)"}, c.progress); err == nil {
		<-cl.Gone()
	}
	return errors.Join(err, cl.Close())
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
		if e.Name() == operation.SnapshotsFolder { // those that are whole stay
			swept, err := sweep(dir)
			done = append(done, swept...)
			errs = append(errs, err)
			continue
		}
		if e.Name() == operation.FailedFolder {
			swept, err := sweep(dir)
			done = append(done, swept...)
			errs = append(errs, err, os.Remove(dir))
			continue
		}
		if !strings.HasPrefix(e.Name(), ".new-") && filepath.Base(home) != operation.FailedFolder {
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
