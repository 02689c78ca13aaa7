// Package launchertest gives Go tests real clusters. The test binary is its own keeper and, for the built-in server, its own
// node: nothing needs to be installed.
//
//	func TestMain(m *testing.M) { launchertest.Main(m) }
//
//	func TestOrders(t *testing.T) {
//		c := launchertest.Up(t, 3, launchertest.Options{})
//		connect(c.Node(1).Addr("mqtt"))
//		c.Node(2).Kill()
//	}
//
// The test process owns its clusters: they go down with t.Cleanup, and also when the test binary panics, times out or is killed.
// This package is not for use outside of tests; package launcher is.
//
// Start at Main and Up.
package launchertest

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"onemore/launcher"
)

// Options say what kind of cluster; the zero value is the built-in server on free ports.
type Options struct {
	Template string            // as `onemore up -t`
	Source   string            // node directory to copy
	Base     string            // "" is "auto": free ports
	Env      map[string]string // of every node
	Params   map[string]string // the template's own settings
	Join     string
	Timeout  time.Duration // of every operation; 0 is a minute
	Verbose  bool          // log every event
}

// Cluster is a running cluster, bound to one test: an operation that fails ends that test.
type Cluster struct {
	t testing.TB
	c *launcher.Cluster
	o Options
}

// Up brings up a cluster of n nodes that all see each other. It is taken down when the test ends; when the test failed,
// the nodes' logs are in its output first.
func Up(t testing.TB, n int, o Options) *Cluster {
	t.Helper()
	c, release, err := start(t.Context(), t, n, o)
	if err != nil {
		t.Fatal(explain(err))
	}
	t.Cleanup(func() {
		c.logsOfFailure(time.Time{})
		if err := end(c.c, release); err != nil {
			t.Error(explain(err))
		}
	})
	return c
}

// start brings up a cluster that this process owns, under a unique name.
func start(ctx context.Context, t testing.TB, n int, o Options) (*Cluster, func(), error) {
	if o.Base == "" {
		o.Base = "auto"
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	opts := launcher.Options{Cluster: launcher.UniqueName("test"), Template: o.Template, Source: o.Source, Count: n, Base: o.Base, Env: o.Env,
		Params: o.Params, Join: o.Join, Timeout: o.Timeout}
	if o.Verbose && t != nil {
		opts.Progress = func(e launcher.Event) { t.Logf("node %d %s %s", e.Node, e.Phase, e.Text) }
	}
	c, _, own, err := launcher.UpOwned(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	return &Cluster{t: t, c: c, o: o}, own.Release, nil
}

// end takes the cluster down and reports errors, which release, by which it would go down too, does not.
func end(c *launcher.Cluster, release func()) error {
	defer release()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.Down(ctx, false)
}

// explain is an error with the log lines and the folder of logs that it has.
func explain(err error) string {
	s := err.Error()
	if f, ok := err.(*launcher.Failure); ok { // launcher returns it unwrapped
		for _, l := range f.Log {
			s += "\n  | " + l
		}
		if f.Logs != "" {
			s += "\nlogs: " + f.Logs
		}
	}
	return s
}

// logsOfFailure puts the last lines since then of every node into the output of a test that failed.
func (c *Cluster) logsOfFailure(since time.Time) {
	if !c.t.Failed() {
		return
	}
	const most = 50
	lines := map[int][]string{}
	err := c.c.Logs(context.Background(), launcher.LogOptions{Since: since}, func(l launcher.LogLine) bool {
		got := append(lines[l.Node], l.Time.Format("15:04:05.000 ")+l.Text)
		lines[l.Node] = got[max(0, len(got)-most):]
		return true
	})
	if err != nil {
		c.t.Logf("read the nodes' logs: %v", err)
	}
	for _, n := range c.Nodes() {
		c.t.Logf("log of node %s:\n%s", n.Name(), strings.Join(lines[n.Index], "\n"))
	}
}

// Name is the cluster's name, for `onemore -c NAME status`.
func (c *Cluster) Name() string { return c.c.Name() }

// Status observes the cluster.
func (c *Cluster) Status() *launcher.Status {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	st, err := c.c.Status(ctx)
	c.must(err)
	return st
}

// Addrs are the addresses of one listener of all nodes, HOST:PORT, in order of the nodes.
func (c *Cluster) Addrs(listener string) []string {
	c.t.Helper()
	var out []string
	for _, n := range c.Nodes() {
		out = append(out, n.Addr(listener))
	}
	return out
}

// Environ are the cluster's addresses as environment variables, K=V, as `onemore env` has them.
func (c *Cluster) Environ() []string {
	c.t.Helper()
	var out []string
	for _, v := range launcher.Environment(c.plan()) {
		out = append(out, v.Name+"="+v.Value)
	}
	return out
}

// Nodes are the cluster's nodes, running or not.
func (c *Cluster) Nodes() []*Node {
	c.t.Helper()
	var out []*Node
	for _, n := range c.plan().Nodes {
		out = append(out, &Node{Index: n.Index, c: c})
	}
	return out
}

// Node is the node with that number; the first is 1.
func (c *Cluster) Node(index int) *Node {
	c.t.Helper()
	n := &Node{Index: index, c: c}
	n.plan() // fails the test when there is none
	return n
}

// Add adds k nodes and returns them.
func (c *Cluster) Add(k int) []*Node {
	c.t.Helper()
	existed := map[int]bool{}
	for _, n := range c.Nodes() {
		existed[n.Index] = true
	}
	ctx, cancel := c.context()
	defer cancel()
	_, err := c.c.Add(ctx, k)
	c.must(err)
	var out []*Node
	for _, n := range c.Nodes() {
		if !existed[n.Index] {
			out = append(out, n)
		}
	}
	return out
}

// Stop stops all nodes; data, ports and names stay.
func (c *Cluster) Stop() { c.t.Helper(); c.do(c.c.Stop) }

// Start starts all stopped nodes and waits until the cluster has settled.
func (c *Cluster) Start() { c.t.Helper(); c.do(c.c.Start) }

// RollingRestart restarts one node after the other, with the cluster settled in between.
func (c *Cluster) RollingRestart() {
	c.t.Helper()
	c.do(func(ctx context.Context, nodes ...int) (*launcher.Status, error) {
		return c.c.Restart(ctx, true, nodes...)
	})
}

// WaitSettled returns when every running node itself says that it sees all running ones.
func (c *Cluster) WaitSettled(ctx context.Context) {
	c.t.Helper()
	c.must(c.c.WaitSettled(ctx))
}

// WaitLog returns when a node has printed a line that matches the regular expression, since its last start or later.
func (c *Cluster) WaitLog(ctx context.Context, pattern string) launcher.LogLine {
	c.t.Helper()
	line, err := c.c.WaitLog(ctx, pattern)
	c.must(err)
	return line
}

func (c *Cluster) plan() *launcher.Plan {
	c.t.Helper()
	p, err := c.c.Plan()
	c.must(err)
	return p
}

// do runs one operation on some nodes.
func (c *Cluster) do(op func(context.Context, ...int) (*launcher.Status, error), nodes ...int) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	_, err := op(ctx, nodes...)
	c.must(err)
}

// context bounds one operation. It is not the test's own, which ends before its cleanups run.
func (c *Cluster) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.o.Timeout)
}

// must ends the test if there is an error.
func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(explain(err))
	}
}

// Node is one node of a cluster.
type Node struct {
	Index int
	c     *Cluster
}

// Name is the node's name, as its server has it.
func (n *Node) Name() string { n.c.t.Helper(); return n.plan().Name }

// Dir is the node's own directory.
func (n *Node) Dir() string { n.c.t.Helper(); return n.plan().Dir }

// Addr is HOST:PORT of a listener.
func (n *Node) Addr(listener string) string {
	n.c.t.Helper()
	for _, l := range n.plan().Listeners {
		if l.Name == listener {
			return net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
		}
	}
	n.c.t.Fatalf("node %d has no listener %q", n.Index, listener)
	return ""
}

// URL is what a client is given for a listener, such as mqtt://127.0.0.1:1883.
func (n *Node) URL(listener string) string {
	n.c.t.Helper()
	for _, l := range n.plan().Listeners {
		if l.Name == listener && l.URL != "" {
			return l.URL
		}
	}
	return n.Addr(listener)
}

// PID is the node's process, 0 when it does not run.
func (n *Node) PID() int {
	n.c.t.Helper()
	for _, s := range n.c.Status().Nodes {
		if s.Index == n.Index {
			return s.PID
		}
	}
	return 0
}

// Kill kills the node with SIGKILL, as a crash would; it returns when the process is gone.
func (n *Node) Kill() { n.c.t.Helper(); n.c.do(n.c.c.Kill, n.Index) }

// Stop stops the node as its server wants to be stopped.
func (n *Node) Stop() { n.c.t.Helper(); n.c.do(n.c.c.Stop, n.Index) }

// Start starts the stopped node and waits until the cluster has settled.
func (n *Node) Start() { n.c.t.Helper(); n.c.do(n.c.c.Start, n.Index) }

// Pause freezes the node's processes where they are.
func (n *Node) Pause() { n.c.t.Helper(); n.c.do(n.c.c.Pause, n.Index) }

// Resume lets the paused node go on and waits until the cluster has settled.
func (n *Node) Resume() { n.c.t.Helper(); n.c.do(n.c.c.Resume, n.Index) }

// Remove lets the node leave the cluster, and removes it.
func (n *Node) Remove() { n.c.t.Helper(); n.c.do(n.c.c.Remove, n.Index) }

func (n *Node) plan() launcher.NodePlan {
	n.c.t.Helper()
	for _, p := range n.c.plan().Nodes {
		if p.Index == n.Index {
			return p
		}
	}
	n.c.t.Fatalf("the cluster has no node %d", n.Index)
	return launcher.NodePlan{}
}

// Shared is one cluster for all tests of a package; see Main.
type Shared struct {
	Nodes   int
	Options Options
	cluster *Cluster
}

// For binds the shared cluster to one test, which must leave it as it found it. When the test fails, what the nodes logged
// meanwhile is in its output.
func (s *Shared) For(t testing.TB) *Cluster {
	t.Helper()
	if s.cluster == nil {
		t.Fatal("the shared cluster was not given to launchertest.Main")
	}
	c := &Cluster{t: t, c: s.cluster.c, o: s.cluster.o}
	began := time.Now()
	t.Cleanup(func() { c.logsOfFailure(began) })
	return c
}
