package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"onemore/launcher/internal/template"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawTemplate makes a template with listeners of all kinds.
func drawTemplate(t *rapid.T) *template.Template {
	var b strings.Builder
	b.WriteString("[node]\nname = \"n{{.NameIndex}}@{{.Host}}\"\nspread_address = true\n[start]\ncommand = [\"server\", \"{{.Name}}\"]\n")
	plain := []string{}
	for i := range rapid.IntRange(1, 8).Draw(t, "listeners") {
		name := fmt.Sprintf("l%d", i)
		fmt.Fprintf(&b, "[listeners.%s]\n", name)
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case kind == 0:
			fmt.Fprintf(&b, "derive = \"%d + number\"\n", rapid.IntRange(2000, 40000).Draw(t, "dist"))
		case kind <= 2 && len(plain) > 0:
			of := rapid.SampledFrom(plain).Draw(t, "of")
			fmt.Fprintf(&b, "derive = \"%s %s %d\"\n", of, rapid.SampledFrom([]string{"+", "-"}).Draw(t, "sign"), rapid.IntRange(1, 12000).Draw(t, "by"))
		default:
			fmt.Fprintf(&b, "port = %d\n", rapid.IntRange(1000, 64000).Draw(t, "port"))
			plain = append(plain, name)
		}
		fmt.Fprintf(&b, "protocols = %s\n", rapid.SampledFrom([]string{`["tcp"]`, `["udp"]`, `["tcp", "udp"]`}).Draw(t, "protocols"))
		if rapid.IntRange(0, 4).Draw(t, "any") == 0 {
			b.WriteString("bind = \"0.0.0.0\"\n")
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "shared") == 0 {
		fmt.Fprintf(&b, "[shared.s]\nport = %d\n", rapid.IntRange(1000, 64000).Draw(t, "shared port"))
	}
	tpl, err := template.Parse("random", []byte(b.String()))
	if err != nil {
		t.Fatalf("the drawn template is wrong: %v\n%s", err, b.String())
	}
	return tpl
}

func drawUsed(t *rapid.T) []Port {
	one := rapid.Custom(func(t *rapid.T) Port {
		return Port{
			Proto: rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "proto"),
			Host:  rapid.SampledFrom([]string{"127.0.0.1", "127.0.0.1", "0.0.0.0", "127.0.0.2", "::", "::1", "::ffff:127.0.0.1"}).Draw(t, "host"),
			Port:  rapid.IntRange(1000, 65535).Draw(t, "port"),
		}
	})
	return rapid.SliceOfN(one, 0, 200).Draw(t, "used")
}

func drawOptions(t *rapid.T) Options {
	o := Options{Cluster: "c", ID: "id", Dir: "/x/c"}
	for i := range rapid.OneOf(rapid.IntRange(1, 6), rapid.IntRange(1, 6), rapid.IntRange(1, 20), rapid.IntRange(1, 200)).Draw(t, "n") {
		o.Nodes = append(o.Nodes, i+1)
	}
	o.Spread = rapid.IntRange(0, 5).Draw(t, "spread") == 0
	o.Offset = rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 2000)).Draw(t, "offset")
	switch rapid.IntRange(0, 3).Draw(t, "base") {
	case 1:
		o.Base.Auto = true
	case 2:
		o.Base.Shift = rapid.IntRange(-500, 3000).Draw(t, "shift")
	}
	return o
}

// meets reports whether two addresses can't both have one port.
func meets(a, b string) bool {
	x, errA := netip.ParseAddr(a)
	y, errB := netip.ParseAddr(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return x.IsUnspecified() || y.IsUnspecified() || x.Unmap() == y.Unmap()
}

// portsOf are all ports of a plan, those of some nodes only if indices are given.
func portsOf(p *Plan, only ...int) []Port {
	var all []Port
	add := func(ls []Listener) {
		for _, l := range ls {
			for _, proto := range l.Protocols {
				all = append(all, Port{proto, l.Bind, l.Port})
			}
		}
	}
	if only == nil {
		add(p.Shared)
	}
	for _, n := range p.Nodes {
		wanted := only == nil
		for _, index := range only {
			wanted = wanted || index == n.Index
		}
		if wanted {
			add(n.Listeners)
		}
	}
	return all
}

func checkPorts(t *rapid.T, ports, used []Port) {
	type key struct {
		proto string
		port  int
	}
	seen := make(map[key][]string)
	for _, p := range used {
		seen[key{p.Proto, p.Port}] = append(seen[key{p.Proto, p.Port}], p.Host)
	}
	for _, p := range ports {
		if p.Port < 1 || p.Port > 65535 {
			t.Fatalf("port %d is none", p.Port)
		}
		k := key{p.Proto, p.Port}
		for _, host := range seen[k] {
			if meets(host, p.Host) {
				t.Fatalf("%s port %d on %s meets the same on %s", p.Proto, p.Port, p.Host, host)
			}
		}
		seen[k] = append(seen[k], p.Host)
	}
}

// checkError wants one of the two kinds of errors, and a port that really is used in a PortError.
func checkError(t *rapid.T, err error, used []Port) {
	if bad, ok := errors.AsType[*PortError](err); ok {
		for _, u := range used {
			if u.Proto == bad.Proto && u.Port == bad.Port && meets(u.Host, bad.Host) {
				return
			}
		}
		t.Fatalf("%v: nobody uses that port", err)
	}
	if _, ok := errors.AsType[*Refusal](err); !ok {
		t.Fatalf("error of an unknown kind %T: %v", err, err)
	}
}

func TestMakeHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tpl, o, used := drawTemplate(t), drawOptions(t), drawUsed(t)
		h := Host{Used: used, EphemeralLow: 32768, EphemeralHigh: 60999}
		p, err := Make(tpl, o, h)
		if err != nil {
			checkError(t, err, used)
			return
		}
		if again, err := Make(tpl, o, h); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("the same input gave another plan: %v\n%s", err, cmp.Diff(p, again))
		}
		checkPorts(t, portsOf(p), used)
		checkFirst(t, tpl, o, p)
		if o.Offset != 0 && p.Offset != o.Offset {
			t.Fatalf("offset %d was given, %d is used", o.Offset, p.Offset)
		}
		checkRoundTrip(t, p)
		checkAdding(t, tpl, p)
	})
}

// checkFirst wants the base ports at node 1 unless the options say otherwise.
func checkFirst(t *rapid.T, tpl *template.Template, o Options, p *Plan) {
	if o.Base.Auto {
		return
	}
	for i, l := range tpl.Listeners {
		if got := p.Nodes[0].Listeners[i].Port; l.Derive == "" && got != l.Port+o.Base.Shift {
			t.Fatalf("node 1 has %d for %s, want %d", got, l.Name, l.Port+o.Base.Shift)
		}
	}
}

func checkRoundTrip(t *rapid.T, p *Plan) {
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, &back) {
		t.Fatalf("the plan does not survive JSON:\n%s", cmp.Diff(p, &back))
	}
}

// checkAdding adds nodes to a formed cluster that runs, so that its own ports are in use.
func checkAdding(t *rapid.T, tpl *template.Template, p *Plan) {
	formed := *p
	if len(formed.Nodes) > 1 && rapid.Bool().Draw(t, "one was removed") {
		at := rapid.IntRange(0, len(formed.Nodes)-1).Draw(t, "removed")
		formed.Nodes = append(append([]Node(nil), formed.Nodes[:at]...), formed.Nodes[at+1:]...)
	}
	others := drawUsed(t)
	var add []int
	for i := 1; len(add) < 3; i++ {
		if formed.node(i) == nil {
			add = append(add, i)
		}
	}
	h := Host{Used: append(portsOf(&formed), others...), EphemeralLow: 32768, EphemeralHigh: 60999}
	more, err := Make(tpl, Options{Formed: &formed, Nodes: add}, h)
	if err != nil {
		checkError(t, err, others)
		return
	}
	if len(more.Nodes) != len(formed.Nodes)+len(add) {
		t.Fatalf("%d nodes and %d more are %d", len(formed.Nodes), len(add), len(more.Nodes))
	}
	checkPorts(t, portsOf(more), nil)
	checkPorts(t, portsOf(more, add...), h.Used)
	for _, n := range formed.Nodes {
		if !reflect.DeepEqual(n, *more.node(n.Index)) {
			t.Fatalf("adding changed node %d:\n%s", n.Index, cmp.Diff(n, *more.node(n.Index)))
		}
	}
	checkRoundTrip(t, more)
}
