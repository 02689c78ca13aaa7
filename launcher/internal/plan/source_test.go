package plan

import (
	"strings"
	"testing"
	"testing/fstest"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/template"

	"github.com/google/go-cmp/cmp"
)

// kv is a server whose template leaves to the source what is the source's.
const kv = `
[node]
name = "kv{{.NameIndex}}"
[params.wait]
default = '{{or (.Source "s.conf" "wait") "2"}}'
match = "[0-9]+"
[listeners.client]
port = 5000
file = "s.conf"
key = "client"
scheme = "kv"
url = '{{.Scheme}}://{{with .Source "s.conf" "user"}}{{userinfo . ($.Source "s.conf" "password")}}@{{end}}{{.Addr}}'
value = '{{.Scheme}}://{{.Addr}}'
off = { "client" = "none" }
[listeners.bus]
derive = "client + 10000"
file = "s.conf"
key = "bus"
value = '{{.Port}}'
[listeners.more]
file = "s.conf"
key = "listen.*"
value = '{{.Addr}}'
[places.store]
file = "s.conf"
key = "store"
path = "data"
write = "missing"
[places.log]
file = "s.conf"
key = "log.*"
path = "log/*"
[[edit]]
file = "s.conf"
format = "properties"
[edit.set]
name = "{{.Name}}"
wait = "{{.Param.wait}}"
[edit.default]
tick = "100"
[[file]]
path = "plugins"
existing = "keep"
text = "[]"
[environment]
PASSWORD = '{{.Source "s.conf" "password"}}'
EMPTY = ""
[start]
command = ["kvd"]
[[refuse]]
when = '{{eq (.Source "s.conf" "tls") "only"}}'
reason = "it is asked without TLS"
`

func planOf(t *testing.T, source string, change ...func(*Options)) (*Plan, error) {
	t.Helper()
	tpl, err := template.Parse("kv", []byte(kv))
	if err != nil {
		t.Fatal(err)
	}
	o := options(2)
	o.Source = "/src"
	if o.Config, err = tpl.ReadConfig(fstest.MapFS{"s.conf": {Data: []byte(source)}}, "/src", nil); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(&o)
	}
	return Make(tpl, o, Host{})
}

// configured is the config of a node after the plan's edits.
func configured(t *testing.T, n *Node, source string) string {
	t.Helper()
	text := []byte(source)
	for _, e := range n.Edits {
		var err error
		if text, err = confedit.Apply(e.Format, text, e.Edits); err != nil {
			t.Fatal(err)
		}
	}
	return string(text)
}

// TestSourceStands wants the source's values in a node, but for what must be the cluster's own.
func TestSourceStands(t *testing.T) {
	for _, one := range []struct{ name, source, want string }{
		{"silent", "", "name = kv2\ntick = 100\nwait = 2\nclient = kv://127.0.0.1:6000\nstore = data\n"},
		{
			"all said",
			"name = x\nwait = 7\ntick = 5\nclient = kvs://0.0.0.0:5500\nbus = 5600\nlisten.a = 7000\nstore = mine\nlog.x = stderr\nlog.y = /var/log/y.log\n",
			"name = kv2\nwait = 7\ntick = 5\nclient = kvs://127.0.0.1:6500\nbus = 6600\nlisten.a = 127.0.0.1:8000\nstore = mine\nlog.x = stderr\nlog.y = log/y.log\n",
		},
		{
			"outside", "client = none\nname = x\nwait = 1\ntick = 1\nstore = ../shared\nlog.z = /src/here/z.log\n",
			"client = none\nname = kv2\nwait = 1\ntick = 1\nstore = data\nlog.z = /x/2/kv/here/z.log\n",
		},
	} {
		t.Run(one.name, func(t *testing.T) {
			p, err := planOf(t, one.source)
			if err != nil {
				t.Fatal(err)
			}
			if got := configured(t, p.node(2), one.source); got != one.want {
				t.Errorf("got\n%swant\n%s", got, one.want)
			}
		})
	}
}

func TestSourceNotes(t *testing.T) {
	p, err := planOf(t, "store = /var/kv\nlog.y = /var/log/y.log\nlog.x = stderr\nuser = u\npassword = p@ss\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Notes, "\n"); !strings.Contains(got, "store = /var/kv") || !strings.Contains(got, "log.y = /var/log/y.log") || strings.Contains(got, "stderr") {
		t.Errorf("notes %q", got)
	}
	if got := strings.Join(p.Nodes[0].Env, " "); got != "EMPTY= PASSWORD=p@ss" {
		t.Errorf("environment %q", got)
	}
	if p, err = planOf(t, ""); err != nil || strings.Join(p.Nodes[0].Env, " ") != "EMPTY=" {
		t.Errorf("without a password: %q, %v", p.Nodes[0].Env, err)
	}
}

func TestSourceURL(t *testing.T) {
	p, err := planOf(t, "user = u\npassword = p@ss\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Nodes[0].Listeners[0].URL, "kv://u:p%40ss@127.0.0.1:5000"; got != want {
		t.Errorf("url %q, want %q", got, want)
	}
}

// TestSourcePorts wants no node at a port that stands in the source's config for something else.
func TestSourcePorts(t *testing.T) {
	source := "client = 5000\nmetrics.port = 6000\nproxy = http://10.0.0.1:5000\n"
	p, err := planOf(t, source)
	if err != nil {
		t.Fatal(err)
	}
	if got := layoutText(p); got != "5000 15000 | 6001 16001" {
		t.Errorf("ports %s", got)
	}
	if got := strings.Join(p.Notes, "\n"); !strings.Contains(got, `tcp port 6000, for listener "client" of node 2, stands in the source's config too (s.conf: metrics.port)`) {
		t.Errorf("notes %q", got)
	}
	_, err = planOf(t, source, func(o *Options) { o.Offset = 1000 })
	if err == nil || !strings.Contains(err.Error(), "s.conf: metrics.port") {
		t.Errorf("a given offset: %v", err)
	}
}

func TestSourceRefused(t *testing.T) {
	for source, want := range map[string]string{"tls = only\n": "it is asked without TLS", "wait = soon\n": `parameter "wait"`} {
		if _, err := planOf(t, source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// TestSourceIsRecorded wants an added node made as the first ones, though its template is given without the source.
func TestSourceIsRecorded(t *testing.T) {
	source := "client = kvs://0.0.0.0:5500\nlisten.a = 7000\nstore = /var/kv\n"
	p, err := planOf(t, source)
	if err != nil {
		t.Fatal(err)
	}
	tpl, _ := template.Parse("kv", []byte(kv))
	more, err := Make(tpl, Options{Formed: p, Nodes: []int{3}}, Host{})
	if err != nil {
		t.Fatal(err)
	}
	got := configured(t, more.node(3), source)
	for _, want := range []string{"client = kvs://127.0.0.1:7500", "listen.a = 127.0.0.1:9000", "store = data"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestFileOver(t *testing.T) {
	for existing, want := range map[string]string{"": "a = 1\nb = 2\n", "keep": "b = 3\n", "merge": "b = 3\na = 1\n"} {
		got, err := File{Path: "x", Text: "a = 1\nb = 2\n", Existing: existing, Format: "properties"}.Over([]byte("b = 3\n"))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", existing, got, err)
		}
	}
}

// TestElsewhere wants edits where the source has their keys, and includes that are outside reported.
func TestElsewhere(t *testing.T) {
	tpl, err := template.Parse("n", []byte(`
[node]
name = "n{{.NameIndex}}"
[listeners.client]
port = 4222
file = "main.conf"
format = "nats"
key = "listen"
also = ["port"]
value = "{{.Port}}"
[listeners.route]
port = 6222
file = "main.conf"
key = "cluster.port"
value = "{{.Port}}"
[[edit]]
file = "main.conf"
format = "nats"
[edit.set]
name = "{{.Name}}"
[edit.default]
"cluster.name" = "other"
[start]
command = ["x"]
`))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"main.conf":  {Data: []byte("CLIENT = 4300\nport: $CLIENT\nname: $NAME\ninclude \"part.conf\"\ninclude \"../out.conf\"\n")},
		"part.conf":  {Data: []byte("cluster {\n  name: mine\n  port: $ROUTE\n}\n")},
		"spare.conf": {Data: []byte("x: 1\n")},
	}
	env := map[string]string{"ROUTE": "6300"}
	o := options(2)
	o.Source = "/src"
	o.Config, err = tpl.ReadConfig(files, "/src", func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	p, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range p.node(2).Edits {
		text, ok := got[e.File]
		if !ok {
			text = string(files[e.File].Data)
		}
		out, err := confedit.Apply(e.Format, []byte(text), e.Edits)
		if err != nil {
			t.Fatal(err)
		}
		got[e.File] = string(out)
	}
	want := map[string]string{
		"main.conf": "CLIENT = 5300\nport: $CLIENT\nname: \"n2\"\ninclude \"part.conf\"\ninclude \"../out.conf\"\n",
		"part.conf": "cluster {\n  name: mine\n  port: 7300\n}\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "line 5 of main.conf includes ../out.conf, which is not read") {
		t.Errorf("notes %q", notes)
	}
}

// TestFlatKeys wants keys with dots in their names found, whether a template quotes them or not.
func TestFlatKeys(t *testing.T) {
	tpl, err := template.Parse("n", []byte(`
[node]
name = "n{{.NameIndex}}"
[listeners.http]
port = 9200
file = "s.yml"
key = "http.port"
value = "{{.Port}}"
[listeners.transport]
port = 9300
file = "s.yml"
key = '"transport.port"'
value = "{{.Port}}"
[places.data]
file = "s.yml"
key = "path.data"
path = "data"
[[edit]]
file = "s.yml"
[edit.set]
"node.name" = "{{.Name}}"
"xpack.security.http.ssl.enabled" = "true"
[start]
command = ["x"]
`))
	if err != nil {
		t.Fatal(err)
	}
	const source = "node.name: a\npath.data: /var/lib/x\nhttp.port: 9250\nxpack:\n  security.http.ssl:\n    enabled: false\n"
	o := options(2)
	if o.Config, err = tpl.ReadConfig(fstest.MapFS{"s.yml": {Data: []byte(source)}}, "/src", nil); err != nil {
		t.Fatal(err)
	}
	p, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	want := "node.name: n2\npath.data: data\nhttp.port: 10250\nxpack:\n  security.http.ssl:\n    enabled: true\n"
	if got := configured(t, p.node(2), source); !strings.HasPrefix(got, want) || !strings.Contains(got, "10300") {
		t.Errorf("got\n%s", got)
	}
}
