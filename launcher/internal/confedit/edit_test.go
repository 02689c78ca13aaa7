package confedit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	tests := []struct {
		name, format, src string
		edit              Edit
		want              []string // parts of the error
	}{
		{"unknown format", "conf", "", set("a", "1"), []string{"conf", "toml", "yaml"}},
		{"empty key", "toml", "", set("", "1"), []string{`set ""`, "empty"}},
		{"empty segment", "toml", "", set("a..b", "1"), []string{`set "a..b"`, "segment"}},
		{"open quote", "toml", "", set(`a."b`, "1"), []string{"not closed"}},
		{"endless key", "properties", "", set(strings.Repeat("k", 1025), "1"), []string{"longer than 1024 bytes"}},
		{"not text", "toml", "", set("a", "\xff"), []string{`set "a"`, "text"}},
		{"under a value", "toml", "a = 1\n", set("a.b", "1"), []string{`set "a.b"`, "plain value"}},
		{"array by a text", "toml", "\na = [1]\n", set("a", "1"), []string{`set "a"`, "line 2", "raw"}},
		{"a table", "toml", "\n\n[a]\nb = 1\n", raw("a", "{}"), []string{`set "a"`, "line 3", "below"}},
		{"an element that is not there", "json", `{"a": [1]}`, set("a.1", "1"), []string{`set "a.1"`, "1 elements"}},
		{"raw with more behind it", "toml", "a = 1\n", raw("a", "1\nb = 2"), []string{`set "a"`}},
		{"raw with a comment", "yaml", "a: 1\n", raw("a", "1 # x"), []string{`set "a"`}},
		{"raw that is not closed", "hocon", "a = 1\nb = 2\n", raw("a", "[1"), []string{`set "a"`, "line"}},
		{"raw of nothing", "toml", "a = 1\n", raw("a", " "), []string{`set "a"`}},
		{"two values", "json", `{"a": 1}`, raw("a", `1, "b": 2`), []string{`set "a"`}},
		{"properties can't write it", "properties", "a = 1\n", set("a", "x # y"), []string{`set "a"`, "line 1", "raw"}},
		{"ini can't write it", "ini", "a = 1\n", set("a", "x\ny"), []string{`set "a"`, "raw"}},
		{"directive named like one of several", "redis", "save 1 1\n", set("save.0.0", "x"), []string{`set "save.0.0"`, "name of a directive"}},
		{"directives before it", "redis", "save 1 1\n", set("save.2", "x"), []string{`set "save.2"`, "missing"}},
		{"toml", "toml", "a = 1\nb = \n", set("a", "1"), []string{"line 2"}},
		{"toml twice", "toml", "a = 1\na = 2\n", set("a", "1"), []string{"line 2", "twice"}},
		{"nats", "nats", "a {\n b: 1\n", set("a.b", "2"), []string{"line 1", "not closed"}},
		{"hocon", "hocon", "a {\n b = 1\n", set("a.b", "2"), []string{"line 1", "not closed"}},
		{"json", "json", "{\n\"a\": 1,\n// x\n}", set("a", "2"), []string{"line 3"}},
		{"yaml", "yaml", "a:\n\tb: 2\n", set("a", "2"), []string{"line 2", "tab"}},
		{"yaml documents", "yaml", "a: 1\n---\nb: 2\n", set("a", "2"), []string{"line 2", "document"}},
		{"redis", "redis", "a 1\nb \"x\n", set("a", "2"), []string{"line 2", "quote"}},
		{"ini section", "ini", "[a\n", set("a.b", "2"), []string{"line 1"}},
		{"properties line", "properties", "a = 1\nnothing\n", set("a", "2"), []string{"line 2"}},
		{"zero byte", "ini", "a = 1\n\x00", set("a", "2"), []string{"line 2", "zero byte"}},
		{"deep", "json", strings.Repeat("[", 100000), set("a", "2"), []string{"nested"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Apply(tt.format, []byte(tt.src), []Edit{tt.edit})
			if err == nil {
				t.Fatalf("no error; got %q", out)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestAllOrNothing(t *testing.T) {
	src := []byte("a = 1\nb = [1]\n")
	out, err := Apply("toml", src, []Edit{set("a", "2"), set("b", "3"), set("c", "4"), raw("d", "["), set("a.x", "5")})
	if out != nil || err == nil {
		t.Fatalf("got %q, %v", out, err)
	}
	for _, key := range []string{`"b"`, `"d"`, `"a.x"`} {
		if !strings.Contains(err.Error(), "set "+key) {
			t.Errorf("error %q does not name %s", err, key)
		}
	}
	if strings.Contains(err.Error(), `set "a"`) || strings.Contains(err.Error(), `set "c"`) {
		t.Errorf("error %q names what could be done", err)
	}
}

func TestSyntaxErrorHasLine(t *testing.T) {
	_, err := List("toml", []byte("a = 1\n\n=\n"))
	se, ok := errors.AsType[*SyntaxError](err)
	if !ok || se.Line != 3 {
		t.Fatalf("got %v", err)
	}
}

func TestList(t *testing.T) {
	type line struct {
		key, value string
		line       int
	}
	tests := []struct {
		format, src string
		want        []line
	}{
		{"toml", "a = 1\n[b]\n\"c.d\" = \"x\\ty\"\ne = [1, {f = true}]\n[[g]]\nh = ''\n",
			[]line{{"a", "1", 1}, {`b."c.d"`, "x\ty", 3}, {"b.e.0", "1", 4}, {"b.e.1.f", "true", 4}, {"g.0.h", "", 6}}},
		{"properties", "# x = 1\na.b = 0.0.0.0:1883 # c\na.b.c: d\\\n  e\n", []line{{"a.b", "0.0.0.0:1883", 2}, {"a.b.c", "de", 3}}},
		{"nats", "port: 4222\ncluster { routes = [nats://h:1\n nats://h:2] }\n",
			[]line{{"port", "4222", 1}, {"cluster.routes.0", "nats://h:1", 2}, {"cluster.routes.1", "nats://h:2", 3}}},
		{"hocon", "a { b = 1, c = x y }\na.b = 2\n", []line{{"a.c", "x y", 1}, {"a.b", "2", 2}}},
		{"redis", "save 900 1\nsave 60 5\nport 6379\n", []line{{"save.0", "900 1", 1}, {"save.1", "60 5", 2}, {"port", "6379", 3}}},
		{"ini", "x = 1\n[a]\ny=2\n[a.b]\nz : \"3 \"\n", []line{{"x", "1", 1}, {"a.y", "2", 3}, {`"a.b".z`, "3 ", 5}}},
		{"json", "{\"a\": [\n1, {\"b\": null}], \"a\": \"\\u00e9\\n\"}", []line{{"a", "é\n", 2}}},
		{"yaml", "\ufeffa: 1\r\nb:\r\n  c: 2\r\n", []line{{"a", "1", 1}, {"b.c", "2", 3}}},
		{"yaml", "\ufeff# x\r\na: 1\r\n", []line{{"a", "1", 2}}},
		{"yaml", "\ufeff---\na: 1\n", []line{{"a", "1", 2}}},
		{"yaml", "a:\n- 1\n- b: {c: 'it''s'}\n  d: >-\n   e\n   f\n", []line{{"a.0", "1", 2}, {"a.1.b.c", "it's", 3}, {"a.1.d", "e f", 4}}},
	}
	for _, tt := range tests {
		var got []line
		entries, err := List(tt.format, []byte(tt.src))
		for _, e := range entries {
			got = append(got, line{e.Key, e.Value, e.Line})
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("List(%s): %v\ngot  %+v\nwant %+v", tt.format, err, got, tt.want)
		}
	}
}

func TestFormats(t *testing.T) {
	want := []string{"toml", "properties", "nats", "hocon", "yaml", "ini", "json", "redis", "env", "postgresql", "keyvalue", "xml", "hcl"}
	if got := Formats(); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	for _, format := range Formats() {
		if _, err := List(format, nil); err != nil && format != "json" {
			t.Errorf("List(%s) of an empty file: %v", format, err)
		}
	}
	for name, want := range map[string]string{
		"etc/node.toml": "toml", "a/nats-server.conf": "nats", "/x/REDIS.conf": "redis", "a.yml": "yaml", "my.cnf": "ini",
		"server.properties": "properties", "x.json": "json", "x.hocon": "hocon", "a/.env": "env", ".env.local": "env", "postgresql.conf": "postgresql", "sshd_config": "keyvalue", "a.xml": "xml", "a.hcl": "hcl", "emqx.conf": "", "conf": "", "toml": "",
	} {
		if got, ok := FormatOf(name); got != want || ok != (want != "") {
			t.Errorf("FormatOf(%q) = %q, %v", name, got, ok)
		}
	}
}

// TestShipped edits the files that a real server ships, and checks that only the values change.
func TestShipped(t *testing.T) {
	tests := []struct {
		file, format string
		replace      []string // key, old line, new line
	}{
		{"emqx44/emqx.conf", "properties", []string{
			"node.name", "node.name = emqx@127.0.0.1", "node.name = emqx2@127.0.0.1",
			"listener.tcp.external", "listener.tcp.external = 0.0.0.0:1883", "listener.tcp.external = 0.0.0.0:2883",
			"listener.tcp.internal", "listener.tcp.internal = 127.0.0.1:11883", "listener.tcp.internal = 127.0.0.1:12883",
			"listener.ssl.external", "listener.ssl.external = 8883", "listener.ssl.external = 9883",
			"listener.ws.external.check_origins", "listener.ws.external.check_origins = http://localhost:18083, http://127.0.0.1:18083",
			"listener.ws.external.check_origins = http://localhost:19083, http://127.0.0.1:19083",
		}},
		{"emqx44/plugins/emqx_management.conf", "properties", []string{"management.listener.http", "management.listener.http = 8081", "management.listener.http = 9081"}},
		{"emqx44/plugins/emqx_dashboard.conf", "properties", []string{"dashboard.listener.http", "dashboard.listener.http = 18083", "dashboard.listener.http = 19083"}},
		{"emqx50/emqx.conf", "hocon", []string{
			"node.name", `  name = "emqx@127.0.0.1"`, `  name = "emqx2@127.0.0.1"`,
			"dashboard.listeners.http.bind", "        bind = 18083", "        bind = 19083",
			"cluster.discovery_strategy", "  discovery_strategy = manual", "  discovery_strategy = static",
			"authorization.cache.enable", "  cache = { enable = true }", "  cache = { enable = false }",
		}},
	}
	for _, tt := range tests {
		src, err := os.ReadFile(filepath.Join("testdata", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		want := src
		var edits []Edit
		for i := 0; i < len(tt.replace); i += 3 {
			before, after := []byte("\n"+tt.replace[i+1]+"\n"), []byte("\n"+tt.replace[i+2]+"\n")
			if bytes.Count(want, before) != 1 {
				t.Fatalf("%s has no single line %q", tt.file, tt.replace[i+1])
			}
			want = bytes.Replace(want, before, after, 1)
			_, value, _ := strings.Cut(tt.replace[i+2], " = ")
			value = strings.TrimSuffix(strings.TrimPrefix(value, "{ enable = "), " }")
			edits = append(edits, set(tt.replace[i], strings.Trim(value, `"`)))
		}
		got, err := Apply(tt.format, src, edits)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, or more changed than asked", tt.file, err)
		}
	}
}

func TestShippedAdds(t *testing.T) {
	src, err := os.ReadFile("testdata/emqx50/emqx.conf")
	if err != nil {
		t.Fatal(err)
	}
	got := mustApply(t, "hocon", string(src), set("listeners.tcp.default.bind", "0.0.0.0:2883"),
		raw("cluster.static.seeds", "[emqx1@127.0.0.1, emqx2@127.0.0.1]"))
	want := string(src) + "listeners.tcp.default.bind = \"0.0.0.0:2883\"\ncluster.static.seeds = [emqx1@127.0.0.1, emqx2@127.0.0.1]\n"
	if got != want {
		t.Errorf("got %q", strings.TrimPrefix(got, string(src)))
	}
	src, err = os.ReadFile("testdata/emqx44/emqx.conf")
	if err != nil {
		t.Fatal(err)
	}
	got = mustApply(t, "properties", string(src), set("cluster.static.seeds", "emqx1@127.0.0.1,emqx2@127.0.0.1"))
	if want := string(src) + "cluster.static.seeds = emqx1@127.0.0.1,emqx2@127.0.0.1\n"; got != want {
		t.Errorf("a default that is commented out was taken for the key, or the line is wrong: %q", strings.TrimPrefix(got, string(src)))
	}
}
