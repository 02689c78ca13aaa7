package nodedir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// markName is the file that makes a directory ours. It is never copied.
const markName = ".onemore"

const markText = "# Made by onemore, which removes this directory with all that is in it.\ncluster = "

// ErrNotOurs says that a directory lacks the mark, or has another cluster's.
var ErrNotOurs = errors.New("not marked as ours")

// Make makes the directory, mode 0700, and marks it, in one step: there is no
// moment, and no crash, with a directory that is not marked. Its parent must
// exist, and be ours to leave a hidden file in after a crash. The error wraps
// fs.ErrExist when something is there already.
func Make(dir, clusterID string) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("make directory %q: %w", dir, fs.ErrExist)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
	if err != nil {
		return fmt.Errorf("make directory %q: %w", dir, bare(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(filepath.Join(temp, markName)), os.Remove(temp))
		}
	}()
	if err := Mark(temp, clusterID); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("make directory %q: %w", dir, err)
	}
	return nil
}

// Mark makes the directory the cluster's. One that has the cluster's mark
// already is left alone; another cluster's is ErrNotOurs.
func Mark(dir, clusterID string) error {
	if clusterID == "" || strings.ContainsAny(clusterID, "\r\n") {
		return fmt.Errorf("mark directory %q: cluster id %q is not valid", dir, clusterID)
	}
	id, ok, err := Marked(dir)
	if err != nil {
		return err
	}
	if ok && id != clusterID {
		return fmt.Errorf("mark directory %q: %w: it is cluster %q's", dir, ErrNotOurs, id)
	}
	if ok {
		return nil
	}
	return WriteFile(dir, markName, []byte(markText+clusterID+"\n"), 0o600)
}

// Marked returns the cluster that the directory is marked as belonging to. The
// error wraps fs.ErrNotExist when there is no such directory.
func Marked(dir string) (clusterID string, ok bool, err error) {
	root, err := openDir(dir)
	if err != nil {
		return "", false, fmt.Errorf("read mark of %q: %w", dir, err)
	}
	defer root.Close()
	clusterID, ok, err = readMark(root)
	if err != nil {
		return "", false, fmt.Errorf("read mark of %q: %w", dir, err)
	}
	return clusterID, ok, nil
}

// openDir opens a directory that is one itself, and no link to one.
func openDir(dir string) (*os.Root, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, bare(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("it is %s, not a directory", kind(info.Mode()))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, bare(err)
	}
	opened, err := root.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = errors.New("it was replaced while it was opened")
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// readMark takes only a regular file for a mark: a link could be anyone's.
func readMark(root *os.Root) (clusterID string, ok bool, err error) {
	info, err := root.Lstat(markName)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return "", false, nil
	}
	if err != nil {
		return "", false, bare(err)
	}
	b, err := root.ReadFile(markName)
	if err != nil {
		return "", false, bare(err)
	}
	id, found := strings.CutPrefix(string(b), markText)
	id = strings.TrimSuffix(id, "\n")
	return id, found && id != "" && !strings.Contains(id, "\n"), nil
}

// Remove removes the directory and all that is in it, if it carries the cluster's
// mark; the error wraps ErrNotOurs if not. It never follows a link out, removes
// the mark last, so that a removal that was cut short can be finished, and does
// nothing when the directory is gone already.
func Remove(dir, clusterID string) error {
	err := inOurs(dir, clusterID, empty)
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %q: %w", dir, bare(err))
	}
	return nil
}

// RemoveIn removes what the directory, which must carry the cluster's mark, has
// under the name, as Remove does. It needs no room on the disk.
func RemoveIn(dir, clusterID, name string) error {
	err := inOurs(dir, clusterID, func(root *os.Root) error {
		err := root.RemoveAll(name)
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		inner, err := root.OpenRoot(name)
		if err != nil {
			return err
		}
		defer inner.Close()
		return errors.Join(openUp(inner), root.RemoveAll(name))
	})
	if err != nil {
		return fmt.Errorf("remove %q: %w", filepath.Join(dir, name), bare(err))
	}
	return nil
}

// Discard is Remove of a directory whose name says that it is whole: it loses that
// name before anything in it goes. What a crash leaves is beside it, and hidden, as
// with Make.
func Discard(dir, clusterID string) error {
	temp := filepath.Join(filepath.Dir(dir), ".new-"+rand.Text())
	err := inOurs(dir, clusterID, func(*os.Root) error { return os.Rename(dir, temp) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %q: %w", dir, bare(err))
	}
	return Remove(temp, clusterID)
}

// inOurs calls f with a directory that carries the cluster's mark; the error wraps
// ErrNotOurs if it does not.
func inOurs(dir, clusterID string, f func(*os.Root) error) error {
	root, err := openDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	id, ok, err := readMark(root)
	if err != nil {
		return err
	}
	if !ok || id != clusterID {
		return ErrNotOurs
	}
	return f(root)
}

// empty removes all that is in the directory, the mark last.
func empty(root *os.Root) error {
	err := removeAllBut(root, markName)
	if errors.Is(err, fs.ErrPermission) {
		// Nothing can be removed from a directory without write permission.
		if err := openUp(root); err != nil {
			return err
		}
		err = removeAllBut(root, markName)
	}
	if err != nil {
		return err
	}
	return root.Remove(markName)
}

func removeAllBut(root *os.Root, keep string) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == keep {
			continue
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// openUp makes every directory of the tree one that its owner can empty.
func openUp(root *os.Root) error {
	if err := root.Chmod(".", 0o700); err != nil {
		return err
	}
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == "." {
			return err
		}
		// A directory is visited before it is read.
		return root.Chmod(path, 0o700)
	})
}
