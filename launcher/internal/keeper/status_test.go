package keeper

import (
	"net/netip"
	"testing"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

func TestClusterState(t *testing.T) {
	up := func(members int) control.NodeStatus {
		return control.NodeStatus{State: control.Running, PID: 7, Members: members}
	}
	down := control.NodeStatus{State: control.Stopped}
	for _, c := range []struct {
		name  string
		nodes []control.NodeStatus
		want  control.State
	}{
		{"all see all", []control.NodeStatus{up(2), up(2)}, control.Running},
		{"one sees fewer", []control.NodeStatus{up(2), up(1)}, control.Degraded},
		{"one does not answer", []control.NodeStatus{up(2), up(0)}, control.Degraded},
		{"one is stopped", []control.NodeStatus{up(1), down}, control.Degraded},
		{"one crashed", []control.NodeStatus{up(1), {State: control.Exited}}, control.Degraded},
		{"one is paused", []control.NodeStatus{up(2), {State: control.Paused, PID: 8}}, control.Degraded},
		{"all are stopped", []control.NodeStatus{down, {State: control.Exited}}, control.Stopped},
		{"one is starting", []control.NodeStatus{up(2), {State: control.Starting, PID: 8}}, control.Starting},
		{"no way to ask", []control.NodeStatus{up(control.MembersUnknown), up(control.MembersUnknown)}, control.Running},
	} {
		if got := clusterState(c.nodes); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestServes(t *testing.T) {
	l := plan.Listener{Host: "127.0.0.1", Bind: "127.0.0.1", Port: 1883}
	everywhere := plan.Listener{Host: "127.0.0.1", Bind: "0.0.0.0", Port: 4371}
	socket := func(host string, listening bool) ports.Socket {
		return ports.Socket{Proto: ports.TCP, Host: netip.MustParseAddr(host), Port: 1883, Listening: listening}
	}
	for _, c := range []struct {
		name string
		s    ports.Socket
		l    plan.Listener
		want bool
	}{
		{"its own address", socket("127.0.0.1", true), l, true},
		{"every address", socket("0.0.0.0", true), l, true},
		{"every address, IPv6", socket("::", true), l, true},
		{"another address", socket("127.0.0.2", true), l, false},
		{"only bound", socket("127.0.0.1", false), l, false},
		{"one address of all", socket("127.0.0.1", true), everywhere, true},
	} {
		if got := serves(c.s, c.l); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestStartScript(t *testing.T) {
	if got, want := quote(`a'b c`), `'a'\''b c'`; got != want {
		t.Errorf("quote: got %s, want %s", got, want)
	}
}
