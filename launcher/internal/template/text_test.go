package template

import (
	"reflect"
	"strings"
	"testing"
)

// expand parses a template that has the text, and expands it for the samples.
func expand(t *testing.T, src string) []string {
	t.Helper()
	tpl := mustParse(t, small+"[listeners.a]\nport = 1\n[shared.s]\nport = 2\n[params.size]\ndefault = \"4\"\n[program]\nneeds = [\"the-cli\"]\n[environment]\nX = '''"+src+"'''")
	var got []string
	for _, d := range tpl.samples() {
		s, err := tpl.Expand(src, d)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	return got
}

func TestExpand(t *testing.T) {
	for src, want := range map[string]string{
		"plain": "plain",
		"{{.Index}} {{.Name}} {{.Adding}} {{.N}}":                     "1 sample1@127.0.0.1 false 3|3 sample3@127.0.0.1 true 3",
		`{{.Port "a"}} {{.Addr "a"}} {{.Shared "s"}}`:                 "1000 127.0.0.1:1000 4000|3000 127.0.0.1:3000 4000",
		`{{.Peer.Port "a"}} {{.First.Addr "a"}}`:                      "2000 127.0.0.1:1000|1000 127.0.0.1:1000",
		`{{range .Others}}{{.Index}},{{$.Index}};{{end}}`:             "2,1;3,1;|1,3;2,3;",
		`{{range .Seeds}}{{.Port "a"}} {{end}}`:                       "1000 2000 3000 |1000 2000 ",
		`{{add 1 2}} {{sub 1 2}} {{mul 3 4}} {{div 7 2}} {{mod 7 2}}`: "3 -1 12 3 1",
		`{{quote "a\"b<&>\n"}}`:                                       `"a\"b<&>\n"`,
		`{{mul (int .Param.size) 2}}`:                                 "8",
		`{{replace "a" "b" "banana"}}`:                                "bbnbnb",
		`{{.Tool "the-cli"}}`:                                         "/usr/bin/the-cli",
		`{{with .Peer}}{{.Name}}{{end}}`:                              "sample2@127.0.0.1|sample1@127.0.0.1",
		`{{printf "%s:%d" .Name (.Port "a") | quote}}`:                `"sample1@127.0.0.1:1000"|"sample3@127.0.0.1:3000"`,
	} {
		got := expand(t, src)
		if !strings.Contains(want, "|") {
			want += "|" + want
		}
		if joined := strings.Join(got, "|"); joined != want {
			t.Errorf("%s: got %q, want %q", src, joined, want)
		}
	}
}

func TestExpandArgs(t *testing.T) {
	tpl := mustParse(t, small[:strings.Index(small, "[start]")]+"[start]\ncommand = [\"x\", \"\", \"{{if .Adding}}--add{{end}}\", \"{{range .Others}}--peer={{.Index}}{{next}}{{end}}\"]")
	for i, want := range [][]string{{"x", "", "--peer=2", "--peer=3"}, {"x", "", "--add", "--peer=1", "--peer=2"}} {
		got, err := tpl.ExpandArgs(tpl.Start.Command, tpl.samples()[i])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("arguments %q, %v, want %q", got, err, want)
		}
	}
}

func TestSameForAll(t *testing.T) {
	for src, want := range map[string]bool{
		"plain": true, "{{.Secret}}": true, "{{.Name}}": false, `{{.Port "a"}}`: false, "{{range .Nodes}}{{.Name}}{{end}}": true,
		"{{range .Others}}x{{end}}": false, "{{with .Peer}}{{.Name}}{{end}}": false, "{{range .Seeds}}{{$.Index}}{{end}}": false,
		"{{with .First}}{{.Name}}{{else}}{{.Name}}{{end}}": false, "{{printf \"%v\" .}}": false, "{{if eq .N 3}}{{.Cluster}}{{end}}": true,
	} {
		tpl := mustParse(t, small+"[listeners.a]\nport = 1\n[environment]\nX = '''"+src+"'''")
		if got := tpl.SameForAll(src); got != want {
			t.Errorf("SameForAll(%s) = %v", src, got)
		}
	}
}

func TestExpandRefusesStrangers(t *testing.T) {
	tpl := mustParse(t, small)
	if got, err := tpl.Expand("{{.Index}} of elsewhere", tpl.samples()[0]); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}
