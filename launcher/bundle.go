package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"onemore/launcher/internal/cluster"
)

// A bundle is a folder with what helps to find out why a run failed: the status, the events, the keeper's log and the nodes'
// logs.
const (
	bundleMark = ".onemore-bundle" // the file in a bundle that says that files with the names of a bundle are ours
	statusFile = "status.json"
)

// prepareBundle makes the folder that the user named for the bundle, and checks before the command runs that files can be made
// in it and that it has none of the user's that the bundle would overwrite. removeIfUnused removes the folder if it was made
// here and is still empty.
func prepareBundle(dir string) (removeIfUnused func(), err error) {
	removeIfUnused = func() {}
	if dir == "" {
		return removeIfUnused, nil
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		removeIfUnused = func() { os.Remove(dir) }
	}
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".onemore-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return nil, &InputError{Err: fmt.Errorf("the folder of --bundle: %w", err), Hint: "name a folder that you may write"}
	}
	if _, err := os.Lstat(filepath.Join(dir, bundleMark)); errors.Is(err, fs.ErrNotExist) {
		names, err := bundleFiles(dir)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("%s would be overwritten, and is not of a run", filepath.Join(dir, names[0]))
		}
		if err != nil {
			return nil, &InputError{Err: fmt.Errorf("the folder of --bundle: %w", err), Hint: "name a folder of its own"}
		}
	}
	return removeIfUnused, nil
}

// bundleCluster writes the bundle of a cluster that exists into dir, or into a new temporary folder, and returns the folder.
func bundleCluster(ctx context.Context, c *Cluster, dir string) (string, error) {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "onemore-"+c.name+"-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("make the folder for the evidence: %w", err)
	}
	st, err := c.Status(ctx)
	if err != nil {
		return dir, err
	}
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return dir, err
	}
	if err := removeBundle(dir); err != nil {
		return dir, err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, bundleMark), nil, 0o644), os.WriteFile(filepath.Join(dir, statusFile), b, 0o644)}
	for _, n := range st.Nodes {
		for _, suffix := range []string{"", ".1"} {
			errs = append(errs, copyIfThere(n.Log+suffix, filepath.Join(dir, fmt.Sprintf("node%d.log%s", n.Index, suffix))))
		}
	}
	for _, name := range []string{cluster.EventsFile, cluster.LogFile} {
		errs = append(errs, copyIfThere(filepath.Join(c.dir, name), filepath.Join(dir, name)))
	}
	return dir, errors.Join(errs...)
}

// bundleFailedUp writes the logs of an `up` that failed into the folder that the user named for the bundle, if there is one.
func bundleFailedUp(err error, dir string) (bundle string, _ error) {
	fail, ok := errors.AsType[*Failure](err)
	if !ok || fail.Logs == "" || dir == "" {
		return "", nil
	}
	if fi, err := os.Stat(fail.Logs); err == nil && !fi.IsDir() {
		return "", nil // it is the log of a node of a cluster that stays; the error names it
	}
	entries, err := os.ReadDir(fail.Logs)
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), removeBundle(dir)); err != nil {
		return "", err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, bundleMark), nil, 0o644)}
	for _, e := range entries {
		if nodeLogs().MatchString(e.Name()) {
			errs = append(errs, copyIfThere(filepath.Join(fail.Logs, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	return dir, errors.Join(errs...)
}

// nodeLogs matches the names of the nodes' logs in a bundle.
var nodeLogs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^node[0-9]+\.log(\.1)?$`) })

// removeBundle removes the bundle of an earlier run, which may have had more nodes, and no other file.
func removeBundle(dir string) error {
	names, err := bundleFiles(dir)
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, os.Remove(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// bundleFiles lists the files in dir that have the names of a bundle's.
func bundleFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == statusFile, name == cluster.EventsFile, name == cluster.LogFile, nodeLogs().MatchString(name):
			out = append(out, name)
		}
	}
	return out, err
}

func copyIfThere(from, to string) error {
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
