package nodecore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// memberlist doesn't wait for its probes when it is shut down; they end by their own timers.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probe"),
	)
}

// patience bounds every wait of these tests; it is never reached in a good run.
const patience = 60 * time.Second

// testConfig is a configuration on free loopback ports.
func testConfig(t *testing.T, part string) Config {
	t.Helper()
	c := DefaultConfig(t.TempDir())
	c.Node.Name = part + "@127.0.0.1"
	c.Cluster.Bind = "127.0.0.1:0"
	c.Cluster.Secret = "a secret of the tests"
	for _, l := range c.listeners() {
		l.Bind = "127.0.0.1:0"
	}
	if os.Getenv("NODE_TEST_LOG") != "" {
		c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", part)
	}
	return c
}

func open(t *testing.T, c Config) *Node {
	t.Helper()
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// keepPorts makes a configuration's ports those that the node got, for another start.
func keepPorts(c Config, n *Node) Config {
	c.Cluster.Bind = n.Addr("cluster")
	for name, l := range c.listeners() {
		l.Bind = n.Addr(name)
	}
	return c
}

// eventually polls a condition until it returns nil.
func eventually(t *testing.T, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %v", err)
		}
	}
}

// sees waits until the node's members are as given.
func sees(t *testing.T, n *Node, running, stopped string) {
	t.Helper()
	eventually(t, func() error {
		s := n.Status()
		r, st := short(s.RunningNodes), short(s.StoppedNodes)
		if r == running && st == stopped {
			return nil
		}
		return fmt.Errorf("%s sees running %q, stopped %q; want %q and %q", s.Name, r, st, running, stopped)
	})
}

func short(names []string) string {
	return strings.ReplaceAll(strings.Join(names, " "), "@127.0.0.1", "")
}

// target is how ctl names a node.
func target(n *Node) string {
	_, port, _ := strings.Cut(n.Addr("cluster"), ":")
	return n.cfg.Node.Name + ":" + port
}

// write puts a node directory's configuration file in place.
func write(t *testing.T, dir, text string) {
	t.Helper()
	path := filepath.Join(dir, ConfigFile)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}
