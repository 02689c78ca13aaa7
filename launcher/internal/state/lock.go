package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// LockDir takes the exclusive lock on the directory itself, so that no lock
// file is left and the lock is gone with the directory. It waits until the
// context is done; the error then names the holder where the system knows it. The
// kernel frees the lock when the process dies. unlock may be called twice; a
// holder that removes the directory gives the lock up with that.
//
// The error wraps fs.ErrNotExist when the directory is not there, also when its
// holder removed it: nobody ever holds a lock on a directory that is gone.
func LockDir(ctx context.Context, dir string) (unlock func() error, err error) {
	const slowest = 20 * time.Millisecond
	pause := time.Millisecond
	for {
		unlock, ok, err := TryLockDir(dir)
		if err != nil || ok {
			return unlock, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("lock %q: held by %s: %w", dir, holderText(dir), context.Cause(ctx))
		case <-timer.C:
		}
		pause = min(2*pause, slowest)
	}
}

// LockNewDir is LockDir, but makes the directory, with mode 0700, as often as it
// is missing.
func LockNewDir(ctx context.Context, dir string) (unlock func() error, err error) {
	for {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			unlock, err = LockDir(ctx, dir)
		}
		// A holder that removes the directory at this moment makes either fail.
		if err == nil {
			return unlock, nil
		}
		if ctx.Err() != nil || !removed(dir, err) {
			return nil, fmt.Errorf("make and lock %q: %w", dir, bare(err))
		}
	}
}

// removed reports whether the error may come from a directory that is gone or
// was for a moment.
func removed(dir string, err error) bool {
	if errors.Is(err, fs.ErrExist) { // Mkdir and Stat of os.MkdirAll saw different things
		info, err := os.Stat(dir)
		return err != nil && errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir()
	}
	return errors.Is(err, fs.ErrNotExist)
}

// TryLockDir is LockDir that doesn't wait: ok is false when the lock is held.
func TryLockDir(dir string) (unlock func() error, ok bool, err error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, false, fmt.Errorf("lock %q: %w", dir, bare(err))
	}
	for {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, d.Close()
	}
	if err == nil {
		err = stillThere(d, dir)
	}
	if err != nil {
		d.Close()
		return nil, false, fmt.Errorf("lock %q: %w", dir, bare(err))
	}
	return sync.OnceValue(func() error { return release(d) }), true, nil
}

// stillThere checks that the locked directory is the one at the path, and not
// one that was removed or moved while we waited.
func stillThere(d *os.File, dir string) error {
	locked, err := d.Stat()
	if err != nil {
		return err
	}
	now, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !os.SameFile(locked, now) {
		return fs.ErrNotExist
	}
	return nil
}

// release unlocks before it closes, since a child that is just being started
// may still share the descriptor.
func release(d *os.File) error {
	err := unix.Flock(int(d.Fd()), unix.LOCK_UN)
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("unlock %q: %w", d.Name(), err)
	}
	return nil
}

func holderText(dir string) string {
	if pid, ok := LockHolder(dir); ok {
		return fmt.Sprintf("pid %d", pid)
	}
	return "another process"
}
