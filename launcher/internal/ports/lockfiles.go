package ports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockFiles keeps a lease as a locked file in a directory that all users share,
// for systems without abstract socket names. What is not locked means nothing.
type lockFiles struct{ dir string }

const turnFile = "turn"

func (n lockFiles) lock(ctx context.Context) (release func(), err error) {
	if err := n.make(); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(n.dir, turnFile), flock.SetPermissions(0o666))
	ok, err := lock.TryLockContext(ctx, 2*time.Millisecond)
	if !ok {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("another process is taking leases: %w", err)
	}
	return func() { _ = lock.Close() }, nil
}

// make makes the directory one that every user can add files to and nobody can
// remove another's from.
func (n lockFiles) make() error {
	err := os.Mkdir(n.dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(n.dir, 0o777|fs.ModeSticky)
}

// record is what a lease's file holds.
type record struct {
	Addr  Addr
	Name  string
	Owner string
	PID   int
	Lease string
}

func (n lockFiles) hold(l Leased) (io.Closer, error) {
	path := filepath.Join(n.dir, url.PathEscape(l.key()))
	lock := flock.New(path, flock.SetPermissions(0o666))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, err
	}
	_ = os.Chmod(path, 0o666) // works for its maker only, and only that matters
	b, err := json.Marshal(record{l.Addr, l.Name, l.Owner, l.PID, l.lease})
	if err == nil {
		err = os.WriteFile(path, b, 0o666)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	// The file stays after Close: removing it could remove it from under another
	// process that has just opened it to lock it.
	return lock, nil
}

func (n lockFiles) list() ([]Leased, error) {
	entries, err := os.ReadDir(n.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Leased
	for _, e := range entries {
		if e.Name() == turnFile {
			continue
		}
		if l, ok := readLocked(filepath.Join(n.dir, e.Name())); ok {
			all = append(all, l)
		}
	}
	return all, nil
}

// readLocked reads a lease's file if some process has it locked.
func readLocked(path string) (Leased, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Leased{}, false
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	if free, err := lock.TryRLock(); free || err != nil {
		return Leased{}, false
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Leased{}, false
	}
	return Leased{Addr: r.Addr, Name: r.Name, Owner: r.Owner, PID: r.PID, lease: r.Lease}, true
}
