package launchertest_test

import (
	"context"
	"testing"
	"time"

	"onemore/launcher"
)

// TestReuseWithoutProgress runs a command in a cluster that is left running and has changed since, with no function that takes
// progress: the cluster is made anew.
func TestReuseWithoutProgress(t *testing.T) {
	o := launcher.Options{Cluster: launcher.UniqueName("test"), Count: 1, Base: "auto", Timeout: time.Minute}
	run := func() *launcher.Cluster {
		t.Helper()
		code, _, err := launcher.Run(t.Context(), o, launcher.RunOptions{Named: true, Reuse: true}, []string{"true"})
		if err != nil || code != 0 {
			t.Fatalf("run: code %d, %v", code, err)
		}
		c, err := launcher.Open(o.Cluster, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := run()
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(t.Context()), false); err != nil {
			t.Error(err)
		}
	})
	made, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := run().Plan()
	if err != nil {
		t.Fatal(err)
	}
	if p.ID == made.ID {
		t.Error("the cluster that was stopped has not been made anew")
	}
}
