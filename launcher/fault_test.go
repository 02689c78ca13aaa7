package launcher

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
	"onemore/launcher/internal/template"
)

// onDisk is a cluster of n nodes that nobody runs.
func onDisk(t *testing.T, names ...string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	p := &plan.Plan{Cluster: "c", Dir: dir}
	for i, name := range names {
		p.Nodes = append(p.Nodes, plan.Node{Index: i + 1, Name: name})
	}
	if err := state.WriteJSON(filepath.Join(dir, "cluster.json"), cluster.Record{Version: 1, Plan: p}); err != nil {
		t.Fatal(err)
	}
	return newCluster(folder{name: "c", dir: dir}, Options{})
}

func TestParseFault(t *testing.T) {
	c := onDisk(t, "a1@127.0.0.1", "a2@127.0.0.1", "a3@127.0.0.1", "a4@127.0.0.1")
	block := func(from, to int) plan.Link { return plan.Link{From: from, To: to, Block: true} }
	for _, tc := range []struct {
		in, text string
		links    []plan.Link
	}{
		{"partition 1 / 2", "partition 1 / 2", []plan.Link{block(1, 2), block(2, 1)}},
		{"partition 2,1/3", "partition 1,2 / 3", []plan.Link{block(1, 3), block(2, 3), block(3, 1), block(3, 2)}},
		{"partition 1/2/3", "partition 1 / 2 / 3", []plan.Link{block(1, 2), block(1, 3), block(2, 1), block(2, 3), block(3, 1), block(3, 2)}},
		{"one-way 1 -> 2", "one-way 1 -> 2", []plan.Link{block(1, 2)}},
		{"one-way 1->2, 3", "one-way 1 -> 2,3", []plan.Link{block(1, 2), block(1, 3)}},
		{"one-way a3 to a1@127.0.0.1", "one-way 3 -> 1", []plan.Link{block(3, 1)}},
		{"delay 1 <-> 2 50ms", "delay 1 <-> 2 50ms", []plan.Link{{From: 1, To: 2, Delay: template.Duration{Duration: 50 * time.Millisecond}}, {From: 2, To: 1, Delay: template.Duration{Duration: 50 * time.Millisecond}}}},
		{"delay 1<->2 1s", "delay 1 <-> 2 1s", []plan.Link{{From: 1, To: 2, Delay: template.Duration{Duration: time.Second}}, {From: 2, To: 1, Delay: template.Duration{Duration: time.Second}}}},
		{"delay 1 to 2 5ms", "delay 1 -> 2 5ms", []plan.Link{{From: 1, To: 2, Delay: template.Duration{Duration: 5 * time.Millisecond}}}},
		{"drop 1 and 2,2 12.5%", "drop 1 <-> 2 12.5%", []plan.Link{{From: 1, To: 2, Drop: 0.125}, {From: 2, To: 1, Drop: 0.125}}},
		{"drop 4 -> 1 100", "drop 4 -> 1 100%", []plan.Link{{From: 4, To: 1, Drop: 1}}},
	} {
		f, err := c.ParseFault(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
			continue
		}
		if f.Text != tc.text {
			t.Errorf("%q: text %q, want %q", tc.in, f.Text, tc.text)
		}
		if diff := cmp.Diff(tc.links, f.Links); diff != "" {
			t.Errorf("%q: %s", tc.in, diff)
		}
		again, err := c.ParseFault(f.Text)
		if err != nil || !cmp.Equal(again, f) {
			t.Errorf("%q: its own text %q is read as %+v, %v", tc.in, f.Text, again, err)
		}
	}
	for _, bad := range []string{
		"", "partition", "partition 1 2", "partition 1 /", "partition / 1", "partition 1 / 1,2", "partition 1 / 9", "partition 1 -> 2",
		"one-way 1 2", "one-way 1 <-> 2", "one-way 1 -> 1", "one-way -> 2 3", "delay 1 and 2", "delay 1 and 2 -5ms", "delay 1 and 2 0s",
		"drop 1 to 2 x", "drop 1 to 2 101%", "drop 1 to 2 0%", "storm 1 to 2 5%", "drop 1 to 2 NaN",
	} {
		if f, err := c.ParseFault(bad); err == nil || !errors.As(err, new(*InputError)) {
			t.Errorf("%q is read as %+v, %v", bad, f, err)
		}
	}
}
