package confedit

import (
	"slices"
	"strings"
	"testing"
)

// mustRead parses a file with an environment of one variable.
func mustRead(t *testing.T, format, src string) *File {
	t.Helper()
	f, err := Read(format, []byte(src), func(name string) (string, bool) { return "from-env", name == "FROM_ENV" })
	if err != nil {
		t.Fatalf("Read(%s): %v\n%s", format, err, src)
	}
	return f
}

func TestGet(t *testing.T) {
	tests := []struct {
		format, src, key string
		want             Entry // without its key
	}{
		{"toml", "a = [1, 2]\nb.c = 'x'\n", "b.c", Entry{Value: "x", Line: 2, Kind: "string"}},
		{"toml", "a = [1, 2]\n", "a", Entry{Value: "[1, 2]", Line: 1, Kind: "array"}},
		{"toml", "x = 1\n[a.b]\nc = 1\n", "a", Entry{Line: 2, Kind: "table"}},
		{"toml", "[[listen]]\nport = 1\n[[listen]]\nport = 2\n", "listen.1.port", Entry{Value: "2", Line: 4, Kind: "number"}},
		{"json", "{\"listen\": [\n{\"port\": 1}]}", "listen.0.port", Entry{Value: "1", Line: 2, Kind: "number"}},
		{"yaml", "listen:\n- port: 1\n  on: true\n", "listen.0.on", Entry{Value: "true", Line: 3, Kind: "bool"}},
		{"hocon", "listen = [{port = 1}, {port = 2}]\n", "listen.1.port", Entry{Value: "2", Line: 1, Kind: "number"}},
		{"yaml", "cluster.name: x\npath:\n  data: d\n", "cluster.name", Entry{Value: "x", Line: 1, Kind: "string"}},
		{"yaml", "cluster.name: x\npath:\n  data: d\n", "path.data", Entry{Value: "d", Line: 3, Kind: "string"}},
		{"yaml", "xpack.security:\n  http.ssl:\n    enabled: false\n", "xpack.security.http.ssl.enabled", Entry{Value: "false", Line: 3, Kind: "bool"}},
		{"json", `{"http.port": 9200}`, "http.port", Entry{Value: "9200", Line: 1, Kind: "number"}},
		{"yaml", "a: &x 1\nb: *x\nc: &y\n  d: 2\ne: *y\n", "b", Entry{Value: "1", Line: 2, Kind: "other", Reference: "*x"}},
		{"yaml", "a: &x 1\nb: *x\nc: &y\n  d: 2\ne: *y\n", "e.d", Entry{Value: "2", Line: 4, Kind: "number"}},
		{"nats", "PORT = 4222\nport: $PORT\n", "port", Entry{Value: "4222", Line: 2, Kind: "number", Reference: "$PORT"}},
		{"nats", "PORT = 1\ncluster { PORT = 2, port: $PORT, host: $FROM_ENV }\n", "cluster.port", Entry{Value: "2", Line: 2, Kind: "number", Reference: "$PORT"}},
		{"nats", "cluster { host: $FROM_ENV }\n", "cluster.host", Entry{Value: "from-env", Line: 1, Kind: "string", Reference: "$FROM_ENV"}},
		{"nats", "a: $NONE\n", "a", Entry{Value: "$NONE", Line: 1, Kind: "other", Reference: "$NONE"}},
		{"nats", "a: $B\nB = 1\n", "a", Entry{Value: "$B", Line: 1, Kind: "other", Reference: "$B"}},
		{"nats", "A = $A\nB = $A\n", "B", Entry{Value: "$A", Line: 2, Kind: "other", Reference: "$A"}},
		{"nats", "A { user: u }\nauthorization: $A\n", "authorization.user", Entry{Value: "u", Line: 1, Kind: "string"}},
		{"hocon", "a { b = 7 }\nc = ${a.b}\n", "c", Entry{Value: "7", Line: 2, Kind: "number", Reference: "${a.b}"}},
		{"hocon", "dir = /x\nlog = ${dir}\"/log\" file\n", "log", Entry{Value: "/x/log file", Line: 2, Kind: "string", Reference: `${dir}"/log" file`}},
		{"hocon", "port = 1883\nport = ${?PORT}\n", "port", Entry{Value: "1883", Line: 2, Kind: "number", Reference: "${?PORT}"}},
		{"hocon", "port = 1883\nport = ${?FROM_ENV}\n", "port", Entry{Value: "from-env", Line: 2, Kind: "string", Reference: "${?FROM_ENV}"}},
		{"hocon", "path = /a\npath = ${path}\":/b\"\n", "path", Entry{Value: "/a:/b", Line: 2, Kind: "string", Reference: `${path}":/b"`}},
		{"hocon", "a = ${b}\nb = ${a}\n", "a", Entry{Value: "${b}", Line: 1, Kind: "other", Reference: "${b}"}},
		{"hocon", "base { x = 1 }\na = ${base}\n", "a.x", Entry{Value: "1", Line: 1, Kind: "number"}},
		{"hocon", "base { x = 1 }\na = ${base} { y = 2 }\n", "a.x", Entry{Value: "1", Line: 1, Kind: "number"}},
		{"redis", "save 900 1\nsave 60 5\n", "save.0", Entry{Value: "900 1", Line: 1, Kind: "string"}},
	}
	for _, tt := range tests {
		tt.want.Key = tt.key
		got, ok, err := mustRead(t, tt.format, tt.src).Get(tt.key)
		if err != nil || !ok || got != tt.want {
			t.Errorf("%s: Get(%q) of %q: %v, %v\ngot  %+v\nwant %+v", tt.format, tt.key, tt.src, ok, err, got, tt.want)
		}
	}
	for _, key := range []string{"a.c", "b", "a.b.c", "a.b.0"} {
		if e, ok, err := mustRead(t, "toml", "a.b = 1\n").Get(key); ok || err != nil {
			t.Errorf("Get(%q): %+v, %v", key, e, err)
		}
	}
	if _, _, err := mustRead(t, "toml", "a = 1\n").Get(`a."`); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Errorf("a broken key: %v", err)
	}
}

func TestMatch(t *testing.T) {
	const hocon = "listeners.tcp.default.bind = 1\nlisteners { ssl.x { bind = 2, on = true }, ws.y.bind = [3, 4] }\nbind = 5\n"
	tests := []struct {
		format, src, pattern string
		want                 string
	}{
		{"hocon", hocon, "listeners.*.*.bind", "listeners.tcp.default.bind=1 listeners.ssl.x.bind=2 listeners.ws.y.bind=[3, 4]"},
		{"hocon", hocon, "*.*.*.on", "listeners.ssl.x.on=true"},
		{"hocon", hocon, "*.on", ""},
		{"hocon", hocon, "bind", "bind=5"},
		{"hocon", hocon, "nothing", ""},
		{"properties", "listeners.tcp.1 = 1\nlisteners.ssl.1 = 2\n", "listeners.*.1", "listeners.tcp.1=1 listeners.ssl.1=2"},
		{"yaml", "http.port: 1\nhttp:\n  host: h\n", "http.*", `http.port=1 http.host=h`},
		{"nats", "PORT = 4222\nport: $PORT\n", "port", "port=4222"},
		{"redis", "save 900 1\nsave 60 5\n", "save.*", "save.0=900 1 save.1=60 5"},
		{"ini", "[a/b]\nx = 1\n", "*.x", "a/b.x=1"},
	}
	for _, tt := range tests {
		entries, err := mustRead(t, tt.format, tt.src).Match(tt.pattern)
		var got []string
		for _, e := range entries {
			got = append(got, e.Key+"="+e.Value)
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: Match(%q): %v\ngot  %s\nwant %s", tt.format, tt.pattern, err, strings.Join(got, " "), tt.want)
		}
	}
	if _, err := mustRead(t, "toml", "").Match("["); err == nil {
		t.Error("a broken pattern was taken")
	}
}

// TestFlat: a YAML file keeps its own way to write keys of several segments.
func TestFlat(t *testing.T) {
	const flat = "cluster.name: x\nhttp.port: 9200\nxpack.security.http.ssl:\n  enabled: false\npath:\n  data: d\n"
	tests := []struct {
		src   string
		edits []Edit
		want  string
	}{
		{flat, []Edit{set("cluster.name", "z"), set("http.port", "9201"), set("xpack.security.http.ssl.enabled", "true"), set("path.data", "e")},
			"cluster.name: z\nhttp.port: 9201\nxpack.security.http.ssl:\n  enabled: true\npath:\n  data: e\n"},
		{flat, []Edit{set("node.name", "n1"), set("path.logs", "l"), raw("discovery.seed_hosts", "[a, b]")}, flat + "  logs: l\nnode.name: n1\ndiscovery.seed_hosts: [a, b]\n"},
		{flat, []Edit{set(`"http.port"`, "9")}, strings.Replace(flat, "9200", "9", 1)},
		{"node.name: n\nxpack:\n  security.enabled: false\n  security.http.ssl:\n    enabled: false\nroles: [a]\n",
			[]Edit{set("xpack.security.http.ssl.enabled", "true"), set("xpack.security.enabled", "true"), set("xpack.security.transport.ssl.enabled", "true"), set("node.name", "m")},
			"node.name: m\nxpack:\n  security.enabled: true\n  security.http.ssl:\n    enabled: true\n  security.transport.ssl.enabled: true\nroles: [a]\n"},
		{"path:\n  data: d\n", []Edit{set("node.name", "n1")}, "path:\n  data: d\nnode:\n  name: n1\n"},
		{"127.0.0.1: x\n", []Edit{set("node.name", "n1")}, "127.0.0.1: x\nnode:\n  name: n1\n"},
		{"a:\n  b.c: 1\n", []Edit{set("a.b.c", "2"), set("a.d.e", "3")}, "a:\n  b.c: 2\n  d.e: 3\n"},
		{"a.b: {}\n", []Edit{set("a.b.c", "1"), set("d.e", "2")}, "a.b: {c: 1}\nd.e: 2\n"},
	}
	for _, tt := range tests {
		if got := mustApply(t, "yaml", tt.src, tt.edits...); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
		if got := mustApply(t, "yaml", tt.want, tt.edits...); got != tt.want {
			t.Errorf("set twice\n%s\nonce\n%s", got, tt.want)
		}
	}
}

// TestReferenceIsReplaced: a key whose value is a reference gets its own value where it stands.
func TestReferenceIsReplaced(t *testing.T) {
	tests := []struct{ format, src, key, want string }{
		{"nats", "P = 1\nport: $P\nx: $P\n", "port", "P = 1\nport: 7\nx: $P\n"},
		{"nats", "P = 7\nport: $P\n", "port", "P = 7\nport: 7\n"},
		{"hocon", "p = 1\nport = ${p} # x\n", "port", "p = 1\nport = 7 # x\n"},
		{"hocon", "port = 1\nport = ${?PORT}\n", "port", "port = 1\nport = 7\n"},
		{"yaml", "a: &x 1\nport: *x\n", "port", "a: &x 1\nport: 7\n"},
	}
	for _, tt := range tests {
		if got := mustApply(t, tt.format, tt.src, set(tt.key, "7")); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestEntryKinds(t *testing.T) {
	entries, err := List("yaml", []byte("a: x\nb: 1\nc: yes\nd:\ne: 2020-01-01\n"))
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"string", "number", "bool", "null", "other"}; err != nil || !slices.Equal(kinds, want) {
		t.Errorf("got %q, %v", kinds, err)
	}
}
