package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// writeLog appends lines; each is SECONDS and a text.
func writeLog(t *testing.T, path string, lines ...any) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := 0; i < len(lines); i += 2 {
		at := time.Unix(int64(lines[i].(int)), 0).UTC()
		fmt.Fprintf(f, "%s %s\n", at.Format(node.LogTime), lines[i+1])
	}
}

func readers(paths ...string) []*logReader {
	var out []*logReader
	for i, p := range paths {
		out = append(out, &logReader{node: plan.Node{Index: i + 1}, path: p})
	}
	return out
}

func texts(t *testing.T, rs []*logReader, rotated bool, o LogOptions) []string {
	t.Helper()
	var out []string
	err := merge(rs, rotated, o, func(l LogLine) bool {
		out = append(out, fmt.Sprintf("%d:%s", l.Node, l.Text))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMergeByTime(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	writeLog(t, a+".1", 1, "old", 3, "older file")
	writeLog(t, a, 5, "new", 9, "last")
	writeLog(t, b, 2, "two", 5, "five", 6, "six")
	rs := readers(a, b, filepath.Join(dir, "missing"))
	got := texts(t, rs, true, LogOptions{})
	want := []string{"1:old", "2:two", "1:older file", "1:new", "2:five", "2:six", "1:last"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// What comes later, through a rotation, is read once; half a line waits for its end.
	writeLog(t, b, 10, "ten")
	if err := os.Rename(b, b+".1"); err != nil {
		t.Fatal(err)
	}
	writeLog(t, b, 11, "eleven")
	if err := os.WriteFile(filepath.Join(dir, "missing"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := texts(t, rs, false, LogOptions{}), []string{"2:ten", "2:eleven"}; !slices.Equal(got, want) {
		t.Errorf("after a rotation: got %v, want %v", got, want)
	}
	if got := texts(t, rs, false, LogOptions{}); len(got) != 0 {
		t.Errorf("again: got %v, want nothing", got)
	}
	for _, r := range rs {
		r.close()
	}
}

// TestFollowFarBehind: the log is rotated while the reader is still in LOG.1; nothing of the file between is lost.
func TestFollowFarBehind(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	writeLog(t, a+".1", 1, "one", 2, "two")
	writeLog(t, a, 3, "three")
	r := readers(a)[0]
	defer r.close()
	var got []string
	for i := 0; ; i++ {
		l, err := r.next(true)
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			break
		}
		got = append(got, l.Text)
		if i == 0 {
			if err := os.Rename(a, a+".1"); err != nil {
				t.Fatal(err)
			}
			writeLog(t, a, 4, "four")
		}
	}
	if want := []string{"one", "two", "three", "four"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMergeChooses(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	writeLog(t, a, 1, "error one", 2, "fine", 3, "error two")
	o := LogOptions{Since: time.Unix(1, 0), Grep: regexp.MustCompile("error")}
	rs := readers(a)
	if got, want := texts(t, rs, true, o), []string{"1:error two"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	rs[0].close()
}

func TestEnvironment(t *testing.T) {
	p := &Plan{Cluster: "c", Template: "t", Nodes: []plan.Node{
		{Index: 1, Name: "n1@h", Dir: "/1", Listeners: []plan.Listener{{Name: "mqtt", Host: "127.0.0.1", Port: 1883}, {Name: "cluster", Host: "::1", Port: 7946}}, ClientEnv: []string{"CA=/1/ca.pem", "REALM=r"}},
		{Index: 3, Name: "n3@h", Dir: "/3", Listeners: []plan.Listener{{Name: "mqtt", Host: "127.0.0.1", Port: 3883}, {Name: "cluster", Host: "::1", Port: 9946}}, ClientEnv: []string{"CA=/3/ca.pem"}},
	}}
	want := []Variable{
		{"ONEMORE_CLUSTER", "c"}, {"ONEMORE_TEMPLATE", "t"}, {"ONEMORE_NODES", "2"}, {"ONEMORE_CA", "/1/ca.pem"}, {"ONEMORE_REALM", "r"},
		{"ONEMORE_MQTT", "127.0.0.1:1883,127.0.0.1:3883"}, {"ONEMORE_CLUSTER_LISTENER", "[::1]:7946,[::1]:9946"},
		{"ONEMORE_1_NAME", "n1@h"}, {"ONEMORE_1_DIR", "/1"}, {"ONEMORE_1_MQTT", "127.0.0.1:1883"}, {"ONEMORE_1_CLUSTER", "[::1]:7946"}, {"ONEMORE_1_CA", "/1/ca.pem"}, {"ONEMORE_1_REALM", "r"},
		{"ONEMORE_3_NAME", "n3@h"}, {"ONEMORE_3_DIR", "/3"}, {"ONEMORE_3_MQTT", "127.0.0.1:3883"}, {"ONEMORE_3_CLUSTER", "[::1]:9946"}, {"ONEMORE_3_CA", "/3/ca.pem"},
	}
	if got := Environment(p); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
