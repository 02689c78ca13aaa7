package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"onemore/launcher/internal/template"
)

const head = "[node]\nname = \"%s\"\nspread_address = true\n[start]\ncommand = [\"server\"]\n"

// parse makes a template of listeners, such as "client port=4222; bus derive=client + 10000; dist derive=4370 + number @0.0.0.0".
func parse(t *testing.T, name, listeners string, more ...string) *template.Template {
	t.Helper()
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(head, "%s", name))
	for one := range strings.SplitSeq(listeners, ";") {
		listener, rest, _ := strings.Cut(strings.TrimSpace(one), " ")
		rest, bind, _ := strings.Cut(rest, "@")
		key, value, _ := strings.Cut(strings.TrimSpace(rest), "=")
		if key == "derive" {
			value = `"` + value + `"`
		}
		b.WriteString("[listeners." + listener + "]\n" + key + " = " + value + "\nbind = \"" + bind + "\"\n")
	}
	tpl, err := template.Parse("server", []byte(b.String()+strings.Join(more, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func upTo(n int) []int {
	var list []int
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

func options(n int) Options { return Options{Cluster: "c", ID: "id", Dir: "/x", Nodes: upTo(n)} }

func used(ports ...int) (list []Port) {
	for _, p := range ports {
		list = append(list, Port{"tcp", "127.0.0.1", p})
	}
	return list
}

// layoutText writes the ports of a plan as "1883 8883 | 2883 9883".
func layoutText(p *Plan) string {
	var nodes []string
	for _, n := range p.Nodes {
		var ports []string
		for _, l := range n.Listeners {
			port := fmt.Sprint(l.Port)
			if n.Host != DefaultHost {
				port = n.Host + ":" + port
			}
			ports = append(ports, port)
		}
		nodes = append(nodes, strings.Join(ports, " "))
	}
	return strings.Join(nodes, " | ")
}

func TestPorts(t *testing.T) {
	const eph = 32768
	tests := []struct {
		name      string
		listeners string
		options   func(o *Options)
		n         int
		used      []Port
		want      string
		note      string
	}{
		{name: "the default step", listeners: "a port=1883; b port=8083", n: 3, want: "1883 8083 | 2883 9083 | 3883 10083"},
		{name: "one node", listeners: "a port=1883", n: 1, want: "1883"},
		{name: "solved when the step meets itself", listeners: "client port=4222; cluster port=6222", n: 3,
			want: "4222 6222 | 5223 7223 | 6224 8224", note: `offset 1000: tcp port 6222 would be given to listener "cluster" of node 1 and to listener "client" of node 3; offset 1001 is used`},
		{name: "a derived port follows", listeners: "a port=6379; bus derive=a + 10000", n: 2, want: "6379 16379 | 7379 17379"},
		{name: "a derived port may come first", listeners: "bus derive=a + 1; a port=100", n: 2, want: "101 100 | 1101 1100"},
		{name: "numbers are not moved by the step", listeners: "dist derive=4370 + number @0.0.0.0; rpc derive=5370+number", n: 2, want: "4371 5371 | 4372 5372"},
		{name: "index", listeners: "a port=100; b derive=9000 - index", n: 2, want: "100 8999 | 1100 8998"},
		{name: "the step is solved around a used port", listeners: "a port=1883", n: 2, used: used(2883),
			want: "1883 | 2884", note: "tcp port 2883, for listener \"a\" of node 2, is in use; offset 1001 is used"},
		{name: "a used port on another address does not matter", listeners: "a port=1883", n: 2,
			used: []Port{{"tcp", "127.0.0.2", 2883}, {"udp", "127.0.0.1", 1883}, {"tcp", "::1", 1883}}, want: "1883 | 2883"},
		{name: "a v6 port on all addresses does", listeners: "a port=1883", n: 2, used: []Port{{"tcp", "::", 2883}}, want: "1883 | 2884"},
		{name: "a used port on one address matters to a listener on all", listeners: "a port=1883 @0.0.0.0", n: 2,
			used: []Port{{"tcp", "127.0.0.2", 2883}}, want: "1883 | 2884"},
		{name: "set moves the base", listeners: "a port=1883; b port=8083", n: 2, options: func(o *Options) { o.Set = map[string]int{"a": 2000} }, want: "2000 8083 | 3000 9083"},
		{name: "declared is the base", listeners: "a port=1883; b port=8083", n: 2, options: func(o *Options) {
			o.Config = &template.Config{Listeners: map[string]template.Declared{"a": {Port: 1000}, "b": {Port: 2500}}}
		},
			want: "1000 2500 | 2000 3500"},
		{name: "a node of its own", listeners: "a port=1883; b derive=a+1", n: 2,
			options: func(o *Options) { o.Node = map[int]NodeOptions{2: {Set: map[string]int{"a": 7}}} }, want: "1883 1884 | 7 8"},
		{name: "a given offset", listeners: "a port=1883", n: 3, options: func(o *Options) { o.Offset = 7 }, want: "1883 | 1890 | 1897"},
		{name: "a given shift", listeners: "a port=1883; b derive=a+1", n: 2, options: func(o *Options) { o.Base.Shift = 100 }, want: "1983 1984 | 2983 2984"},
		{name: "auto stays where it can", listeners: "a port=1883", n: 2, options: func(o *Options) { o.Base.Auto = true }, want: "1883 | 2883"},
		{name: "auto moves all", listeners: "a port=1883; b port=1884", n: 2, used: used(1884), options: func(o *Options) { o.Base.Auto = true },
			want: "1893 1894 | 2893 2894", note: "all ports are moved by 10"},
		{name: "auto keeps what was set", listeners: "a port=1883; b port=1884", n: 1, used: used(1884),
			options: func(o *Options) { o.Base.Auto = true; o.Set = map[string]int{"a": 5000} }, want: "5000 1894"},
		{name: "auto moves numbers", listeners: "dist derive=4370+number", n: 2, used: used(4371), options: func(o *Options) { o.Base.Auto = true }, want: "4381 | 4382"},
		{name: "below the ephemeral range", listeners: "a port=18083", n: 16, want: seq(18083, 978, 16), note: "lies in 32768 to 60999"},
		{name: "a base above it is left alone", listeners: "a port=61613; b port=40000", n: 2, want: "61613 40000 | 62613 41000"},
		{name: "in it when there is no other way", listeners: "a port=32767", n: 2,
			want: "32767 | 33767", note: "no way around it was found"},
		{name: "65535", listeners: "a port=61613", n: 5, want: seq(61613, 980, 5), note: "would need port 65613"},
		{name: "an address each", listeners: "a port=1883", n: 3, options: func(o *Options) { o.Spread = true },
			want: "1883 | 127.0.0.2:1883 | 127.0.0.3:1883"},
		{name: "an address each, elsewhere", listeners: "a port=1883", n: 2, used: used(1883), options: func(o *Options) { o.Spread = true },
			want: "127.0.1.1:1883 | 127.0.1.2:1883", note: "addresses from 127.0.1.1 are used"},
		{name: "an address each, other ports", listeners: "a port=1883", n: 2, used: []Port{{"tcp", "0.0.0.0", 1883}},
			options: func(o *Options) { o.Spread = true; o.Base.Auto = true }, want: "1893 | 127.0.0.2:1893", note: "all ports are moved by 10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(tt.n)
			if tt.options != nil {
				tt.options(&o)
			}
			p, err := Make(parse(t, "n{{.NameIndex}}@{{.Host}}", tt.listeners), o, Host{Used: tt.used, EphemeralLow: eph, EphemeralHigh: 60999})
			if err != nil {
				t.Fatal(err)
			}
			if got := layoutText(p); got != tt.want {
				t.Errorf("ports %s\nwant  %s\nnotes %q", got, tt.want, p.Notes)
			}
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, tt.note) || (tt.note == "" && notes != "" && len(tt.used) == 0) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

func seq(base, step, n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprint(base+i*step))
	}
	return strings.Join(parts, " | ")
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name      string
		listeners string
		nodeName  string
		more      string
		n         int
		used      []Port
		options   func(o *Options)
		want      string // in the error
		hint      string // in the hint of the first
		port      bool   // it is a *PortError
	}{
		{name: "a port of node 1 is used", listeners: "a port=1883", n: 3, used: used(1883), port: true,
			want: `tcp port 1883 on 127.0.0.1, for listener "a" of node 1 (n1@127.0.0.1), is in use by somebody else`, hint: "--base auto"},
		{name: "of a number", listeners: "a port=1; dist derive=4370+number", n: 2, used: used(4372), port: true, want: `listener "dist" of node 2`, hint: "--base auto"},
		{name: "with a given offset", listeners: "a port=1883", n: 2, used: used(1983), options: func(o *Options) { o.Offset = 100 }, port: true,
			want: "tcp port 1983", hint: "--base auto"},
		{name: "that was set", listeners: "a port=1883", n: 1, used: used(5000), options: func(o *Options) { o.Set = map[string]int{"a": 5000}; o.Base.Auto = true },
			port: true, want: "tcp port 5000", hint: "--set a=5000"},
		{name: "a given offset that meets itself", listeners: "client port=4222; cluster port=6222", n: 3, options: func(o *Options) { o.Offset = 1000 },
			want: `offset 1000: tcp port 6222 would be given to listener "cluster" of node 1 and to listener "client" of node 3`, hint: "--offset 1001 works"},
		{name: "a given offset beyond 65535", listeners: "a port=1883", n: 3, options: func(o *Options) { o.Offset = 40000 },
			want: `offset 40000: listener "a" of node 3 would need port 81883`, hint: "--offset"},
		{name: "node 1 meets itself", listeners: "a port=1883; b port=1883", n: 1,
			want: `tcp port 1883 would be given to listener "a" of node 1 and to listener "b" of node 1`, hint: "--set"},
		{name: "too many nodes", listeners: "a port=8083; b port=8084", n: 60000, want: "60000 nodes with 2 ports each", hint: "fewer nodes"},
		{name: "no nodes", listeners: "a port=1", n: 0, want: "a cluster of no nodes can't be made"},
		{name: "node 0", listeners: "a port=1", options: func(o *Options) { o.Nodes = []int{0} }, want: "node 0 can't be made"},
		{name: "below the least", listeners: "a port=1", n: 2, more: "", options: func(o *Options) {}, want: "needs 3 nodes or more, not 2: slots"},
		{name: "by the template", listeners: "a port=1", n: 2, more: "[params.x]\ndefault = \"1\"\n[[refuse]]\nwhen = '{{and (eq .Param.x \"1\") (lt .N 3)}}'\nreason = \"{{.N}} are few\"",
			want: "with 2 nodes can't be made so: 2 are few"},
		{name: "unknown listener", listeners: "a port=1", n: 1, options: func(o *Options) { o.Set = map[string]int{"x": 1} }, want: `no listener "x"`, hint: "--set takes a"},
		{name: "derived listener set", listeners: "a port=1; b derive=a+1", n: 1, options: func(o *Options) { o.Set = map[string]int{"b": 1} }, want: `can't be set: its port is a+1`},
		{name: "port that is none", listeners: "a port=1", n: 1, options: func(o *Options) { o.Set = map[string]int{"a": 70000} }, want: "port 70000"},
		{name: "unknown parameter", listeners: "a port=1", n: 1, options: func(o *Options) { o.Params = map[string]string{"x": "1"} }, want: `no parameter "x"`, hint: "the template has no parameters"},
		{name: "unknown parameter of some", listeners: "a port=1", n: 1, more: "[params.y]", options: func(o *Options) { o.Params = map[string]string{"x": "1"} },
			want: `no parameter "x"`, hint: "it has: y"},
		{name: "options of a file", listeners: "a port=1", n: 1, want: `f: line 3: set.x: template "server" has no listener "x"`,
			options: func(o *Options) {
				o.Set, o.Places = map[string]int{"x": 1}, map[string]string{"set.x": "f: line 3: set.x"}
			}},
		{name: "unknown way to join", listeners: "a port=1", n: 1, options: func(o *Options) { o.Join = "config" }, want: `no way to join called "config"`, hint: "none"},
		{name: "options of a node that is not", listeners: "a port=1", n: 1, options: func(o *Options) { o.Node = map[int]NodeOptions{3: {}} }, want: "node 3"},
		{name: "one name for all", nodeName: "n{{if eq .Index 9}}9{{end}}@h", listeners: "a port=1", n: 2, want: `would both be called "n@h"`},
		{name: "all at once", listeners: "a port=1", n: 1, options: func(o *Options) { o.Set = map[string]int{"x": 1}; o.Offset = -1; o.Dir = "x" },
			want: "no listener \"x\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.nodeName == "" {
				tt.nodeName = "n{{.NameIndex}}@{{.Host}}"
			}
			tpl := parse(t, tt.nodeName, tt.listeners, tt.more)
			if strings.Contains(tt.want, "needs 3") {
				tpl.MinNodes, tpl.MinReason = 3, "slots"
			}
			o := options(tt.n)
			if tt.options != nil {
				tt.options(&o)
			}
			_, err := Make(tpl, o, Host{Used: tt.used, EphemeralLow: 32768, EphemeralHigh: 60999})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			hint := ""
			if bad, ok := errors.AsType[*PortError](err); ok != tt.port {
				t.Errorf("error is a %T", err)
			} else if ok {
				hint = bad.Hint
			} else if refused, ok := errors.AsType[*Refusal](err); ok {
				hint = refused.Hint
			}
			if !strings.Contains(hint, tt.hint) {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}
