package learn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// scratchPrefix begins the name of every scratch folder, in the temporary folder.
const scratchPrefix = "onemore-learn-"

// makeScratch makes the scratch folder. While its lock is held, Sweep leaves it alone.
func (l *learner) makeScratch(ctx context.Context, dir string) (err error) {
	if l.unlock, err = state.LockNewDir(ctx, dir); err != nil {
		return err
	}
	if err := nodedir.Mark(dir, l.id); err != nil {
		return errors.Join(err, os.Remove(dir), l.unlock())
	}
	// A server that was started by root often goes on as somebody else, who must get through to its copy.
	if err := os.Chmod(dir, 0o711); err != nil {
		return errors.Join(err, nodedir.Remove(dir, l.id), l.unlock())
	}
	l.scratch = dir
	return nil
}

// Sweep removes what a Learn of this user that was killed has left: its processes, and its scratch folder. It returns the
// folders.
func Sweep(ctx context.Context) ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	if err != nil {
		return nil, err
	}
	var done []string
	var errs []error
	for _, dir := range dirs {
		swept, err := sweepOne(ctx, dir)
		errs = append(errs, err)
		if swept {
			done = append(done, dir)
		}
	}
	return done, errors.Join(errs...)
}

func sweepOne(ctx context.Context, dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false, nil // gone, or nothing of ours
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
		return false, nil
	}
	unlock, ok, err := state.TryLockDir(dir)
	if err != nil || !ok {
		return false, nil // somebody learns right now
	}
	defer unlock()
	id, ok, err := nodedir.Marked(dir)
	if err != nil || !ok {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = proc.Stop(ctx, claim(id, dir).IDs, 0)
	if err = errors.Join(err, nodedir.Remove(dir, id)); err != nil {
		return false, err
	}
	return true, nil
}
