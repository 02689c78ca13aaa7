package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/state"
)

// Names lists the clusters of this ONEMORE_HOME, running or not.
func Names() ([]string, error) {
	home, err := homeDir()
	if err != nil {
		return nil, err
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

// mayBeCluster tells whether a folder of ONEMORE_HOME is a cluster's, in whatever state: it has our mark, a mark that can't be
// read, or a record.
func mayBeCluster(dir string) bool {
	_, ok, err := nodedir.Marked(dir)
	if err != nil || ok {
		return true
	}
	_, err = cluster.ReadRecord(dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// List is the status of every cluster. The error names those whose status can't be had; the others are returned too.
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

// Lost lists the clusters whose keeper has ended without taking them down, as far as their folders show: it asks no process.
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
