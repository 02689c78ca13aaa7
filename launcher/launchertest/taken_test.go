package launchertest_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"onemore/launcher"
)

// TestPortOfAConnection: the near end of a connection keeps its port from being bound, and no list of listening sockets
// shows it. The plan that meets it is made anew without that port.
func TestPortOfAConnection(t *testing.T) {
	t.Setenv("ONEMORE_HOME", t.TempDir())
	o := launcher.Options{Cluster: "taken", Count: 2, Base: "auto"}
	p, err := launcher.DryRun(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	port := p.Nodes[1].Listeners[0].Port
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
	conn, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Skipf("somebody else has port %d by now: %v", port, err)
	}
	defer conn.Close()
	c, st, err := launcher.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(context.WithoutCancel(t.Context()), false); err != nil {
			t.Error(err)
		}
	})
	for _, n := range st.Nodes {
		for name, addr := range n.Listeners {
			if _, has, _ := net.SplitHostPort(addr); has == strconv.Itoa(port) {
				t.Errorf("listener %s of node %d is on %s, which is a connection's", name, n.Index, addr)
			}
		}
	}
}
