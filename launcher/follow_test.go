package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/state"
)

// logging is a cluster whose nodes' logs are written by the test.
func logging(t *testing.T, n int) (*Cluster, []string) {
	t.Helper()
	dir := t.TempDir()
	p := &plan.Plan{Cluster: "c", Dir: dir}
	var logs []string
	for i := range n {
		logs = append(logs, filepath.Join(dir, fmt.Sprintf("node%d.log", i+1)))
		p.Nodes = append(p.Nodes, plan.Node{Index: i + 1, Name: fmt.Sprintf("n%d@h", i+1), Log: logs[i]})
	}
	record(t, p)
	return newCluster(folder{name: "c", dir: dir}, Options{}), logs
}

func record(t *testing.T, p *plan.Plan) {
	t.Helper()
	if err := state.WriteJSON(cluster.RecordPath(p.Dir), cluster.Record{Version: 1, Plan: p}); err != nil {
		t.Fatal(err)
	}
}

// TestFollowChanges follows a cluster that gets a node and is taken down.
func TestFollowChanges(t *testing.T) {
	c, logs := logging(t, 1)
	got, over := make(chan LogLine), make(chan error, 1)
	go func() {
		over <- c.Logs(t.Context(), LogOptions{Follow: true}, func(l LogLine) bool {
			got <- l
			return true
		})
	}()
	writeLog(t, logs[0], 1, "one")
	if l := <-got; l.Node != 1 || l.Text != "one" {
		t.Errorf("the first line is %+v", l)
	}
	p, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	added := filepath.Join(c.dir, "node2.log")
	p.Nodes = append(p.Nodes, plan.Node{Index: 2, Name: "n2@h", Log: added})
	record(t, p)
	writeLog(t, added, 2, "two")
	if l := <-got; l.Node != 2 || l.Text != "two" {
		t.Errorf("the line of the added node is %+v", l)
	}
	if err := os.Remove(cluster.RecordPath(c.dir)); err != nil {
		t.Fatal(err)
	}
	if err := <-over; !errors.Is(err, ErrNoCluster) {
		t.Errorf("when the cluster is gone: %v", err)
	}
}

// TestFollowRotation follows a log that is rotated right after a line was written, again and again: no line is lost, and
// each comes once and in order.
func TestFollowRotation(t *testing.T) {
	c, logs := logging(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const rotations, lines = 20, 30
	got := make(chan string, lines)
	over := make(chan error, 1)
	go func() {
		over <- c.Logs(ctx, LogOptions{Nodes: []int{2}, Follow: true}, func(l LogLine) bool {
			got <- l.Text
			return true
		})
	}()
	at := 0
	for range rotations {
		for i := range lines {
			writeLog(t, logs[1], at+i, fmt.Sprint("line ", at+i))
		}
		if err := os.Rename(logs[1], logs[1]+".1"); err != nil {
			t.Fatal(err)
		}
		writeLog(t, logs[1], at+lines, fmt.Sprint("line ", at+lines))
		for i := range lines + 1 {
			select {
			case text := <-got:
				if want := fmt.Sprint("line ", at+i); text != want {
					t.Fatalf("got %q, want %q", text, want)
				}
			case err := <-over:
				t.Fatalf("the following ended: %v", err)
			}
		}
		at += lines + 1
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

// TestWaitLog waits for a line that is there, for one that comes, and for one that doesn't.
func TestWaitLog(t *testing.T) {
	c, logs := logging(t, 2)
	writeLog(t, logs[0], 1, "here it was", 3, "later")
	l, err := c.WaitLog(t.Context(), "it (was|is)")
	if err != nil || l.Node != 1 || l.Text != "here it was" {
		t.Errorf("a line that is there: %+v, %v", l, err)
	}
	found := make(chan LogLine, 1)
	failed := make(chan error, 1)
	go func() {
		l, err := c.WaitLog(t.Context(), "^comes$")
		failed <- err
		found <- l
	}()
	writeLog(t, logs[1], 4, "not this, that comes later", 5, "comes")
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if l := <-found; l.Node != 2 || l.Name != "n2@h" || !l.Time.Equal(time.Unix(5, 0)) {
		t.Errorf("a line that comes: %+v", l)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	patience := errors.New("out of patience")
	cancel(patience)
	if _, err := c.WaitLog(ctx, "never"); !errors.Is(err, patience) {
		t.Errorf("a line that never comes: %v", err)
	}
	if _, err := c.WaitLog(t.Context(), "("); !errors.As(err, new(*InputError)) {
		t.Errorf("no regular expression: %v", err)
	}
	var texts []string
	err = c.Logs(t.Context(), LogOptions{Since: time.Unix(3, 0), Grep: regexp.MustCompile("comes")}, func(l LogLine) bool {
		texts = append(texts, l.Text)
		return true
	})
	if want := "[not this, that comes later comes]"; err != nil || fmt.Sprint(texts) != want {
		t.Errorf("since and grep: got %v, %v; want %s", texts, err, want)
	}
}

// TestSinceStart: with Start, what a node printed in an earlier life is left out; of a node whose start is not in the events,
// nothing is.
func TestSinceStart(t *testing.T) {
	c, logs := logging(t, 2)
	events, err := state.OpenLog(filepath.Join(c.dir, cluster.EventsFile), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{{Node: 1, Phase: "starting", Time: time.Unix(1, 0)}, {Node: 1, Phase: "starting", Time: time.Unix(5, 0)}, {Node: 1, Phase: "ready", Time: time.Unix(9, 0)}} {
		if err := events.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := events.Close(); err != nil {
		t.Fatal(err)
	}
	writeLog(t, logs[0], 2, "ready: one", 4, "ready: two")
	writeLog(t, logs[1], 3, "other")
	found := func(pattern string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*followEvery)
		defer cancel()
		l, err := c.WaitLog(ctx, pattern)
		return l.Text, err
	}
	if got, err := found("^ready"); err == nil {
		t.Errorf("a line from before the last start was found: %q", got)
	}
	if got, err := found("^other"); err != nil || got != "other" {
		t.Errorf("found %q, %v", got, err)
	}
	writeLog(t, logs[0], 6, "ready: three")
	if got, err := found("^ready"); err != nil || got != "ready: three" {
		t.Errorf("found %q, %v", got, err)
	}
}
