package confedit

import (
	"strings"
	"testing"
)

type applyCase struct {
	name, format string
	src          string
	edits        []Edit
	want         string // the file afterwards; "" for unchanged
}

func set(key, value string) Edit { return Edit{Key: key, Value: value} }
func raw(key, value string) Edit { return Edit{Key: key, Value: value, Raw: true} }

func applyCases() []applyCase {
	var all []applyCase
	for format, cases := range map[string][]applyCase{
		"toml": tomlCases(), "properties": propertiesCases(), "nats": blocksCases(), "hocon": hoconCases(),
		"redis": directiveCases(), "ini": iniCases(), "json": jsonCases(), "yaml": yamlCases(),
		"env": envCases(), "postgresql": settingsCases(), "keyvalue": keyValueCases(), "xml": xmlCases(), "hcl": hclCases(),
	} {
		for _, c := range cases {
			c.format = format
			all = append(all, c)
		}
	}
	return all
}

func TestApply(t *testing.T) {
	for _, c := range applyCases() {
		t.Run(c.format+"/"+c.name, func(t *testing.T) {
			want := c.want
			if want == "" {
				want = c.src
			}
			got := mustApply(t, c.format, c.src, c.edits...)
			if got != want {
				t.Fatalf("got\n%s\nwant\n%s", got, want)
			}
			if again := mustApply(t, c.format, got, c.edits...); again != got {
				t.Fatalf("set twice\n%s\nonce\n%s", again, got)
			}
			crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
			if strings.Contains(c.src, "\n") && !strings.Contains(c.src, "\r") {
				if got := mustApply(t, c.format, crlf(c.src), c.edits...); got != crlf(want) {
					t.Fatalf("with CRLF: got\n%q\nwant\n%q", got, crlf(want))
				}
			}
			for _, e := range c.edits {
				if !e.Raw {
					checkEdit(t, c.format, []byte(c.src), e.Key, e.Value)
				}
			}
		})
	}
}

func tomlCases() []applyCase {
	const doc = `# node
name = "a@127.0.0.1" # who
port=1883

[listeners.mqtt] # the first
  bind = "127.0.0.1:1883"
  ports = [
    1883, # plain
    8883,
  ]
# the end of it

[cluster]
seeds = []
opts = { retries = 3, name = 'x' }

[[peer]]
id = 1
[[peer]]
id = 2
tags.color = "red"
`
	return []applyCase{
		{name: "string stays string", src: doc, edits: []Edit{set("name", "5")}, want: strings.Replace(doc, `"a@127.0.0.1"`, `"5"`, 1)},
		{name: "number stays number", src: doc, edits: []Edit{set("port", "2883")}, want: strings.Replace(doc, "port=1883", "port=2883", 1)},
		{name: "number gives way to text", src: doc, edits: []Edit{set("port", "2883x")}, want: strings.Replace(doc, "port=1883", `port="2883x"`, 1)},
		{name: "literal stays literal", src: doc, edits: []Edit{set("cluster.opts.name", `C:\y`)}, want: strings.Replace(doc, "'x'", `'C:\y'`, 1)},
		{name: "literal can't", src: doc, edits: []Edit{set("cluster.opts.name", `it's`)}, want: strings.Replace(doc, "'x'", `"it's"`, 1)},
		{name: "element", src: doc, edits: []Edit{set("listeners.mqtt.ports.1", "9883")}, want: strings.Replace(doc, "8883", "9883", 1)},
		{name: "table of an array", src: doc, edits: []Edit{set("peer.1.id", "7")}, want: strings.Replace(doc, "id = 2", "id = 7", 1)},
		{name: "raw array", src: doc, edits: []Edit{raw("cluster.seeds", ` ["a", "b"] `)}, want: strings.Replace(doc, "[]", `["a", "b"]`, 1)},
		{name: "same value", src: doc, edits: []Edit{set("name", "a@127.0.0.1"), set("port", "1883"), raw("cluster.seeds", "[]")}},
		{name: "several at once", src: doc, edits: []Edit{set("name", "b"), set("peer.0.id", "3"), set("name", "c"), set("port", "1")},
			want: strings.NewReplacer(`"a@127.0.0.1"`, `"c"`, "port=1883", "port=1", "id = 1", "id = 3").Replace(doc)},
		{name: "there and back", src: doc, edits: []Edit{set("port", "1"), set("port", "1883")}},
		{name: "new in root", src: doc, edits: []Edit{set("host", "x")}, want: strings.Replace(doc, "port=1883\n", "port=1883\nhost = \"x\"\n", 1)},
		{name: "new in section", src: doc, edits: []Edit{set("listeners.mqtt.tls", "true")},
			want: strings.Replace(doc, "  ]\n", "  ]\n  tls = true\n", 1)},
		{name: "new in inline table", src: doc, edits: []Edit{set("cluster.opts.wait.min", "1.5")},
			want: strings.Replace(doc, "'x' }", "'x', wait.min = 1.5 }", 1)},
		{name: "new in dotted table", src: doc, edits: []Edit{set("peer.1.tags.size", "big")},
			want: doc + "tags.size = \"big\"\n"},
		{name: "new in implied table", src: doc, edits: []Edit{set("listeners.backlog", "9")},
			want: strings.Replace(doc, "  ]\n", "  ]\n\n[listeners]\nbacklog = 9\n", 1)},
		{name: "new table", src: doc, edits: []Edit{set("log.to.file", "x.log"), set("log.to.size", "5")},
			want: doc + "\n[log.to]\nfile = \"x.log\"\nsize = 5\n"},
		{name: "new under a section", src: doc, edits: []Edit{set("cluster.join.wait", "5")},
			want: strings.Replace(doc, "'x' }\n", "'x' }\njoin.wait = 5\n", 1)},
		{name: "no final newline", src: "a = 1", edits: []Edit{set("b", "2"), set("c.d", "x")}, want: "a = 1\nb = 2\n\n[c]\nd = \"x\""},
		{name: "empty file", src: "", edits: []Edit{set("a", "1")}, want: "a = 1\n"},
		{name: "byte order mark", src: "\ufeff[t]\nx = 1", edits: []Edit{set("t.x", "2"), set("a", "1")}, want: "\ufeffa = 1\n\n[t]\nx = 2"},
		{name: "nothing but a byte order mark", src: "\ufeff", edits: []Edit{set("t.x", "2")}, want: "\ufeff[t]\nx = 2\n"},
		{name: "commented out is not there", src: "# a = 1\n[t]\nx = 1\n", edits: []Edit{set("a", "2")}, want: "a = 2\n\n# a = 1\n[t]\nx = 1\n"},
		{name: "strange keys", src: "\"a.b\".\"\" = 1\n'é' = 2\n", edits: []Edit{set(`"a.b".""`, "3"), set("é", "4"), set(`"a.b".c`, "5")},
			want: "\"a.b\".\"\" = 3\n\"a.b\".c = 5\n'é' = 4\n"},
		{name: "multiline", src: "a = \"\"\"\nx\\\n   y\"\"\"\nb = '''q'''\n", edits: []Edit{set("a", "z"), set("b", "q")}, want: "a = \"z\"\nb = '''q'''\n"},
		{name: "date", src: "d = 2020-01-01 10:00:00Z # d\n", edits: []Edit{set("d", "2021-02-03")}, want: "d = 2021-02-03 # d\n"},
		{name: "hex", src: "d = 0xff\n", edits: []Edit{set("d", "0x1_0")}, want: "d = 0x1_0\n"},
	}
}

func propertiesCases() []applyCase {
	const doc = "## Node\n# node.name = x\nnode.name = emqx@127.0.0.1\nlistener.tcp.external = 0.0.0.0:1883 # all\n" +
		"listener.tcp.external.zone=external\nnode.name = emqx@127.0.0.1  \nempty =\nquoted = 'a # b'\n"
	return []applyCase{
		{name: "the last wins", src: doc, edits: []Edit{set("node.name", "b@h")},
			want: strings.Replace(doc, "node.name = emqx@127.0.0.1  \n", "node.name = b@h  \n", 1)},
		{name: "comment stays", src: doc, edits: []Edit{set("listener.tcp.external", "2883")},
			want: strings.Replace(doc, "0.0.0.0:1883 # all", "2883 # all", 1)},
		{name: "empty", src: doc, edits: []Edit{set("empty", "x")}, want: strings.Replace(doc, "empty =\n", "empty =x\n", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("quoted", "c#d")}, want: strings.Replace(doc, "a # b", "c#d", 1)},
		{name: "new", src: doc, edits: []Edit{set("node.cookie", "c=d")}, want: doc + "node.cookie = c=d\n"},
		{name: "new alike", src: "a=1", edits: []Edit{set("b", "2")}, want: "a=1\nb=2"},
		{name: "raw", src: "a=1\n", edits: []Edit{raw("a", "'x # y'")}, want: "a='x # y'\n"},
		{name: "java", src: "! c\nkey\\ one : v \\\n   w\nplain text\n", edits: []Edit{set("key one", "z"), set("plain", "t")},
			want: "! c\nkey\\ one : z\nplain t\n"},
	}
}

func blocksCases() []applyCase {
	const doc = `# server
port: 4222
server_name = n1 // one
http 8222;
cluster {
  name: "C"   # quoted
  listen: 127.0.0.1:6222
  routes = [
    nats://127.0.0.1:6222
    "nats://127.0.0.1:6223", # two
  ]
  // end
}
jetstream: { store_dir: '/tmp/js', max_mem: 1GB }
authorization {
  users = [ {user: a, password: b}, {user: c, password: $PW} ]
}
debug: yes
`
	return []applyCase{
		{name: "number", src: doc, edits: []Edit{set("port", "5222")}, want: strings.Replace(doc, "4222", "5222", 1)},
		{name: "case", src: doc, edits: []Edit{set("PORT", "5222")}, want: strings.Replace(doc, "4222", "5222", 1)},
		{name: "bare", src: doc, edits: []Edit{set("server_name", "n2")}, want: strings.Replace(doc, "n1", "n2", 1)},
		{name: "bare needs quotes", src: doc, edits: []Edit{set("server_name", "2")}, want: strings.Replace(doc, "n1", `"2"`, 1)},
		{name: "after a key alone", src: doc, edits: []Edit{set("http", "8223")}, want: strings.Replace(doc, "8222;", "8223;", 1)},
		{name: "address", src: doc, edits: []Edit{set("cluster.listen", "127.0.0.1:7222")}, want: strings.Replace(doc, "127.0.0.1:6222\n  routes", "127.0.0.1:7222\n  routes", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("cluster.name", `a"b`)}, want: strings.Replace(doc, `"C"`, `"a\"b"`, 1)},
		{name: "element", src: doc, edits: []Edit{set("cluster.routes.0", "nats://h:1")}, want: strings.Replace(doc, "nats://127.0.0.1:6222", "nats://h:1", 1)},
		{name: "raw array", src: doc, edits: []Edit{raw("cluster.routes", "[a, b]")},
			want: doc[:strings.Index(doc, "[\n")] + "[a, b]" + doc[strings.Index(doc, "  ]\n")+3:]},
		{name: "single quotes and suffix", src: doc, edits: []Edit{set("jetstream.store_dir", "/x"), set("jetstream.max_mem", "2GB")},
			want: strings.NewReplacer("'/tmp/js'", "'/x'", "1GB", "2GB").Replace(doc)},
		{name: "reference", src: doc, edits: []Edit{set("authorization.users.1.password", "s3")}, want: strings.Replace(doc, "$PW", `"s3"`, 1)},
		{name: "bool", src: doc, edits: []Edit{set("debug", "no")}, want: strings.Replace(doc, "yes", "no", 1)},
		{name: "new at the end", src: doc, edits: []Edit{set("max_payload", "8")}, want: doc + "max_payload: 8\n"},
		{name: "new in a block", src: doc, edits: []Edit{set("cluster.pool_size", "3")},
			want: strings.Replace(doc, "  ]\n", "  ]\n  pool_size: 3\n", 1)},
		{name: "new in a short block", src: doc, edits: []Edit{set("jetstream.domain", "d x")}, want: strings.Replace(doc, "1GB }", `1GB, domain: "d x" }`, 1)},
		{name: "new blocks", src: doc, edits: []Edit{set("leafnodes.tls.verify", "true"), set("leafnodes.port", "7422")},
			want: doc + "leafnodes {\n  tls {\n    verify: true\n  }\n  port: 7422\n}\n"},
		{name: "empty blocks", src: "a {}\nb {\n}\n", edits: []Edit{set("a.x", "1"), set("b.x", "1")}, want: "a { x: 1 }\nb {\n  x: 1\n}\n"},
		{name: "the last block counts", src: "a { x: 1 }\na { y: 1 }\n", edits: []Edit{set("a.x", "2")}, want: "a { x: 1 }\na { y: 1, x: 2 }\n"},
		{name: "wrapped", src: "{\n  \"port\": 1,\n}\n", edits: []Edit{set("port", "2"), set("host", "h")}, want: "{\n  \"port\": 2,\n  host: \"h\"\n}\n"},
		{name: "include", src: "include ./x.conf\na: 1\nb { include 'y.conf' }\n", edits: []Edit{set("a", "2"), set("b.c", "1")},
			want: "include ./x.conf\na: 2\nb { include 'y.conf', c: 1 }\n"},
	}
}

func hoconCases() []applyCase {
	const doc = `## comment
include "base.conf"
node {
  name = "emqx@127.0.0.1"  # who
  cookie : secret
}
listeners.tcp.default {
  bind = "0.0.0.0:1883"
  acceptors = 16
  idle = 15s
}
listeners { ws.default { bind = 8083 } }
hosts = [ { name = a, port = 1 }
  { name = b, port = 2 } ]
path = ${HOME}"/x" y
node.name = "emqx2@127.0.0.1"
text = """a "q"
b"""
`
	return []applyCase{
		{name: "the one that wins", src: doc, edits: []Edit{set("node.name", "x@h")}, want: strings.Replace(doc, "emqx2@127.0.0.1", "x@h", 1)},
		{name: "bare stays bare", src: doc, edits: []Edit{set("node.cookie", "other")}, want: strings.Replace(doc, "secret", "other", 1)},
		{name: "bare needs quotes", src: doc, edits: []Edit{set("node.cookie", "a#b")}, want: strings.Replace(doc, "secret", `"a#b"`, 1)},
		{name: "dotted block", src: doc, edits: []Edit{set("listeners.tcp.default.bind", "127.0.0.1:2883"), set("listeners.tcp.default.idle", "20s"), set("listeners.tcp.default.acceptors", "8")},
			want: strings.NewReplacer("0.0.0.0:1883", "127.0.0.1:2883", "15s", "20s", "16", "8").Replace(doc)},
		{name: "number gives way", src: doc, edits: []Edit{set("listeners.ws.default.bind", "127.0.0.1:8083")}, want: strings.Replace(doc, "bind = 8083", `bind = "127.0.0.1:8083"`, 1)},
		{name: "in an array", src: doc, edits: []Edit{set("hosts.1.port", "3")}, want: strings.Replace(doc, "port = 2", "port = 3", 1)},
		{name: "new in an array", src: doc, edits: []Edit{set("hosts.0.tls.on", "true")}, want: strings.Replace(doc, "port = 1 }", "port = 1, tls.on = true }", 1)},
		{name: "substitution", src: doc, edits: []Edit{set("path", "/y")}, want: strings.Replace(doc, `${HOME}"/x" y`, `"/y"`, 1)},
		{name: "new", src: doc, edits: []Edit{set("listeners.ssl.default.bind", "8883"), set(`a."b.c"`, "x")},
			want: doc + "listeners.ssl.default.bind = 8883\na.\"b.c\" = \"x\"\n"},
		{name: "triple quotes", src: doc, edits: []Edit{set("text", "z")}, want: strings.Replace(doc, "\"\"\"a \"q\"\nb\"\"\"", `"z"`, 1)},
		{name: "raw", src: doc, edits: []Edit{raw("hosts", "[a, b]"), raw("cluster.seeds", `["x@h"]`)},
			want: doc[:strings.Index(doc, "[ {")] + "[a, b]" + doc[strings.Index(doc, "\npath"):] + "cluster.seeds = [\"x@h\"]\n"},
		{name: "in braces", src: "{\n  \"a\" : { \"b\" : 1 },\n  \"c\" : 2\n}", edits: []Edit{set("a.b", "5"), set("a.d", "6")},
			want: "{\n  \"a\" : { \"b\" : 5 },\n  \"c\" : 2\n  a.d = 6\n}"},
		{name: "scalar overrides object", src: "a { b = 1 }\na = 5\na.c = 2\n", edits: []Edit{set("a.b", "7")}, want: "a { b = 1 }\na = 5\na.c = 2\na.b = 7\n"},
		{name: "no final newline", src: "a = 1", edits: []Edit{set("b.c", "on fire")}, want: "a = 1\nb.c = \"on fire\""},
	}
}

func directiveCases() []applyCase {
	const doc = "# redis\nport 6379\nbind 127.0.0.1 -::1\nrequirepass \"a b\\x21\"\nsave 900 1\nsave 300 10\n# save \"\"\nlogfile \"\"\nDIR ./\n"
	return []applyCase{
		{name: "one argument", src: doc, edits: []Edit{set("port", "7379")}, want: strings.Replace(doc, "6379", "7379", 1)},
		{name: "several", src: doc, edits: []Edit{set("bind", "127.0.0.2 -::1")}, want: strings.Replace(doc, "127.0.0.1", "127.0.0.2", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("requirepass", `c" d`)}, want: strings.Replace(doc, `"a b\x21"`, `"c\" d"`, 1)},
		{name: "unquoted is the same", src: doc, edits: []Edit{set("requirepass", "a b!"), set("logfile", "")}},
		{name: "the last wins", src: doc, edits: []Edit{set("save", "60 5")}, want: strings.Replace(doc, "300 10", "60 5", 1)},
		{name: "by number", src: doc, edits: []Edit{set("save.0", "1 1"), raw("save.2", "2 2")}, want: strings.Replace(doc, "900 1", "1 1", 1) + "save 2 2\n"},
		{name: "case", src: doc, edits: []Edit{set("dir", "/x")}, want: strings.Replace(doc, "DIR ./", "DIR /x", 1)},
		{name: "new", src: doc, edits: []Edit{set("cluster-enabled", "yes"), set("user", "a b")}, want: doc + "cluster-enabled yes\nuser \"a b\"\n"},
		{name: "no argument", src: "a\nb 1", edits: []Edit{set("a", "x"), set("c", "")}, want: "a x\nb 1\nc \"\""},
	}
}

func iniCases() []applyCase {
	const doc = "; top\nglobal=1\n\n[server]\n; protocol\nhttp_port = 3000 ; the port\nname = \"a b\"\nflag\n\n[a.b]\nkey: v\n[server]\nhttp_port = 3001\n"
	return []applyCase{
		{name: "the last wins", src: doc, edits: []Edit{set("server.http_port", "4000")}, want: strings.Replace(doc, "3001", "4000", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("server.name", "5")}, want: strings.Replace(doc, "a b", "5", 1)},
		{name: "global", src: doc, edits: []Edit{set("global", "x y")}, want: strings.Replace(doc, "global=1", "global=x y", 1)},
		{name: "section with a dot", src: doc, edits: []Edit{set("a.b.key", "w"), set(`"a.b".key`, "x")}, want: strings.Replace(doc, "key: v", "key: x", 1)},
		{name: "without a value", src: doc, edits: []Edit{set("server.flag", "on")}, want: strings.Replace(doc, "flag\n", "flag = on\n", 1)},
		{name: "new", src: doc, edits: []Edit{set("server.host", "h"), set("a.b.c", "1"), set("top", "2")},
			want: strings.NewReplacer("3001\n", "3001\nhost = h\n", "key: v\n", "key: v\nc: 1\n", "global=1\n", "global=1\ntop=2\n").Replace(doc)},
		{name: "new section", src: doc, edits: []Edit{set("log.file", " x"), set("log.n", "1")}, want: doc + "\n[log]\nfile: \" x\"\nn: 1\n"},
		{name: "first", src: "[s]\na=1", edits: []Edit{set("b", "2")}, want: "b=2\n\n[s]\na=1"},
		{name: "comment in value", src: "a = b;c # d\n", edits: []Edit{set("a", "x;y")}, want: "a = x;y # d\n"},
	}
}

func jsonCases() []applyCase {
	const doc = "{\n  \"port\" : 1883,\n  \"node\": {\"name\": \"a\", \"on\": true},\n  \"list\": [1, {\"x\": null}],\n  \"empty\": {}\n}\n"
	return []applyCase{
		{name: "number", src: doc, edits: []Edit{set("port", "2883")}, want: strings.Replace(doc, "1883", "2883", 1)},
		{name: "text for a number", src: doc, edits: []Edit{set("port", "x")}, want: strings.Replace(doc, "1883", `"x"`, 1)},
		{name: "string stays string", src: doc, edits: []Edit{set("node.name", "5")}, want: strings.Replace(doc, `"a"`, `"5"`, 1)},
		{name: "bool", src: doc, edits: []Edit{set("node.on", "false")}, want: strings.Replace(doc, "true", "false", 1)},
		{name: "element and null", src: doc, edits: []Edit{set("list.0", "2"), set("list.1.x", "é\n")}, want: strings.NewReplacer("[1,", "[2,", "null", `"é\n"`).Replace(doc)},
		{name: "new on a line", src: doc, edits: []Edit{set("node.host", "h")}, want: strings.Replace(doc, "true}", `true, "host": "h"}`, 1)},
		{name: "new on its own line", src: doc, edits: []Edit{set("a.b", "1")}, want: strings.Replace(doc, "{}\n}", "{},\n  \"a\": {\"b\": 1}\n}", 1)},
		{name: "new in empty", src: doc, edits: []Edit{set("empty.k", "1")}, want: strings.Replace(doc, "{}", `{"k": 1}`, 1)},
		{name: "raw", src: doc, edits: []Edit{raw("list", `["a"]`), raw("node", "{}")}, want: strings.NewReplacer(`[1, {"x": null}]`, `["a"]`, `{"name": "a", "on": true}`, "{}").Replace(doc)},
		{name: "the last wins", src: `{"a":1,"a":2}`, edits: []Edit{set("a", "3")}, want: `{"a":1,"a":3}`},
	}
}

func yamlCases() []applyCase {
	const doc = `# top
server:
    port: 1883   # the port
    name: "n1"
    host: 'h'
    word: plain
    addr: 0.0.0.0:1883
    when: 2020-01-01
    nothing:
    flow: {a: 1, b: [x, 'y'],}
  # a comment to the left
    text: |
      one
      two

    list:
    - a
    - port: 1
      host: b
    -   - nested
last: yes
`
	return []applyCase{
		{name: "number", src: doc, edits: []Edit{set("server.port", "2883")}, want: strings.Replace(doc, "1883   #", "2883   #", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("server.name", "5"), set("server.host", "it's")}, want: strings.NewReplacer(`"n1"`, `"5"`, "'h'", "'it''s'").Replace(doc)},
		{name: "bare", src: doc, edits: []Edit{set("server.word", "other word")}, want: strings.Replace(doc, "plain", "other word", 1)},
		{name: "bare needs quotes", src: doc, edits: []Edit{set("server.word", "true")}, want: strings.Replace(doc, "plain", `"true"`, 1)},
		{name: "address", src: doc, edits: []Edit{set("server.addr", "0.0.0.0:2883")}, want: strings.Replace(doc, "0.0.0.0:1883", "0.0.0.0:2883", 1)},
		{name: "nothing", src: doc, edits: []Edit{set("server.nothing", "x")}, want: strings.Replace(doc, "nothing:", "nothing: x", 1)},
		{name: "flow", src: doc, edits: []Edit{set("server.flow.a", "2"), set("server.flow.b.1", "z")}, want: strings.NewReplacer("a: 1,", "a: 2,", "'y'", "'z'").Replace(doc)},
		{name: "block text", src: doc, edits: []Edit{set("server.text", "x")}, want: strings.Replace(doc, "|\n      one\n      two\n", "\"x\"\n", 1)},
		{name: "same text", src: doc, edits: []Edit{set("server.text", "one\ntwo\n"), set("last", "yes")}},
		{name: "elements", src: doc, edits: []Edit{set("server.list.0", "b"), set("server.list.1.port", "2"), set("server.list.2.0", "n")},
			want: strings.NewReplacer("- a\n", "- b\n", "port: 1\n", "port: 2\n", "nested", "\"n\"").Replace(doc)},
		{name: "new in a block", src: doc, edits: []Edit{set("server.new", "v")}, want: strings.Replace(doc, "nested\n", "nested\n    new: v\n", 1)},
		{name: "new in an element", src: doc, edits: []Edit{set("server.list.1.x.z", "1")}, want: strings.Replace(doc, "host: b\n", "host: b\n      x:\n          z: 1\n", 1)},
		{name: "new in flow", src: doc, edits: []Edit{set("server.flow.c.d", "1")}, want: strings.Replace(doc, "'y'],}", "'y'], c: {d: 1}}", 1)},
		{name: "new under nothing", src: doc, edits: []Edit{set("server.nothing.a.b", "1")}, want: strings.Replace(doc, "nothing:\n", "nothing:\n        a:\n            b: 1\n", 1)},
		{name: "new at the end", src: doc, edits: []Edit{set("log.level", "info")}, want: doc + "log:\n    level: info\n"},
		{name: "raw", src: doc, edits: []Edit{raw("server.flow", "[1, 2]"), raw("seeds", `["a", b]`)},
			want: strings.Replace(doc, "{a: 1, b: [x, 'y'],}", "[1, 2]", 1) + "seeds: [\"a\", b]\n"},
		{name: "empty file", src: "# nothing\n", edits: []Edit{set("a.b", "x: y")}, want: "# nothing\na:\n  b: \"x: y\"\n"},
		{name: "document", src: "%YAML 1.2\n---\na: &x !!str 1\nb: *x\n...\n", edits: []Edit{set("b", "2"), set("c", "3")}, want: "%YAML 1.2\n---\na: &x !!str 1\nb: 2\nc: 3\n...\n"},
		{name: "no final newline", src: "a: 1", edits: []Edit{set("b", "")}, want: "a: 1\nb: \"\""},
	}
}

// TestUnset: the lines of keys go, however often they stand there, and nothing else does.
func TestUnset(t *testing.T) {
	const src = "# amqp\nlisteners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.default = 5673\n  listeners.tcp.1 = \\\n  5674 # twice\nlisteners.ssl.1 = 5671\nlast = x"
	const want = "# amqp\nlisteners.tcp.default = 1\nlisteners.ssl.1 = 5671\nlast = x"
	edits := []Edit{{Key: "listeners.tcp.default", Value: "1"}, {Key: "listeners.tcp.*", Unset: true}, {Key: "other", Value: "y", Present: true}}
	got := []byte(src)
	for range 2 {
		var err error
		if got, err = Apply("properties", got, edits); err != nil || string(got) != want {
			t.Fatalf("got %q, %v\nwant %q", got, err, want)
		}
	}
	if got, err := Apply("properties", []byte("a = 1\nb = 2"), []Edit{{Key: "b", Unset: true}}); string(got) != "a = 1\n" || err != nil {
		t.Errorf("the last line: %q, %v", got, err)
	}
	if _, err := Apply("properties", []byte("a = 1\n"), []Edit{{Key: "[", Unset: true}}); err == nil {
		t.Error("a broken pattern was taken")
	}
}
