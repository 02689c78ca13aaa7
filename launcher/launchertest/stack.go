package launchertest

import (
	"context"
	"testing"
	"time"

	"onemore/launcher"
)

// StackCluster is a running copy of a stack, bound to one test.
type StackCluster struct {
	t        testing.TB
	s        *launcher.Stack
	clusters map[string]*Cluster
}

// Stack brings up a copy of the stack of a project file, on free ports and under a name of its own. It is taken down when the test ends;
// when the test failed, the nodes' logs are in its output first.
func Stack(t testing.TB, file string) *StackCluster {
	t.Helper()
	p, err := launcher.ReadProject(file)
	if err != nil {
		t.Fatal(err)
	}
	if p.Stack == nil {
		t.Fatalf("%s has no [clusters.NAME]: use Up for a single cluster", file)
	}
	s, err := p.Stack.Rename(launcher.UniqueName("test"))
	if err != nil {
		t.Fatal(err)
	}
	_, own, err := s.UpOwned(t.Context(), launcher.StackOptions{Base: "auto"})
	if err != nil {
		t.Fatal(explain(err))
	}
	c := &StackCluster{t: t, s: s, clusters: map[string]*Cluster{}}
	t.Cleanup(func() {
		for _, one := range c.clusters {
			one.logsOfFailure(time.Time{})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := own.Down(ctx); err != nil {
			t.Error(explain(err))
		}
	})
	for _, name := range s.Names() {
		one, err := launcher.Open(s.Full(name), launcher.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.clusters[name] = &Cluster{t: t, c: one}
	}
	return c
}

// Name is the stack's name, for `onemore --stack NAME status`.
func (c *StackCluster) Name() string { return c.s.Name }

// Cluster is one cluster of the stack, by its name in the file.
func (c *StackCluster) Cluster(name string) *Cluster {
	c.t.Helper()
	one := c.clusters[name]
	if one == nil {
		c.t.Fatalf("the stack has no cluster %q", name)
	}
	return one
}

// Environ are the stack's variables, K=V, as `onemore env` has them.
func (c *StackCluster) Environ() []string {
	c.t.Helper()
	vars, err := c.s.Environment()
	if err != nil {
		c.t.Fatal(explain(err))
	}
	var out []string
	for _, v := range vars {
		out = append(out, v.Name+"="+v.Value)
	}
	return out
}
