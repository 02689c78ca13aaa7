package plan

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"onemore/launcher/internal/template"

	"github.com/google/go-cmp/cmp"
)

// speaking is a template in which every kind of call says what it sees.
const speaking = `
[node]
name = "n{{.NameIndex}}@{{.Host}}"
[listeners.a]
port = 4222
[listeners.b]
port = 6222
[shared.s]
port = 4369
[[service]]
command = ["daemon", "-port", '{{.Shared "s"}}']
[params.size]
default = "2"
match = "[0-9]+"
[start]
command = ["server", "{{range .Others}}--peer={{.Addr \"b\"}}{{next}}{{end}}", "{{if .Adding}}--existing{{end}}", "--n={{.N}}", ""]
[environment]
SEEDS = "{{range .Seeds}}{{.Name}} {{end}}"
SIZE = "{{mul (int .Param.size) 10}}"
[join]
default = "command"
[[join.command.call]]
exec = ["ctl", "join", "{{.Peer.Name}}"]
[[form]]
exec = ["ctl", "init"]
on = "first"
[[form]]
exec = ["ctl", "meet", "{{.First.Name}}"]
when = "{{ne .Index 1}}"
[[add.before]]
exec = ["ctl", "announce", "{{.Name}}"]
on = "peer"
[[add.after]]
exec = ["ctl", "balance", "{{.Peer.Name}}"]
[members.call]
exec = ["ctl", "list"]
count = "node"
[[leave]]
exec = ["ctl", "leave", "{{.Peer.Name}}"]
on = "peer"
`

func speak(t *testing.T) *template.Template {
	t.Helper()
	tpl, err := template.Parse("speaking", []byte(speaking))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// lines are calls as "3: ctl join n1", the node in whose directory they run first.
func lines(calls []Call) []string {
	var out []string
	for _, c := range calls {
		out = append(out, strings.Join(append([]string{string(rune('0'+c.Node)) + ":"}, c.Exec...), " "))
	}
	return out
}

func TestNewCluster(t *testing.T) {
	p, err := Make(speak(t), options(2), Host{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := p.Nodes[0], p.Nodes[1]
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"command", first.Command, []string{"server", "--peer=127.0.0.1:7222", "--n=2", ""}},
		{"command", second.Command, []string{"server", "--peer=127.0.0.1:6222", "--n=2", ""}},
		{"environment", second.Env, []string{"SEEDS=n1@127.0.0.1 n2@127.0.0.1 ", "SIZE=20"}},
		{"join of the first", lines(first.Join), nil},
		{"join", lines(second.Join), []string{"2: ctl join n1@127.0.0.1"}},
		{"form", lines(first.Form), []string{"1: ctl init"}},
		{"form", lines(second.Form), []string{"2: ctl meet n1@127.0.0.1"}},
		{"before", lines(second.Before), nil},
		{"leave", lines(first.Leave), []string{"2: ctl leave n2@127.0.0.1"}},
		{"leave", lines(second.Leave), []string{"1: ctl leave n1@127.0.0.1"}},
		{"service", p.Services[0].Command, []string{"daemon", "-port", "4369"}},
		{"service environment", p.Services[0].Env, nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s:\n%s", c.what, diff)
		}
	}
	if got := p.Shared[0]; got.Port != 4369 || got.Host != DefaultHost {
		t.Errorf("shared listener %+v", got)
	}
}

func TestSingleNodeHasNoPeer(t *testing.T) {
	p, err := Make(speak(t), options(1), Host{})
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Nodes[0]; n.Leave != nil || n.Join != nil {
		t.Errorf("a single node leaves %v and joins %v", n.Leave, n.Join)
	}
}

func TestAdd(t *testing.T) {
	tpl := speak(t)
	two, err := Make(tpl, options(2), Host{})
	if err != nil {
		t.Fatal(err)
	}
	busy := Host{Used: used(4222, 6222, 5222, 7222, 4369)} // the cluster itself
	four, err := Make(tpl, Options{Formed: two, Nodes: []int{1, 2, 3, 4}, Acting: []int{2}}, busy)
	if err != nil {
		t.Fatal(err)
	}
	// 4222 + 2000 is what node 1 has: node 3 gives method.
	if got, want := layoutText(four), "4222 6222 | 5222 7222 | 6223 8223 | 7223 9223"; got != want {
		t.Errorf("ports %s, want %s", got, want)
	}
	if len(four.Notes) != 2 || four.Notes[0] != `offset 1000: tcp port 6222 would be given to listener "b" of node 1 and to listener "a" of node 3; the ports of node 3 are moved by +1` {
		t.Errorf("notes %q", four.Notes)
	}
	n := four.node(4)
	if !n.Added || n.Form != nil {
		t.Errorf("node 4: added %v, form %v", n.Added, n.Form)
	}
	for _, c := range []struct{ got, want []string }{
		{n.Command, []string{"server", "--peer=127.0.0.1:6222", "--peer=127.0.0.1:7222", "--peer=127.0.0.1:8223", "--existing", "--n=4", ""}},
		{four.node(3).Command, []string{"server", "--peer=127.0.0.1:6222", "--peer=127.0.0.1:7222", "--existing", "--n=3", ""}},
		{n.Env, []string{"SEEDS=n2@127.0.0.1 ", "SIZE=20"}},
		{lines(n.Join), []string{"4: ctl join n2@127.0.0.1"}},
		{lines(n.Before), []string{"2: ctl announce n4@127.0.0.1"}},
		{lines(n.After), []string{"4: ctl balance n2@127.0.0.1"}},
		{lines(four.node(1).Leave), []string{"2: ctl leave n2@127.0.0.1"}},
		{lines(four.node(2).Leave), nil}, // nobody else acts
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAddTakesARemovedPlace(t *testing.T) {
	tpl := speak(t)
	three, err := Make(tpl, options(3), Host{})
	if err != nil {
		t.Fatal(err)
	}
	rest := *three
	rest.Nodes = slices.Clone(three.Nodes[1:])
	again, err := Make(tpl, Options{Formed: &rest, Nodes: []int{1}}, Host{})
	if err != nil {
		t.Fatal(err)
	}
	n := again.Nodes[0]
	if n.Index != 1 || !reflect.DeepEqual(n.Listeners, three.Nodes[0].Listeners) {
		t.Errorf("node %d has %+v, want those of the old node 1", n.Index, n.Listeners)
	}
	// It is no founder now: it asks the members.
	if got := lines(n.Join); !slices.Equal(got, []string{"1: ctl join n2@127.0.0.1"}) || !slices.Contains(n.Env, "SEEDS=n2@127.0.0.1 n3@127.0.0.1 ") {
		t.Errorf("join %v, environment %v", got, n.Env)
	}
}

func TestAddKeepsAGivenOffset(t *testing.T) {
	tpl := speak(t)
	o := options(2)
	o.Offset = 1000
	two, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Make(tpl, Options{Formed: two, Nodes: []int{3}}, Host{})
	if _, ok := errors.AsType[*Refusal](err); !ok || !strings.Contains(err.Error(), "tcp port 6222") {
		t.Errorf("error %v", err)
	}
}

func TestAddTooMany(t *testing.T) {
	tpl := speak(t)
	two, err := Make(tpl, options(2), Host{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Make(tpl, Options{Formed: two, Nodes: upTo(100000)}, Host{})
	if err == nil || !strings.Contains(err.Error(), "100000 nodes with 2 ports each don't fit") {
		t.Errorf("error %v", err)
	}
	o := options(2)
	o.Offset = 20000
	if two, err = Make(tpl, o, Host{}); err != nil {
		t.Fatal(err)
	}
	two.Options.Offset = 0
	two.Options.Node = map[int]NodeOptions{5: {Set: map[string]int{"a": 4222}}}
	_, err = Make(tpl, Options{Formed: two, Nodes: []int{5}}, Host{})
	if err == nil || !strings.Contains(err.Error(), "there is no place left for a node: ") {
		t.Errorf("error %v", err)
	}
}

func TestAddKeepsWhatWasChosen(t *testing.T) {
	tpl := speak(t)
	o := options(2)
	o.Set, o.Params, o.Env = map[string]int{"a": 5000}, map[string]string{"size": "7"}, map[string]string{"X": "1"}
	o.Base.Auto = true
	two, err := Make(tpl, o, Host{Used: used(6222)})
	if err != nil {
		t.Fatal(err)
	}
	three, err := Make(tpl, Options{Formed: two, Nodes: []int{3}, Env: map[string]string{"Y": "2"}, Set: map[string]int{"a": 1}}, Host{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := layoutText(three), "5000 6232 | 6000 7232 | 7000 8232"; got != want {
		t.Errorf("ports %s, want %s", got, want)
	}
	if env := three.node(3).Env; !slices.Contains(env, "X=1") || !slices.Contains(env, "Y=2") || !slices.Contains(env, "SIZE=70") {
		t.Errorf("environment %v", env)
	}
}

func TestNumberIn(t *testing.T) {
	for name, want := range map[string]int{
		"emqx12@127.0.0.1": 12, "emqx@127.0.0.1": 0, "a1b@h": 0, "7@h": 7, "n3": 3, "": 0, "x99999999999999999999@h": 0, "a1@h2": 1,
	} {
		if got := NumberIn(name); got != want {
			t.Errorf("NumberIn(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestParseBase(t *testing.T) {
	for in, want := range map[string]Base{"": {}, "0": {}, "auto": {Auto: true}, "10000": {Shift: 10000}, "-5": {Shift: -5}} {
		got, err := ParseBase(in)
		if err != nil || got != want {
			t.Errorf("ParseBase(%q) = %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"x", "1.5", "70000", "auto "} {
		if got, err := ParseBase(in); err == nil {
			t.Errorf("ParseBase(%q) = %+v, want an error", in, got)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	tpl, err := template.Parse("speaking", []byte(speaking))
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{3, 100} {
		b.Run(map[int]string{3: "3", 100: "100"}[n], func(b *testing.B) {
			h := Host{EphemeralLow: 32768, EphemeralHigh: 60999}
			for i := range 1000 {
				h.Used = append(h.Used, Port{"tcp", "127.0.0.1", 33000 + i})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Make(tpl, options(n), h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
