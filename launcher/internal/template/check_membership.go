package template

import (
	"fmt"
	"strings"
)

// checkRefresh sees to it that each step is exactly one of a call, a signal and a restart.
func (t *checker) checkRefresh() {
	for i := range t.Refresh {
		r, key := &t.Refresh[i], fmt.Sprintf("refresh[%d]", i)
		if r.ways()+countTrue(r.Signal != "", r.Restart) != 1 {
			t.found.add(key, "give exactly one of http, tcp, exec, signal = \"HUP\" and restart = true")
		}
		if r.Signal != "" {
			checkOneOf(t.found, key+".signal", r.Signal, signalNames...)
		}
	}
}

// checkMembership looks for steps that a cluster which keeps its nodes never takes.
func (t *checker) checkMembership() {
	if t.Membership == "" {
		t.Membership = "open"
	}
	checkOneOf(t.found, "membership", t.Membership, "open", "fixed")
	if t.Membership != "fixed" {
		return
	}
	for _, never := range [...]struct {
		key   string
		given bool
	}{
		{"add", len(t.Add.Before)+len(t.Add.After) > 0}, {"leave", len(t.Leave) > 0}, {"refresh", len(t.Refresh) > 0},
	} {
		if never.given {
			t.found.add(never.key, `is never used with membership = "fixed": no node is added or removed; leave one of them out`)
		}
	}
}

// checkStopped wants calls that are made when a node has stopped to ask another one.
func checkStopped(found *problems, key string, c *Call) {
	switch {
	case !c.Stopped:
	case !strings.HasPrefix(key, "leave["):
		found.add(key+".stopped", "goes with [[leave]] only")
	case c.On != "peer":
		found.add(key+".stopped", `the node has stopped by then; ask another one with on = "peer"`)
	}
}
