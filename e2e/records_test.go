package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedRecord: a record that can't be read stands in nobody's way: the cluster can be looked at and taken down, with or
// without its keeper, and the other clusters are not concerned.
func TestDamagedRecord(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		crash      bool
	}{
		{"torn, keeper alive", `{"version": 1, "pl`, false},
		{"torn, keeper killed", `{"version": 1, "pl`, true},
		{"empty", "", true},
		{"of a later version", `{"version": 99, "plan": {}}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.ok("-c", "well", "up", "1", "--base", "auto", "-q")
			h.ok("-c", "d", "up", "2", "--base", "auto", "-q")
			st, _ := h.status("d")
			if tt.crash {
				h.killKeeper("d")
			}
			if err := os.WriteFile(filepath.Join(h.home, "d", "cluster.json"), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := h.ok("-c", "d", "status"); tt.crash && !strings.Contains(out, "damaged") {
				t.Errorf("status does not say that the record is damaged:\n%s", out)
			}
			if out := h.ok("ls"); !strings.Contains(out, "\nd ") || !strings.Contains(out, "\nwell ") {
				t.Errorf("ls lacks a cluster:\n%s", out)
			}
			for _, args := range [][]string{{"-c", "d", "status", "--json"}, {"ls", "--json"}} {
				if out := h.ok(args...); strings.Contains(out, "null") {
					t.Errorf("%v has a null:\n%s", args, out)
				}
			}
			for _, args := range [][]string{{"up"}, {"stop"}, {"logs"}, {"env"}, {"ctl", "1"}} {
				_, errs, code := h.run(append([]string{"-c", "d"}, args...)...)
				if code != 1 || !strings.Contains(errs, "cluster.json") || !strings.Contains(errs, "`onemore -c d down`") {
					t.Errorf("%v: exit %d, want 1 and the way out:\n%s", args, code, errs)
				}
			}
			h.ok("-c", "d", "down", "--keep-data")
			if _, err := os.Stat(filepath.Join(h.home, "d", "1", "onemore", "data")); err != nil {
				t.Errorf("down --keep-data: %v", err)
			}
			if p := left("ONEMORE_CLUSTER_ID=" + st.ID); len(p) > 0 {
				t.Errorf("down --keep-data left %v", p)
			}
			h.downClean("d", st)
			h.ok("-c", "well", "down", "-q")
		})
	}
}

// TestDamagedRecordCollected: gc takes such a cluster down too, when its keeper has crashed.
func TestDamagedRecordCollected(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "d", "up", "2", "--base", "auto", "-q")
	h.killKeeper("d")
	if err := os.WriteFile(filepath.Join(h.home, "d", "cluster.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := h.ok("gc"); !strings.Contains(out, "removed cluster d") {
		t.Errorf("gc says %q", out)
	}
	h.nothingLeft()
}

// TestForeignHome: folders in ONEMORE_HOME that onemore did not make are nobody's clusters, and stay.
func TestForeignHome(t *testing.T) {
	h := newHost(t)
	precious := filepath.Join(h.home, "mine", "precious")
	if err := os.MkdirAll(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	if out := h.ok("ls", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("ls: %s", out)
	}
	if _, errs, code := h.run("-c", "mine", "status"); code != 1 || !strings.Contains(errs, "was not made by onemore") {
		t.Errorf("status: exit %d: %s", code, errs)
	}
	h.ok("gc")
	h.ok("down", "--all")
	if _, err := os.Stat(precious); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(h.home, "mine")); err != nil {
		t.Fatal(err)
	}
}

// TestHalfRemoved: a node whose folder has gone while the record still has it is made anew by `up`.
func TestHalfRemoved(t *testing.T) {
	h := newHost(t)
	h.ok("-c", "r", "up", "3", "--base", ownBase(), "-q")
	h.ok("-c", "r", "stop", "3", "-q")
	h.killKeeper("r")
	if err := os.RemoveAll(filepath.Join(h.home, "r", "3")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := h.run("-c", "r", "exec", "3", "--", "true"); code != 1 || !strings.Contains(errs, "node onemore3@127.0.0.1 has no directory") {
		t.Errorf("exec in a node without a directory: exit %d: %s", code, errs)
	}
	h.ok("-c", "r", "up", "-q")
	st, _ := h.status("r")
	if st.State != "running" || len(st.Nodes) != 3 {
		t.Errorf("after up: %+v", st)
	}
	h.downClean("r", st)
}

// TestRemovalCutShort: what a removal that was cut short leaves is no cluster that runs again, but one that gc removes and that
// stands in no way of a new one.
func TestRemovalCutShort(t *testing.T) {
	for _, next := range []string{"gc", "down", "up"} {
		h := newHost(t)
		h.ok("-c", "r", "up", "2", "--base", "auto", "-q")
		h.killKeeper("r")
		for _, name := range []string{"cluster.json", "keeper.json", "1/.onemore", "1/start"} {
			if err := os.Remove(filepath.Join(h.home, "r", name)); err != nil {
				t.Fatal(err)
			}
		}
		if st, ok := h.status("r"); !ok || st.State != "lost" {
			t.Errorf("status: %+v, want lost", st)
		}
		if next == "up" {
			h.ok("-c", "r", "up", "2", "--base", "auto", "-q")
			st, _ := h.status("r")
			if st.State != "running" || len(st.Nodes) != 2 {
				t.Errorf("after up: %+v", st)
			}
			h.downClean("r", st)
		} else {
			h.ok("-c", "r", next)
		}
		h.nothingLeft()
	}
}
