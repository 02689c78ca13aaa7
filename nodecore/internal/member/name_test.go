package member

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckName(t *testing.T) {
	good := []string{
		"onemore1@127.0.0.1", "a@::1", "A_b-9@example.org", "x@n1.example.org", "x@10.0.0.1", "1@a.b",
		"x@xn--bcher-kva.example",
	}
	bad := []string{
		"", "onemore1", "@", "@127.0.0.1", "a@", "a@localhost", "a b@127.0.0.1", "é@127.0.0.1", "a@ü.example", "a@127.0.0.1:80",
		"a@256.1.1.1", "a@1.2.3", "a@b@127.0.0.1", "a.b@127.0.0.1", "a@-x.org", "a@x-.org", "a@x..org", "a@x.org.",
		"a\n@127.0.0.1", "a@127.0.0.1 ", "a@fe80::1%eth0", "日本@127.0.0.1",
		strings.Repeat("x", 200) + "@127.0.0.1", "a@" + strings.Repeat("x", 64) + ".org",
	}
	for _, s := range good {
		if err := CheckName(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range bad {
		if err := CheckName(s); err == nil {
			t.Errorf("%q passes as a node name", s)
		}
	}
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		in   string
		want Target
		bad  bool
	}{
		{in: "a@127.0.0.1", want: Target{"a@127.0.0.1", "127.0.0.1:7946"}},
		{in: "a@127.0.0.1:8946", want: Target{"a@127.0.0.1", "127.0.0.1:8946"}},
		{in: "a@n.example.org:1", want: Target{"a@n.example.org", "n.example.org:1"}},
		{in: "a@::1", want: Target{"a@::1", "[::1]:7946"}},
		{in: "a@[::1]:9", want: Target{"a@::1", "[::1]:9"}},
		{in: "a@127.0.0.1:0", bad: true},
		{in: "a@127.0.0.1:70000", bad: true},
		{in: "a@127.0.0.1:x", bad: true},
		{in: "a", bad: true},
		{in: "a:1", bad: true},
		{in: "a@localhost:7946", bad: true},
		{in: "", bad: true},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.in)
		if tt.bad != (err != nil) || got != tt.want {
			t.Errorf("%q: got %+v, %v", tt.in, got, err)
		}
	}
}

func TestGossipName(t *testing.T) {
	m := Member{Name: "a@127.0.0.1", ID: "0123", Boot: 99}
	got, err := parseGossipName(gossipName(m))
	if err != nil || got != m {
		t.Errorf("got %+v, %v; want %+v", got, err, m)
	}
	for _, s := range []string{"", "a@127.0.0.1", "a@127.0.0.1#x", "a@127.0.0.1#.1", "a@127.0.0.1#x.!"} {
		if _, err := parseGossipName(s); err == nil {
			t.Errorf("%q passes as a gossip name", s)
		}
	}
}

// Rosters that hear the same news agree, whatever the order.
func TestRosterMergesInAnyOrder(t *testing.T) {
	a1 := Member{Name: "a@h.x", ID: "1", Boot: 1, Addr: "127.0.0.1:1"}
	a2 := Member{Name: "a@h.x", ID: "1", Boot: 2, Addr: "127.0.0.1:2"}
	b := Member{Name: "b@h.x", ID: "2", Boot: 1}
	news := []rosterData{
		{Members: []Member{a1, b}}, {Members: []Member{a2}}, {Removed: []string{"2"}}, {Members: []Member{b}},
		{Members: []Member{a1}, Ended: map[string]uint64{"1": 1}}, {},
	}
	want := rosterData{Members: []Member{a2}, Removed: []string{"2"}, Ended: map[string]uint64{"1": 1}}
	for shift := range news {
		r := newRoster(rosterData{})
		for i := range news {
			r.merge(news[(i+shift)%len(news)])
		}
		if diff := cmp.Diff(want, r.data()); diff != "" {
			t.Errorf("order %d: (-want +got)\n%s", shift, diff)
		}
		if r.merge(want) {
			t.Errorf("order %d: old news changed something", shift)
		}
	}
}

func TestRosterRefuses(t *testing.T) {
	r := newRoster(rosterData{})
	for _, m := range []Member{
		{Name: "bad", ID: "1"}, {Name: "a@h.x"}, {Name: "a@h.x", ID: strings.Repeat("x", 100)},
	} {
		if r.put(m) {
			t.Errorf("took %+v", m)
		}
	}
}
