package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

func TestClusterState(t *testing.T) {
	up := func(members int) NodeStatus { return NodeStatus{State: Running, PID: 7, Members: members} }
	down := NodeStatus{State: Stopped}
	for _, c := range []struct {
		name  string
		nodes []NodeStatus
		want  State
	}{
		{"all see all", []NodeStatus{up(2), up(2)}, Running},
		{"one sees fewer", []NodeStatus{up(2), up(1)}, Degraded},
		{"one does not answer", []NodeStatus{up(2), up(0)}, Degraded},
		{"one is stopped", []NodeStatus{up(1), down}, Degraded},
		{"one crashed", []NodeStatus{up(1), {State: Exited}}, Degraded},
		{"one is paused", []NodeStatus{up(2), {State: Paused, PID: 8}}, Degraded},
		{"all are stopped", []NodeStatus{down, {State: Exited}}, Stopped},
		{"one is starting", []NodeStatus{up(2), {State: Starting, PID: 8}}, Starting},
		{"no way to ask", []NodeStatus{up(MembersUnknown), up(MembersUnknown)}, Running},
	} {
		if got := clusterState(c.nodes); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAsError(t *testing.T) {
	if e := asError(fmt.Errorf("wait: %w", errGone)); !e.Interrupted || e.Why != "wait: interrupted" {
		t.Errorf("a client that went away: got %+v", e)
	}
	inner := &Error{Name: "a@h", Phase: "start", Why: "no"}
	if e := asError(fmt.Errorf("up: %w", inner)); e != inner {
		t.Errorf("an error with evidence was wrapped: %+v", e)
	}
	if e := asError(errTaken); !e.Busy {
		t.Errorf("another keeper: got %+v", e)
	}
	if e := asError(errors.New("x")); e.Busy || e.Interrupted || e.Why != "x" {
		t.Errorf("any other: got %+v", e)
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
