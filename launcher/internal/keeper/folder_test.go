package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// claimed is a keeper in charge of a folder, with nothing in it.
func claimed(t *testing.T) *Keeper {
	t.Helper()
	k := newKeeper(t.Context(), filepath.Join(t.TempDir(), "c"), proc.ID{})
	if err := errors.Join(nodedir.Make(k.dir, "id"), k.lockFolder()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.over(); _ = k.unlock(); k.cluster.Host.Close() })
	return k
}

// TestWatchFolder: a folder that goes ends the keeper, but not one that an operation removed and made anew,
// as the next `up` does after one that failed.
func TestWatchFolder(t *testing.T) {
	for _, anew := range []bool{false, true} {
		k := claimed(t)
		k.lock.slot <- struct{}{} // as the operation that removes it has
		folder := k.folder
		var watch sync.WaitGroup
		watch.Go(func() { k.watchFolder(folder) })
		old := k.dir + ".old"
		if err := os.Rename(k.dir, old); err != nil {
			t.Fatal(err)
		}
		if anew {
			unlock := k.unlock
			if err := errors.Join(nodedir.Make(k.dir, "id"), k.lockFolder(), unlock()); err != nil {
				t.Fatal(err)
			}
		}
		k.lock.unlock()
		watch.Wait()
		if ended := k.life.Err() != nil; ended == anew {
			t.Errorf("folder made anew: %t; keeper ended: %t", anew, ended)
		}
	}
}

// TestCreate: a folder that somebody has made since the keeper was started is theirs when it has a record, and is made anew when
// it has none.
func TestCreate(t *testing.T) {
	stderr, err := unix.Dup(2) // a keeper makes it its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(unix.Dup2(stderr, 2), unix.Close(stderr)) })
	for _, recorded := range []bool{false, true} {
		k := claimed(t)
		if err := errors.Join(k.unlock(), os.RemoveAll(k.dir)); err != nil {
			t.Fatal(err)
		}
		k.unlock = nil
		if err := nodedir.Make(k.dir, "theirs"); err != nil {
			t.Fatal(err)
		}
		rec := &cluster.Record{Plan: &plan.Plan{ID: "theirs"}, Revision: 3, Formed: true}
		if recorded {
			if err := rec.Write(k.dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(k.dir, "data"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.Create("ours"); !stale(err) {
			t.Fatalf("recorded %t: made over it: %v", recorded, err)
		}
		if recorded {
			if r := k.cluster.Record(); r == nil || r.Revision != 3 {
				t.Errorf("its record was not read: %+v", r)
			}
		} else if err := k.Create("ours"); err != nil {
			t.Error(err)
		}
		_, err := os.Stat(filepath.Join(k.dir, "data"))
		if id, _, merr := nodedir.Marked(k.dir); recorded != (err == nil) || recorded != (id == "theirs") || merr != nil {
			t.Errorf("recorded %t: the folder is %q's, %v; its data: %v", recorded, id, merr, err)
		}
		k.over()
		k.listener.Close()
		k.background.Wait()
		k.events.close()
	}
}

func stale(err error) bool {
	e, ok := errors.AsType[*control.Error](err)
	return ok && e.Stale
}
