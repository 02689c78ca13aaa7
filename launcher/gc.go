package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/learn"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/operation"
	"onemore/launcher/internal/state"
)

// GC removes what crashed runs left: clusters whose keeper has ended, with their processes, half-made folders, and the logs of
// failed runs. It returns a line for each thing that it removed.
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
			err = downLost(ctx, c)
		}
		switch {
		case errors.Is(err, control.ErrBusy) || errors.Is(err, ErrNoCluster):
		case err != nil:
			errs = append(errs, fmt.Errorf("cluster %q: %w", name, err))
		default:
			done = append(done, fmt.Sprintf("removed cluster %s, whose keeper had gone", name))
		}
	}
	home, err := homeDir()
	if err != nil {
		return done, err
	}
	swept, err := sweepHome(home)
	done, errs = append(done, swept...), append(errs, err)
	learned, err := learn.Sweep(ctx)
	for _, dir := range learned {
		done = append(done, "removed "+dir)
	}
	return done, errors.Join(append(errs, err)...)
}

// downLost takes down a cluster that has no keeper. control.ErrBusy says that it has one again, and is in use.
func downLost(ctx context.Context, c *Cluster) error {
	cl, err := spawnKeeper(c.dir)
	if err != nil {
		return err
	}
	if _, err = cl.Do(ctx, control.Request{Op: control.OpDown, From: "(gc)"}, c.progress); err == nil {
		<-cl.Gone()
	}
	return errors.Join(err, cl.Close())
}

// sweepHome removes the folders of ONEMORE_HOME that are no clusters: those that an `up` or a `snapshot save` was making when it
// was killed, and the logs of failed runs. Complete snapshots stay.
func sweepHome(home string) ([]string, error) {
	failed := filepath.Join(home, operation.FailedFolder)
	done, err := sweep(home, halfMade)
	errs := []error{err}
	swept, err := sweep(failed, func(string) bool { return true })
	done, errs = append(done, swept...), append(errs, err)
	if err := os.Remove(failed); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	swept, err = sweep(filepath.Join(home, operation.SnapshotsFolder), halfMade)
	done, errs = append(done, swept...), append(errs, err)
	return done, errors.Join(errs...)
}

// halfMade tells whether a folder of that name is one that was not complete yet.
func halfMade(name string) bool { return strings.HasPrefix(name, ".new-") }

// sweep removes the folders in dir whose name matches and that no process is making. Only what has our mark, or is empty, is
// removed; without dir there is nothing to do.
func sweep(dir string, match func(name string) bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var done []string
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, held := state.LockHolder(path); held || !match(e.Name()) {
			continue
		}
		switch err := removeOurs(path); {
		case errors.Is(err, fs.ErrNotExist): // the `up` that made it has given it its name meanwhile
		case err != nil:
			errs = append(errs, err)
		default:
			done = append(done, "removed "+path)
		}
	}
	return done, errors.Join(errs...)
}

// removeOurs removes a folder that has our mark, or is empty: one whose maker was killed before it set the mark.
func removeOurs(path string) error {
	id, ok, err := nodedir.Marked(path)
	switch {
	case err != nil:
		return err
	case ok:
		return nodedir.Remove(path, id)
	}
	return os.Remove(path)
}
