package template

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const small = `
[node]
name = "n{{.NameIndex}}@{{.Host}}"
[start]
command = ["server"]
`

func mustParse(t *testing.T, text string) *Template {
	t.Helper()
	tpl, err := Parse("sample", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestParseDefaults(t *testing.T) {
	tpl := mustParse(t, small+`
[listeners.zebra]
port = 1
[listeners.ape]
derive = "zebra + 1"
protocols = ["udp"]
[[ready.call]]
http = "http://{{.Addr \"zebra\"}}"
[[file]]
path = "a/b"
[[edit]]
file = "etc/x.toml"
set = { k = "v" }
[join.config]
`)
	if tpl.Name != "sample" || tpl.Copy.Source != "optional" || tpl.Start.Order != "parallel" || tpl.Join.Default != "config" {
		t.Errorf("name %q, source %q, order %q, join %q", tpl.Name, tpl.Copy.Source, tpl.Start.Order, tpl.Join.Default)
	}
	if tpl.Stop.Signal != "TERM" || tpl.Stop.Discard != "KILL" || tpl.Stop.Grace.Duration != 10*time.Second {
		t.Errorf("stop %+v", tpl.Stop)
	}
	if c := tpl.Ready.Calls[0]; c.Timeout.Duration != 5*time.Second || c.On != "self" {
		t.Errorf("call %+v", c)
	}
	if tpl.Files[0].Mode != "0644" || tpl.Edits[0].Format != "toml" {
		t.Errorf("file %+v, edit %+v", tpl.Files[0], tpl.Edits[0])
	}
	if l := tpl.Listeners; len(l) != 2 || l[0].Name != "zebra" || l[1].Name != "ape" || !reflect.DeepEqual(l[0].Protocols, []string{"tcp"}) {
		t.Errorf("listeners, in the file's order: %+v", l)
	}
}

func TestParseTellsAllProblems(t *testing.T) {
	_, err := Parse("bad", []byte(`name = "Bad Name"
bogus = 1
[node]
name = "same"
[listeners.a]
port = 70000
derive = "b"
[listeners.A]
port = 1
[[edit]]
file = "/abs"
set = { x = "{{.Nope}}" }
[[edit]]
file = "x.unknown"
[start]
order = "one by one"
[[ready.call]]
http = "x"
tcp = "y"
[join]
default = "magic"
[stop]
signal = "SIGTERM"
grace = "-1s"
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`template "bad": line 1: name: "Bad Name"`,
		`line 2: bogus: unknown key`,
		`line 4: node.name: "same" is the same for all nodes; write {{.NameIndex}} into it`,
		`line 6: listeners.a.port: 70000 is no port`,
		`line 5: listeners.a: give either port`,
		`no listener is called "b"`,
		`line 8: listeners.A: "A" is no name`,
		`line 11: edit[0].file: "/abs" is not a clean slash path`,
		`edit[0].set.x: {{.Nope}} is unknown here; have `,
		`edit[1].format: "" of file "x.unknown" is no format`,
		`line 13: edit[1]: changes nothing`,
		`start.command: is missing`,
		`line 16: start.order: "one by one" is unknown; give one of parallel, staged`,
		`line 17: ready.call[0]: give exactly one of http, tcp and exec`,
		`line 21: join.default: no [join.magic] is here`,
		`line 23: stop.signal: "SIGTERM" is unknown; give one of TERM`,
		`line 24: stop.grace: -1s is below 0`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"bad TOML", "x = = 1", "line 1"},
		{"a wrong type", "min_nodes = \"x\"", "min_nodes"},
		{"a duration that is none", "[stop]\ngrace = \"soon\"", "soon"},
		{"unknown key in a table", small + "[join.config]\nbogus = 1", "join.config.bogus: unknown key"},
		{"unknown way to join", small + "[join.magic]\n", "join.magic"},
		{"a circle", small + "[listeners.a]\nderive = \"b\"\n[listeners.b]\nderive = \"a\"", "in a circle"},
		{"a listener called number", small + "[listeners.number]\nport = 1", "is a word of derive"},
		{"the same name shared", small + "[listeners.a]\nport = 1\n[shared.a]\nport = 2", "taken by another listener"},
		{"a bind that is no address", small + "[listeners.a]\nport = 1\nbind = \"localhost\"", "is no IP address"},
		{"two protocols alike", small + "[listeners.a]\nport = 1\nprotocols = [\"tcp\", \"tcp\"]", "there twice"},
		{"an unknown protocol", small + "[listeners.a]\nport = 1\nprotocols = [\"sctp\"]", `"sctp" is unknown`},
		{"a family with a port", small + "[listeners.a]\nport = 1\nfile = \"x.toml\"\nkey = \"l.*\"", "drop port, derive and also"},
		{"a value without a key", small + "[listeners.a]\nport = 1\nvalue = \"{{.Addr}}\"", "also, if_declared, off and value go with file and key"},
		{"a listener in an unknown format", small + "[listeners.a]\nport = 1\nfile = \"x.weird\"\nkey = \"l\"", `"" of file "x.weird" is no format`},
		{"off with more stars", small + "[listeners.a]\nport = 1\nfile = \"x.toml\"\nkey = \"l\"\noff = {\"*.x\" = \"no\"}", `"*.x" has more *`},
		{"off that is no regexp", small + "[listeners.a]\nport = 1\nfile = \"x.toml\"\nkey = \"l\"\noff = {\"x\" = \"(\"}", "off.x"},
		{"a place without a path", small + "[places.a]\nfile = \"x.toml\"\nkey = \"l\"", "give key, which names the place in the file, and path"},
		{"a place outside", small + "[places.a]\nfile = \"x.toml\"\nkey = \"l\"\npath = \"/var/x\"", `"/var/x" is not a clean slash path`},
		{"a place that is written when", small + "[places.a]\nfile = \"x.toml\"\nkey = \"l\"\npath = \"x\"\nwrite = \"never\"", `"never" is unknown; give one of outside, missing, always`},
		{"a pattern that is missing", small + "[places.a]\nfile = \"x.toml\"\nkey = \"l.*\"\npath = \"x\"\nwrite = \"missing\"", "a key with * can't be written where it is missing"},
		{"a source's key that is no literal file", small + "[environment]\nA = '{{.Source .Name \"x\"}}'", `{{.Source}} takes a file and what to look for in it, in quotes`},
		{"a source's file in an unknown format", small + "[environment]\nA = '{{.Source \"x.weird\" \"y\"}}'", "read it with .SourceMatch"},
		{"a source's file outside", small + "[environment]\nA = '{{.Source \"../x.toml\" \"y\"}}'", "is not a clean slash path"},
		{"a regexp that is none", small + "[environment]\nA = '{{.SourceMatch \"x\" \"(\"}}'", "missing closing )"},
		{"a default that does not match", small + "[params.a]\nmatch = \"[0-9]+\"\ndefault = '{{.Source \"x.toml\" \"y\"}}'", `without a source "{{.Source \"x.toml\" \"y\"}}" becomes "", which does not match`},
		{"a default that is set", small + "[[edit]]\nfile = \"x.toml\"\n[edit.set]\na = \"\"\n[edit.default]\na = \"1\"", `key "a" is set anyway`},
		{"existing", small + "[[file]]\npath = \"x\"\nexisting = \"burn\"", `"burn" is unknown; give one of replace, keep, merge`},
		{"a merge of an unknown format", small + "[[file]]\npath = \"x\"\nexisting = \"merge\"", `"" of file "x" is no format`},
		{"a certificate without key", small + "[[leave]]\nhttp = \"https://x\"\ncert = \"a\"", "cert and key belong together"},
		{"a certificate for nothing", small + "[[leave]]\nexec = [\"x\"]\ncert = \"a\"\nkey = \"b\"", "goes with http, or with tcp and tls"},
		{"tls without tcp", small + "[[leave]]\nhttp = \"https://x\"\ntls = \"direct\"", "goes with tcp; http has it by its URL"},
		{"a greeting that is no regexp", small + "[[leave]]\ntcp = \"x\"\ntls = \"(\"", "missing closing )"},
		{"file without key", small + "[listeners.a]\nport = 1\nfile = \"x\"", "file and key belong together"},
		{"own variables as a text", small + "[environment]\nown = \"ETCD_*\"", `environment.own: want a list, not a text: write ["ETCD_*"]`},
		{"an own variable that is no name", small + "[environment]\nown = [\"ETCD_*\", \"*\"]", `environment.own[1]: "*" is neither the name of a variable`},
		{"an own variable that is no text", small + "[environment]\nown = [1]", "environment.own[0]: want a text, not a whole number"},
		{"a list for a variable", small + "[environment]\nA = [\"x\"]", "environment.A: want a text, not a list"},
		{"a number for a variable", small + "[environment]\nA = 1", `environment.A: want a text, not a whole number: write "1"`},
		{"no table of variables", "environment = 1\n" + small, "environment: want a table, not a whole number"},
		{"a time without unit", small + "[ready]\ntimeout = \"5\"", `ready.timeout: "5": 5 what? write "5s"`},
		{"a port in quotes", small + "[listeners.a]\nport = \"4222\"", `listeners.a.port: want a whole number, not a text: write 4222, without quotes`},
		{"all at once", "nmae = 1\n" + small + "[ready]\ntimeout = \"x\"\nlgo = 1", `"x" is no time: write "30s", "5m" or "1h30m"`},
		{"a text that does not parse", small + "[environment]\nA = \"{{.Name\"", "environment.A"},
		{"a listener in a text", small + "[environment]\nA = '{{.Port \"x\"}}'", `{{.Port "x"}}: no listener is called "x"; have none`},
		{"a name behind an if", small + "[environment]\nA = '{{if .Adding}}{{if eq .N 77}}{{.Nope}}{{end}}{{end}}'", "{{.Nope}} is unknown here"},
		{"a name in a range", small + "[environment]\nA = '{{range .Others}}{{.Nope}}{{end}}'", "{{.Nope}} is unknown here"},
		{"a name of a variable", small + "[environment]\nA = '{{range $n := .Others}}{{$n.Nope}}{{end}}'", "{{.Nope}} is unknown here"},
		{"a hidden name", small + "[environment]\nA = '{{.Tools}}'", "{{.Tools}} is unknown here"},
		{"an unknown function", small + "[environment]\nA = '{{env \"HOME\"}}'", `function "env" not defined`},
		{"an unknown parameter", small + "[environment]\nA = '{{.Param.x}}'", "no [params.x] is declared"},
		{"an unknown program", small + "[environment]\nA = '{{.Tool \"x\"}}'", "no program of program.needs is called"},
		{"a port in a node's name", strings.Replace(small, "n{{.NameIndex}}", "{{.Port}}{{.Index}}", 1), "{{.Port}} is unknown here; have Cluster, Host, Index, NameIndex, Param"},
		{"a node in a service", small + "[[service]]\ncommand = [\"{{.Name}}\"]", "{{.Name}} is unknown here"},
		{"a when that is neither", small + "[listeners.a]\nport = 1\nwhen = \"{{.Cluster}}\"", "neither true nor false"},
		{"a when that is a word", small + "[listeners.a]\nport = 1\nwhen = \"yes\"", "neither true nor false"},
		{"division by zero", small + "[environment]\nA = '{{div 1 0}}'", "div by 0"},
		{"a bad regexp", small + "[[leave]]\ntcp = \"x\"\nexpect = \"(\"", "leave[0].expect"},
		{"a number without group", small + "[members.call]\ntcp = \"x\"\nnumber = \"[0-9]+\"", "has no group"},
		{"members without number", small + "[members.call]\ntcp = \"x\"", "reads no number of members"},
		{"a members call that is never made", small + "[members.call]\ntcp = \"x\"\njson = \"n\"\n[members.otherwise]\ntcp = \"y\"\njson = \"n\"", "members.otherwise: is never made"},
		{"members otherwise without number", small + "[members.call]\ntcp = \"x\"\njson = \"n\"\nwhen = \"true\"\n[members.otherwise]\ntcp = \"y\"", "members.otherwise: reads no number"},
		{"two numbers", small + "[members.call]\ntcp = \"x\"\ncount = \"x\"\njson = \"y\"", "at most one of number"},
		{"send without tcp", small + "[[leave]]\nhttp = \"x\"\nsend = \"y\"", "leave[0].send: goes with tcp"},
		{"on an unknown node", small + "[[leave]]\ntcp = \"x\"\non = \"first\"", `"first" is unknown; give one of self, peer`},
		{"full elsewhere", small + "[[leave]]\ntcp = \"x\"\nfull = true", "leave[0].full: is for members.require"},
		{"members of a peer", small + "[members.call]\ntcp = \"x\"\ncount = \"x\"\non = \"peer\"", `"peer" is unknown`},
		{"staged without a call", strings.Replace(small, "[start]", "[start]\norder = \"staged\"", 1), "start.staged: is missing"},
		{"a refusal without reason", small + "[[refuse]]\nwhen = \"true\"", "refuse[0]: give when and reason"},
		{"a refusal of one node", small + "[[refuse]]\nwhen = \"{{.Name}}\"\nreason = \"x\"", "{{.Name}} is unknown here; have Cluster, Env, Host, Join, N, Param, Source, SourceMatch"},
		{"a mode that is none", small + "[[file]]\npath = \"x\"\nmode = \"0999\"", "is no octal mode"},
		{"a path that leaves", small + "[[file]]\npath = \"../x\"", "not a clean slash path"},
		{"a glob that is none", small + "[copy]\nexclude = [\"[\"]", "syntax error in pattern"},
		{"a key twice", small + "[[edit]]\nfile = \"x.toml\"\nset = { a = \"1\" }\nraw = { a = \"2\" }", "is in set and in raw"},
		{"a default that does not match", small + "[params.x]\ndefault = \"a\"\nmatch = \"[0-9]\"", `params.x.default: "a" does not match`},
		{"several ways and no default", small + "[join.config]\n[[join.command.call]]\ntcp = \"x\"", "join.default: is missing"},
		{"command without a call", small + "[join.command]\n", "has no [[join.command.call]]"},
		{"accept without version", small + "[program]\naccept = \"x\"", "belong together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("sample", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `template "sample"`) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadsProgram(t *testing.T) {
	const text = "[node]\nname = \"n{{.Index}}\"\n[start]\ncommand = [\"x\"%s]\n[program]\ncommand = \"x\"\nversion = [\"{{.Bin}}\"]\naccept = \"1\"\n"
	for args, want := range map[string]bool{"": false, `, "{{.Name}}"`: false, `, "{{.Bin}}"`: true, `, "{{range .Nodes}}{{.Bin}}{{end}}"`: true} {
		tpl, err := Parse("x", fmt.Appendf(nil, text, args))
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.ReadsProgram(); got != want {
			t.Errorf("with %q: %v", args, got)
		}
	}
}

func TestParseSum(t *testing.T) {
	for text, want := range map[string]Sum{
		"client + 10000":   {Const: 10000, Terms: []Term{{1, "client"}}},
		"4370+number":      {Const: 4370, Terms: []Term{{1, "number"}}},
		"-1 + a - b - 3":   {Const: -4, Terms: []Term{{1, "a"}, {-1, "b"}}},
		" 7 ":              {Const: 7},
		"index\t-\tnumber": {Terms: []Term{{1, "index"}, {-1, "number"}}},
	} {
		got, err := ParseSum(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseSum(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+", "a +", "+ a", "a b", "a * 2", "a ++ b", "A + 1", "1.5", "a + - b", "99999999999999999999"} {
		if got, err := ParseSum(text); err == nil {
			t.Errorf("ParseSum(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add(small + "[listeners.a]\nderive = \"a + 1\"\nwhen = \"{{.Param.x}}\"")
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := Parse("fuzz", []byte(text))
		if err == nil && tpl.Node.Name == "" {
			t.Error("a template without a node name was taken")
		}
	})
}

func TestParseEnvironment(t *testing.T) {
	tpl := mustParse(t, small+"[environment]\nB = \"2\"\nown = [\"A_*\", \"C\"]\nA_X = \"1\"")
	if want := map[string]string{"A_X": "1", "B": "2"}; !maps.Equal(tpl.Environment, want) {
		t.Errorf("variables %v, want %v", tpl.Environment, want)
	}
	if want := []string{"A_*", "C"}; !slices.Equal(tpl.OwnEnvironment, want) {
		t.Errorf("own %v, want %v", tpl.OwnEnvironment, want)
	}
}

func TestClientEnvironment(t *testing.T) {
	tpl := mustParse(t, small+"[client.environment]\nCA = \"{{.Dir}}/ca.pem\"")
	if got := tpl.Client.Environment["CA"]; got != "{{.Dir}}/ca.pem" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"ca", "A-B", "1A", "DIR", "NODES"} {
		_, err := Parse("sample", []byte(small+"[client.environment]\n\""+bad+"\" = \"x\""))
		if err == nil || !strings.Contains(err.Error(), "client.environment."+bad) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}
