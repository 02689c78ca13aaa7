package launchertest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onemore/launcher/launchertest"
)

var shared = launchertest.Shared{Nodes: 2}

func TestMain(m *testing.M) {
	os.Setenv("ONEMORE_HOME", filepath.Join(os.TempDir(), "onemore-launchertest")) // the user's clusters are none of ours
	launchertest.Main(m, &shared)
}

func TestCluster(t *testing.T) {
	c := launchertest.Up(t, 3, launchertest.Options{})
	if got := c.Addrs("mqtt"); len(got) != 3 {
		t.Fatalf("addresses: got %v, want three", got)
	}
	for _, addr := range c.Addrs("mqtt") {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if got, want := c.Node(2).URL("mqtt"), "mqtt://"+c.Node(2).Addr("mqtt"); got != want {
		t.Errorf("URL: got %s, want %s", got, want)
	}
	c.Node(2).Kill()
	if got := c.Status().State; got != "degraded" {
		t.Errorf("after a kill: got %s, want degraded", got)
	}
	if pid := c.Node(2).PID(); pid != 0 {
		t.Errorf("after a kill the node has pid %d", pid)
	}
	c.Node(2).Start()
	c.Node(3).Pause()
	if got := c.Status().Nodes[2].State; got != "paused" {
		t.Errorf("after a pause: got %s", got)
	}
	c.Node(3).Resume()
	added := c.Add(1)
	if len(added) != 1 || added[0].Index != 4 {
		t.Fatalf("added: got %v, want node 4", added)
	}
	c.Node(1).Remove()
	c.RollingRestart()
	c.WaitSettled(t.Context())
	st := c.Status()
	if st.State != "running" || len(st.Nodes) != 3 {
		t.Errorf("at the end: %s with %d nodes, want running with 3", st.State, len(st.Nodes))
	}
	c.WaitLog(t.Context(), "msg=ready")
}

func TestParallel(t *testing.T) {
	for _, name := range []string{"a", "b", "c", "d"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := launchertest.Up(t, 2, launchertest.Options{})
			if got := c.Status().State; got != "running" {
				t.Errorf("got %s, want running", got)
			}
		})
	}
}

func TestShared(t *testing.T) {
	c := shared.For(t)
	if got := len(c.Nodes()); got != 2 {
		t.Errorf("shared cluster: got %d nodes, want 2", got)
	}
	if env := strings.Join(c.Environ(), "\n"); !strings.Contains(env, "ONEMORE_1_MQTT="+c.Node(1).Addr("mqtt")) {
		t.Errorf("environment lacks node 1's mqtt:\n%s", env)
	}
}
