package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

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
	if err := k.current(Request{Op: OpUp, Plan: &plan.Plan{ID: "id"}}); err != nil {
		t.Errorf("first plan: %v", err)
	}
	k.adopt(&Record{Plan: &plan.Plan{ID: "id", Nodes: []plan.Node{{Index: 1}}}, Revision: 1})
	seen := Request{Op: OpUp, Plan: &plan.Plan{ID: "id"}, Revision: 1} // by who looked while it was being formed
	if err := k.current(seen); err != nil {
		t.Errorf("plan of the record in force: %v", err)
	}
	if err := k.current(Request{Op: OpUp, Plan: &plan.Plan{ID: "another"}, Revision: 1}); !stale(err) {
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

func stale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Stale
}
