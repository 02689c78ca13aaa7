package template

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const asks = small + `
[params.password]
default = '{{or (.Source "s.yaml" "auth.password") "none"}}'

[listeners.web]
port = 80
file = "s.yaml"
key = "web.url"
scheme = "http"
value = '{{.Scheme}}://{{.Addr}}'
off = { "web.enabled" = "false|no" }

[listeners.bus]
derive = "web + 10000"
file = "s.yaml"
key = "bus.port"
value = '{{.Port}}'

[listeners.extra]
file = "s.yaml"
key = "listen.*.*.bind"
value = '{{.Addr}}'
off = { "listen.*.*.enabled" = "false" }

[places.store]
file = "s.yaml"
key = "store"
also = ["storage.dir"]
path = "data"

[places.logs]
file = "s.yaml"
key = "logs.*"
path = "log/*"

[[edit]]
file = "s.yaml"
[edit.set]
name = '{{.Name}}{{.SourceMatch "plug*" "\\[(.*)\\]"}}'
"peers.seed" = "x"
`

const said = `
auth: {password: s3cret, other: 1}
web: {url: "https://10.0.0.1:8443", enabled: true}
peers: {seed: "10.0.0.2:7000"}
listen:
  tcp:
    default: {bind: 1883}
    internal: {bind: "127.0.0.1:11883", enabled: true}
  ssl:
    default: {bind: 8883, enabled: false}
storage: {dir: /src/kv/store}
logs: [stderr, /var/log/kv.log]
metrics: {bind: 9100, interval: 15}
`

func TestReadConfig(t *testing.T) {
	tpl := mustParse(t, asks)
	got, err := tpl.ReadConfig(fstest.MapFS{"s.yaml": file(said), "plugins": file("[a,b].")}, "/src/kv", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Keys:    []ConfigValue{{"s.yaml", "auth.password", "s3cret"}},
		Matches: []ConfigMatch{{"plug*", `\[(.*)\]`, "a,b"}},
		Listeners: map[string]Declared{
			"web":                {Port: 8443, Scheme: "https", Key: "web.url"},
			"extra_tcp_default":  {Port: 1883, Key: "listen.tcp.default.bind", Family: "extra"},
			"extra_tcp_internal": {Port: 11883, Key: "listen.tcp.internal.bind", Family: "extra"},
			"extra_ssl_default":  {Port: 8883, Key: "listen.ssl.default.bind", Family: "extra", Off: true},
		},
		Places: []ConfigPlace{
			{Place: "store", Key: "storage.dir", Value: "/src/kv/store", Inside: "store"},
			{Place: "logs", Key: "logs.0", Value: "stderr"},
			{Place: "logs", Key: "logs.1", Value: "/var/log/kv.log"},
		},
		Ports: []ConfigPort{{"s.yaml", "metrics.bind", 9100}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bus", "extra_ssl_default", "extra_tcp_default", "extra_tcp_internal", "web"}, listenerNames(tpl.With(got).Listeners)); diff != "" {
		t.Error(diff)
	}
	silent, err := tpl.ReadConfig(fstest.MapFS{}, "/src/kv", nil)
	if err != nil || len(silent.Keys)+len(silent.Listeners)+len(silent.Places)+len(silent.Ports) != 0 {
		t.Errorf("an empty source says %+v, %v", silent, err)
	}
	if names := listenerNames(tpl.With(silent).Listeners); len(names) != 2 {
		t.Errorf("listeners of an empty source: %v", names)
	}
}

func TestReadConfigOff(t *testing.T) {
	c, err := mustParse(t, asks).ReadConfig(fstest.MapFS{"s.yaml": file("web: {enabled: false}")}, "", nil)
	if err != nil || !c.Listeners["web"].Off {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestStars(t *testing.T) {
	for _, one := range []struct{ pattern, key, want string }{
		{"a.*", "a.b", "b"}, {"a.*", "a.b.c", "-"}, {"user*", "user", ""}, {"user*", "users.0", "-"}, {"*", "a.b", "a.b"}, {"a.*.*.bind", "a.tcp.x.bind", "tcp,x"},
		{"a.*.bind", "a.x.y.bind", "-"}, {"log_*_file", "log_a_file", "a"}, {"a", "a", ""}, {"a", "b", "-"},
	} {
		got := "-"
		if stars, ok := starsOf(one.pattern, one.key); ok {
			got = strings.Join(stars, ",")
		}
		if got != one.want {
			t.Errorf("%s of %s: %q, want %q", one.pattern, one.key, got, one.want)
		}
	}
}

func TestPortsIn(t *testing.T) {
	for _, one := range []struct {
		key, value string
		want       []int
	}{
		{"port", "80", []int{80}}, {"tls-port", "0", nil}, {"support", "80", []int{80}}, {"timeout", "80", nil}, {"listen", "*:80", []int{80}},
		{"x", "10.0.0.1:80, [::1]:81", []int{80, 81}}, {"x", "http://a.b:80/c,https://u:p@d:82", []int{80, 82}}, {"at", "12:30", nil},
		{"x", "node1:80", []int{80}}, {"x", "a:b", nil}, {"x", "99999", nil}, {"bind", "127.0.0.1", nil},
	} {
		if diff := cmp.Diff(one.want, portsIn(one.key, one.value)); diff != "" {
			t.Errorf("%s = %s: %s", one.key, one.value, diff)
		}
	}
}
