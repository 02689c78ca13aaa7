// Package watch reports changes of files below a folder, by the kernel's events. It knows neither clusters nor programs.
//
// Start at Watch.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must have been left alone before they count as changed: an editor, or a checkout, writes several times.
const settle = 100 * time.Millisecond

// Watch calls changed, with one of the paths, relative and with slashes, after files below root changed that match. What changes during
// a call is one more change. It calls ready when it watches, and returns when ctx ends, or with the error of changed.
func Watch(ctx context.Context, root string, match func(rel string) bool, ready func(), changed func(rel string) error) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	defer w.Close()
	if err := addFolders(w, root); err != nil {
		return fmt.Errorf("watch %s: %w", root, err)
	}
	ready()
	quiet := time.NewTimer(settle)
	quiet.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-w.Errors:
			return fmt.Errorf("watch %s: %w", root, err)
		case e := <-w.Events:
			if rel, ok := relevant(w, root, e, match); ok {
				last = rel
				quiet.Reset(settle)
			}
		case <-quiet.C:
			if err := changed(last); err != nil {
				return err
			}
		}
	}
}

// relevant reports whether an event is about a file that matches, and watches a folder that is new.
func relevant(w *fsnotify.Watcher, root string, e fsnotify.Event, match func(string) bool) (rel string, ok bool) {
	if e.Op == fsnotify.Chmod {
		return "", false
	}
	if info, err := os.Lstat(e.Name); err == nil && info.IsDir() {
		_ = addFolders(w, e.Name) // it may be gone already; if it can't be watched, the next command tells what is wrong with it
		return "", false
	}
	rel, err := filepath.Rel(root, e.Name)
	if err != nil {
		return "", false
	}
	rel = filepath.ToSlash(rel)
	return rel, match(rel)
}

// addFolders watches a folder and all below it, but for hidden ones.
func addFolders(w *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		}
		return w.Add(path)
	})
}
