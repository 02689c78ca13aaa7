package operation

import (
	"errors"
	"log/slog"
	"testing"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// TestStale: a plan is taken only for the cluster, and the state of it, that it was made from.
func TestStale(t *testing.T) {
	host := node.NewHost(t.TempDir(), proc.ID{}, slog.New(slog.DiscardHandler), silent)
	defer host.Close()
	c := cluster.New(t.TempDir(), host, slog.New(slog.DiscardHandler))
	current := func(req control.Request) error { return checkRevision(c.Record(), req) }
	if err := current(control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "id"}}); err != nil {
		t.Errorf("first plan: %v", err)
	}
	c.Adopt(&cluster.Record{Plan: &plan.Plan{ID: "id", Nodes: []plan.Node{{Index: 1}}}, Revision: 1})
	seen := control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "id"}, Revision: 1} // by who looked while it was being formed
	if err := current(seen); err != nil {
		t.Errorf("plan of the record in force: %v", err)
	}
	if err := current(control.Request{Op: control.OpUp, Plan: &plan.Plan{ID: "another"}, Revision: 1}); !stale(err) {
		t.Errorf("plan of another cluster of that name: %v, want stale", err)
	}
	tx := &transaction{o: &Operation{Cluster: c}, created: c.All()}
	if err := tx.commit(); err != nil {
		t.Fatal(err)
	}
	if rec := c.Record(); !rec.Formed || !rec.HasJoined(1) {
		t.Errorf("committed: formed %t, joined %v; want node 1 in a formed cluster", rec.Formed, rec.Joined)
	}
	if err := current(seen); !stale(err) {
		t.Errorf("plan made while the cluster was being formed: %v, want stale", err)
	}
}

// TestRevisionOfUndone: what clients read on the disk after an add that was undone, or was refused before it had written anything, is
// what the keeper goes by: else it would refuse all plans from then on.
func TestRevisionOfUndone(t *testing.T) {
	host := node.NewHost(t.TempDir(), proc.ID{}, slog.New(slog.DiscardHandler), silent)
	defer host.Close()
	c := cluster.New(t.TempDir(), host, slog.New(slog.DiscardHandler))
	c.Adopt(&cluster.Record{Plan: &plan.Plan{ID: "id", Nodes: []plan.Node{{Index: 1}}}, Revision: 1})
	tx := &transaction{o: &Operation{Cluster: c, Log: slog.New(slog.DiscardHandler)}, created: c.All()}
	if err := tx.commit(); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want int) {
		t.Helper()
		disk, err := cluster.ReadRecord(c.Dir())
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Record(); got.Revision != want || disk.Revision != want || len(got.Plan.Nodes) != 1 {
			t.Errorf("%s: revision %d, on the disk %d, of %d nodes; want %d of 1", what, got.Revision, disk.Revision, len(got.Plan.Nodes), want)
		}
	}
	tx = &transaction{o: tx.o, previous: c.Record(), req: control.Request{Revision: 2, Plan: &plan.Plan{ID: "id", Nodes: []plan.Node{{Index: 1}, {Index: 2}}}}}
	if err := tx.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("refused before it wrote", 2)
	if err := tx.writeRecord(); err != nil {
		t.Fatal(err)
	}
	if err := tx.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("undone", 4)
}

func stale(err error) bool {
	e, ok := errors.AsType[*control.Error](err)
	return ok && e.Stale
}
