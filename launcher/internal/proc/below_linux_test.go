package proc

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestBelow: the descendants of a process, those of its children's too, and nobody else.
func TestBelow(t *testing.T) {
	spec, lines := program(t, "fork:block")
	parent := start(t, newSpawner(t, SpawnerOptions{}), spec).ID().PID
	child, err := strconv.Atoi(readLine(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	table, err := Below(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	has := func(pid int) bool { return slices.ContainsFunc(table, func(p Info) bool { return p.ID.PID == pid }) }
	if !has(parent) || !has(child) {
		t.Errorf("%d and its child %d are not both in %+v", parent, child, table)
	}
	if has(os.Getpid()) || has(1) || has(os.Getppid()) {
		t.Errorf("strangers in %+v", table)
	}
}
