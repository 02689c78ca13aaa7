package confedit

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func envCases() []applyCase {
	const doc = "# node\nPORT=1883 # the port\nexport NAME=\"a b\\\"c\"\nDIR='/x y'\nURL=http://$HOST:${PORT}/#x\nEMPTY=\nNAME=b\nPASS\nMULTI=\"one\ntwo\"\n"
	return []applyCase{
		{name: "bare", src: doc, edits: []Edit{set("PORT", "2883")}, want: strings.Replace(doc, "1883", "2883", 1)},
		{name: "the last wins", src: doc, edits: []Edit{set("NAME", "c")}, want: strings.Replace(doc, "NAME=b", "NAME=c", 1)},
		{name: "bare needs quotes", src: doc, edits: []Edit{set("NAME", "c d"), set("PORT", "$x")}, want: strings.NewReplacer("NAME=b", `NAME="c d"`, "1883", "'$x'").Replace(doc)},
		{name: "single quotes", src: doc, edits: []Edit{set("DIR", `/z "$`)}, want: strings.Replace(doc, "/x y", `/z "$`, 1)},
		{name: "both quotes", src: doc, edits: []Edit{set("DIR", `it's $5`)}, want: strings.Replace(doc, "'/x y'", `"it's \$5"`, 1)},
		{name: "reference", src: doc, edits: []Edit{set("URL", "mqtt://h:1")}, want: strings.Replace(doc, "http://$HOST:${PORT}/#x", "mqtt://h:1", 1)},
		{name: "empty", src: doc, edits: []Edit{set("EMPTY", "x"), set("MULTI", "y")}, want: strings.NewReplacer("EMPTY=", "EMPTY=x", "\"one\ntwo\"", `"y"`).Replace(doc)},
		{name: "new", src: doc, edits: []Edit{set("NEW_ONE", "a=b"), set("PASS", "p")}, want: doc + "NEW_ONE=a=b\nPASS=p\n"},
		{name: "same", src: doc, edits: []Edit{set("DIR", "/x y"), set("EMPTY", "")}},
	}
}

func settingsCases() []applyCase {
	const doc = "# c\nport = 5432 # port\nlisten_addresses 'localhost'\nMax_Connections=100\nshared_buffers = 128MB\nlog_line_prefix = 'it''s \\n'\nwal_level = replica\nfsync = on\ncustom.key = 1\n"
	return []applyCase{
		{name: "number", src: doc, edits: []Edit{set("port", "5433")}, want: strings.Replace(doc, "5432", "5433", 1)},
		{name: "case", src: doc, edits: []Edit{set("max_connections", "20"), set("PORT", "5432")}, want: strings.Replace(doc, "100", "20", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("listen_addresses", "it's"), set("log_line_prefix", `a\b`)}, want: strings.NewReplacer("'localhost'", "'it''s'", `'it''s \n'`, `'a\\b'`).Replace(doc)},
		{name: "unit", src: doc, edits: []Edit{set("shared_buffers", "1GB")}, want: strings.Replace(doc, "128MB", "1GB", 1)},
		{name: "word", src: doc, edits: []Edit{set("wal_level", "logical"), set("fsync", "off")}, want: strings.NewReplacer("replica", "logical", "= on", "= off").Replace(doc)},
		{name: "word needs quotes", src: doc, edits: []Edit{set("wal_level", "a b")}, want: strings.Replace(doc, "replica", "'a b'", 1)},
		{name: "new", src: doc, edits: []Edit{set("unix_socket_directories", "/x y"), set("max_wal_senders", "3"), set("hot_standby", "true"), set("a", "8MB")},
			want: doc + "unix_socket_directories = '/x y'\nmax_wal_senders = 3\nhot_standby = true\na = '8MB'\n"},
		{name: "same", src: doc, edits: []Edit{set("log_line_prefix", "it's \n"), set("custom.key", "1")}},
	}
}

func keyValueCases() []applyCase {
	const doc = "# sshd\nPort 22 # the port\nListenAddress 0.0.0.0\nListenAddress ::\nAcceptEnv LANG LC_*\nBanner \"/etc/my file\"\n"
	return []applyCase{
		{name: "comment stays", src: doc, edits: []Edit{set("Port", "2222")}, want: strings.Replace(doc, "22 #", "2222 #", 1)},
		{name: "one of several", src: doc, edits: []Edit{set("ListenAddress.0", "127.0.0.1")}, want: strings.Replace(doc, "0.0.0.0", "127.0.0.1", 1)},
		{name: "quoted", src: doc, edits: []Edit{set("Banner", "#x")}, want: strings.Replace(doc, "/etc/my file", "#x", 1)},
		{name: "new", src: doc, edits: []Edit{set("PidFile", "/run/x y")}, want: doc + "pidfile \"/run/x y\"\n"},
	}
}

func xmlCases() []applyCase {
	const doc = `<?xml version="1.0"?>
<!DOCTYPE x [ <!ENTITY a "b"> ]>
<clickhouse>
    <!-- ports -->
    <tcp_port>9000</tcp_port>
    <path> /var/lib </path>
    <users replace="1" from='env'>
        <default/>
        <name>a &amp; b</name>
    </users>
    <hosts><host>a</host><host port="1">b</host></hosts>
    <empty></empty>
    <raw><![CDATA[a < b]]></raw>
</clickhouse>
`
	return []applyCase{
		{name: "text", src: doc, edits: []Edit{set("clickhouse.tcp_port", "9001"), set("clickhouse.path", "/x")}, want: strings.NewReplacer("9000", "9001", "/var/lib", "/x").Replace(doc)},
		{name: "attribute", src: doc, edits: []Edit{set("clickhouse.users.@replace", `"2'`), set("clickhouse.users.@from", "x")},
			want: strings.NewReplacer(`"1" from='env'`, `"&quot;2&apos;" from='x'`).Replace(doc)},
		{name: "entities", src: doc, edits: []Edit{set("clickhouse.users.name", " <c>\n")}, want: strings.Replace(doc, "a &amp; b", "&#32;&lt;c&gt;&#10;", 1)},
		{name: "several", src: doc, edits: []Edit{set("clickhouse.hosts.host", "c"), set("clickhouse.hosts.host.1", "d"), set("clickhouse.hosts.host.1.@port", "2")},
			want: strings.NewReplacer("<host>a", "<host>c", `"1">b<`, `"2">d<`).Replace(doc)},
		{name: "empty", src: doc, edits: []Edit{set("clickhouse.users.default", "x"), set("clickhouse.empty", "y")},
			want: strings.NewReplacer("<default/>", "<default>x</default>", "<empty></empty>", "<empty>y</empty>").Replace(doc)},
		{name: "cdata", src: doc, edits: []Edit{set("clickhouse.raw", "x")}, want: strings.Replace(doc, "<![CDATA[a < b]]>", "x", 1)},
		{name: "new", src: doc, edits: []Edit{set("clickhouse.users.profile.max", "1"), set("clickhouse.users.@id", "2"), set("clickhouse.users.default.x", "3")},
			want: strings.NewReplacer("'env'>", `'env' id="2">`, "</name>\n", "</name>\n        <profile><max>1</max></profile>\n", "<default/>", "<default><x>3</x></default>").Replace(doc)},
		{name: "new on a line", src: doc, edits: []Edit{set("clickhouse.hosts.zone", "z")}, want: strings.Replace(doc, "</hosts>", "<zone>z</zone></hosts>", 1)},
		{name: "same", src: doc, edits: []Edit{set("clickhouse.path", "/var/lib"), set("clickhouse.users.name", "a & b"), set("clickhouse.users.default", "")}},
	}
}

func hclCases() []applyCase {
	const doc = `# consul
datacenter = "dc1" // here
ports {
  http = 8500
  grpc = -1
}
retry_join = ["a", "b"]
/* two
   listeners */
listener "tcp" {
  address = "127.0.0.1:8200"
  tls_disable = true
}
listener "tcp" {
  address = "127.0.0.1:8300"
}
tags = { "a b" = 1, c = "${env("X")}" }
policy = <<-EOT
  path "x" {
  }
  EOT
expr = foo(1,
  2) + 3
text = "cost $${x}"
`
	return []applyCase{
		{name: "string", src: doc, edits: []Edit{set("datacenter", "dc2")}, want: strings.Replace(doc, "dc1", "dc2", 1)},
		{name: "in a block", src: doc, edits: []Edit{set("ports.http", "9500"), set("ports.grpc", "1")}, want: strings.NewReplacer("8500", "9500", "-1", "1").Replace(doc)},
		{name: "several blocks", src: doc, edits: []Edit{set("listener.tcp.address", "h:1"), set("listener.tcp.1.address", "h:2")},
			want: strings.NewReplacer("127.0.0.1:8200", "h:1", "127.0.0.1:8300", "h:2").Replace(doc)},
		{name: "object", src: doc, edits: []Edit{set(`tags.a b`, "2"), set("tags.c", "x"), set("tags.d", "y")}, want: strings.NewReplacer("= 1,", "= 2,", `"${env("X")}" }`, `"x", d = "y" }`).Replace(doc)},
		{name: "list", src: doc, edits: []Edit{set("retry_join.1", "c")}, want: strings.Replace(doc, `"b"]`, `"c"]`, 1)},
		{name: "raw", src: doc, edits: []Edit{raw("retry_join", `["c"]`)}, want: strings.Replace(doc, `["a", "b"]`, `["c"]`, 1)},
		{name: "expression", src: doc, edits: []Edit{set("expr", "5"), set("policy", "p")}, want: strings.NewReplacer("foo(1,\n  2) + 3", "5", "<<-EOT\n  path \"x\" {\n  }\n  EOT", `"p"`).Replace(doc)},
		{name: "template", src: doc, edits: []Edit{set("text", "a ${b}")}, want: strings.Replace(doc, "cost $${x}", "a $${b}", 1)},
		{name: "new", src: doc, edits: []Edit{set("ports.dns", "8600"), set("server", "true"), set("addresses.http", "h")},
			want: strings.Replace(doc, "grpc = -1\n", "grpc = -1\n  dns = 8600\n", 1) + "server = true\naddresses {\n  http = \"h\"\n}\n"},
		{name: "new in blocks on a line", src: "p { h = 1 }\nq {}\no = { a = 1 }\n", edits: []Edit{set("p.i", "2"), set("q.r.s.t", "3"), set("o.b.c", "4")},
			want: "p {\n  h = 1\n  i = 2\n}\nq {\n  r {\n    s {\n      t = 3\n    }\n  }\n}\no = { a = 1, b = { c = 4 } }\n"},
		{name: "new block with labels", src: "a \"b\" {\n}\n", edits: []Edit{set("a.b.x", "1"), set("a.c.x", "2")}, want: "a \"b\" {\n  x = 1\n}\na \"c\" {\n  x = 2\n}\n"},
		{name: "same", src: doc, edits: []Edit{set("policy", "path \"x\" {\n}\n"), set("text", "cost ${x}"), set("ports.grpc", "-1")}},
	}
}

// TestPrograms: files that can't be edited key by key are known, and refused in words.
func TestPrograms(t *testing.T) {
	format, ok := FormatOf("etc/config.lua")
	if !ok || format != "lua" {
		t.Fatalf("FormatOf: %q, %v", format, ok)
	}
	if _, err := Apply(format, []byte("box.cfg { listen = 3301 }\n"), []Edit{set("listen", "1")}); !errors.Is(err, ErrProgram) {
		t.Errorf("got %v", err)
	}
}

// decodeXML is what the standard library reads of a file with one root element.
func decodeXML(src []byte) (map[string]string, error) {
	strict := xml.NewDecoder(bytes.NewReader(src))
	for {
		if _, err := strict.Token(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	type element struct {
		names    []string
		text     string
		children map[string]int
		elements int
	}
	flat := map[string]string{}
	stack := []*element{{children: map[string]int{}}}
	raw := xml.NewDecoder(bytes.NewReader(src))
	var paths [][]string // of elements, to number those that stand several times
	for {
		token, err := raw.RawToken()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			name := xmlName(token.Name)
			top.elements++
			names := append(slices.Clone(top.names), name, strconv.Itoa(top.children[name]))
			top.children[name]++
			paths = append(paths, names)
			for _, a := range token.Attr {
				flat[strings.Join(append(slices.Clone(names), "@"+xmlName(a.Name), ""), "\x00")] = "string " + a.Value
			}
			stack = append(stack, &element{names: names, children: map[string]int{}})
		case xml.EndElement:
			stack = stack[:len(stack)-1]
			if top.elements == 0 {
				text := strings.Trim(top.text, " \t\r\n")
				kind := "other"
				if text == "" {
					kind = "<nil>"
				}
				flat[strings.Join(top.names, "\x00")] = kind + " " + text
			}
		case xml.CharData:
			top.text += string(token)
			if len(stack) == 1 && strings.TrimSpace(top.text) != "" {
				return nil, errors.New("text outside of the root element")
			}
		}
	}
	if stack[0].elements != 1 {
		return nil, errors.New("no single root element")
	}
	return renumbered(flat, paths), nil
}

func xmlName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// renumbered takes the numbers of elements that stand once out of keys.
func renumbered(flat map[string]string, paths [][]string) map[string]string {
	several := map[string]bool{}
	for _, names := range paths {
		if names[len(names)-1] != "0" {
			several[strings.Join(names[:len(names)-1], "\x00")] = true
		}
	}
	out := map[string]string{}
	for key, value := range flat {
		names := strings.Split(key, "\x00")
		var path []string
		for i := 0; i < len(names); i += 2 {
			if path = append(path, names[i]); several[strings.Join(names[:i+1], "\x00")] {
				path = append(path, names[i+1])
			}
		}
		out[joinPath(path)] = value
	}
	return out
}
