package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
)

// claimed is a keeper in charge of a folder, with nothing in it.
func claimed(t *testing.T) *Keeper {
	t.Helper()
	k := &Keeper{dir: filepath.Join(t.TempDir(), "c"), log: slog.New(slog.DiscardHandler), turn: make(chan struct{}, 1), nodes: map[int]*node{}}
	k.life, k.over = context.WithCancel(t.Context())
	if err := errors.Join(nodedir.Make(k.dir, "id"), k.lock()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.over(); _ = k.unlock() })
	return k
}

// TestWatchFolder: a folder that goes ends the keeper, but not one that an operation with the turn removed and made anew,
// as the next `up` does after one that failed.
func TestWatchFolder(t *testing.T) {
	for _, anew := range []bool{false, true} {
		k := claimed(t)
		k.turn <- struct{}{} // as the operation that removes it has
		folder := k.folder
		var watch sync.WaitGroup
		watch.Go(func() { k.watchFolder(folder) })
		old := k.dir + ".old"
		if err := os.Rename(k.dir, old); err != nil {
			t.Fatal(err)
		}
		if anew {
			unlock := k.unlock
			if err := errors.Join(nodedir.Make(k.dir, "id"), k.lock(), unlock()); err != nil {
				t.Fatal(err)
			}
		}
		<-k.turn
		watch.Wait()
		if ended := k.life.Err() != nil; ended == anew {
			t.Errorf("folder made anew: %t; keeper ended: %t", anew, ended)
		}
	}
}

// TestStale: a plan is taken only for the cluster, and the state of it, that it was made from.
func TestStale(t *testing.T) {
	k := claimed(t)
	if err := k.current(control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "id"}}); err != nil {
		t.Errorf("first plan: %v", err)
	}
	k.adopt(&Record{Plan: &plan.Plan{ID: "id", Nodes: []plan.Node{{Index: 1}}}, Revision: 1})
	seen := control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "id"}, Revision: 1} // by who looked while it was being formed
	if err := k.current(seen); err != nil {
		t.Errorf("plan of the record in force: %v", err)
	}
	if err := k.current(control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "another"}, Revision: 1}); !stale(err) {
		t.Errorf("plan of another cluster of that name: %v, want stale", err)
	}
	u := &undertaking{k: k, made: k.all()}
	if err := u.finish(); err != nil {
		t.Fatal(err)
	}
	if !k.rec.Formed || !k.rec.joined(1) {
		t.Errorf("finished: formed %t, joined %v; want node 1 in a formed cluster", k.rec.Formed, k.rec.Joined)
	}
	if err := k.current(seen); !stale(err) {
		t.Errorf("plan made while the cluster was being formed: %v, want stale", err)
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
		rec := &Record{Plan: &plan.Plan{ID: "theirs"}, Revision: 3, Formed: true}
		if recorded {
			if err := rec.write(k.dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(k.dir, "data"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.create("ours"); !stale(err) {
			t.Fatalf("recorded %t: made over it: %v", recorded, err)
		}
		if recorded {
			if k.rec == nil || k.rec.Revision != 3 {
				t.Errorf("its record was not read: %+v", k.rec)
			}
		} else if err := k.create("ours"); err != nil {
			t.Error(err)
		}
		_, err := os.Stat(filepath.Join(k.dir, "data"))
		if id, _, merr := nodedir.Marked(k.dir); recorded != (err == nil) || recorded != (id == "theirs") || merr != nil {
			t.Errorf("recorded %t: the folder is %q's, %v; its data: %v", recorded, id, merr, err)
		}
		k.over()
		k.ln.Close()
		k.background.Wait()
		k.events.Close()
	}
}

func stale(err error) bool {
	e, ok := errors.AsType[*control.Error](err)
	return ok && e.Stale
}
