package template

import (
	"strings"
	"testing"
)

// stacks are two nodes of a cluster "db".
func stacks() map[string]*Stacked {
	return map[string]*Stacked{"db": {Nodes: []*Node{
		{Index: 1, Name: "db1", Ports: []Port{{Listener: "client", Host: "127.0.0.1", Port: 5001, URL: "db://127.0.0.1:5001"}}},
		{Index: 2, Name: "db2", Ports: []Port{{Listener: "client", Host: "127.0.0.1", Port: 5002, URL: "db://127.0.0.1:5002"}}},
	}}}
}

func TestExpandForStack(t *testing.T) {
	for src, want := range map[string]string{
		"plain": "plain",
		`{{range (stack "db").Nodes}}{{.Addr "client"}} {{end}}`:                             "127.0.0.1:5001 127.0.0.1:5002 ",
		`{{(stack "db").URLs "client"}}`:                                                     "db://127.0.0.1:5001,db://127.0.0.1:5002",
		`{{(stack "db").Addrs "client"}}`:                                                    "127.0.0.1:5001,127.0.0.1:5002",
		`{{(stack "db").First.Port "client"}}`:                                               "5001",
		`{{with 3}}{{(stack "db").First.Name}}{{end}}{{if (stack "db").Nodes}} some{{end}}`:  "db1 some",
		`{{range $i, $n := (stack "db").Nodes}}{{if $i}};{{end}}{{$n.URL "client"}}{{end}}`:  "db://127.0.0.1:5001;db://127.0.0.1:5002",
		`{{range (stack "db").Nodes}}{{.Name}}:{{(stack "db").First.Port "client"}} {{end}}`: "db1:5001 db2:5001 ",
	} {
		if got, err := ExpandForStack(src, stacks()); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", src, got, err, want)
		}
	}
	for src, want := range map[string]string{
		`{{(stack "mq").URLs "client"}}`: `no cluster "mq"; it has db`,
		`{{(stack "db").URLs "http"}}`:   `no listener "http"`,
		`{{.Port "http"}}`:               "Port",
		`{{`:                             "unclosed action",
	} {
		if _, err := ExpandForStack(src, stacks()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", src, err, want)
		}
	}
}

const stackReader = `
[node]
name = "n{{.Index}}"
[listeners.http]
port = 8080
[start]
command = ["server", '{{range (stack "db").Nodes}}{{.Addr "client"}}{{end}}', '{{.Port "http"}}']
`

// TestStackInTemplate: a template may read clusters of which it knows neither name nor listeners; its own it must know.
func TestStackInTemplate(t *testing.T) {
	tmpl, err := Parse("t", []byte(stackReader))
	if err != nil {
		t.Fatal(err)
	}
	d := tmpl.samples()[0]
	d.Needed = stacks()
	args, err := tmpl.ExpandArgs(tmpl.Start.Command, d)
	if err != nil || strings.Join(args, " ") != "server 127.0.0.1:5001127.0.0.1:5002 1000" {
		t.Errorf("got %q, %v", args, err)
	}
	d.Needed = nil
	if _, err := tmpl.ExpandArgs(tmpl.Start.Command, d); err == nil || !strings.Contains(err.Error(), `needs = ["db"]`) {
		t.Errorf("error %v", err)
	}
	for old, want := range map[string]string{`'{{.Port "http"}}'`: `no listener is called "grpc"`, `name = "n{{.Index}}"`: "Stack"} {
		src := strings.Replace(stackReader, old, map[string]string{`'{{.Port "http"}}'`: `'{{.Port "grpc"}}'`,
			`name = "n{{.Index}}"`: `name = 'n{{.Index}}{{(stack "db").URLs "x"}}'`}[old], 1)
		if _, err := Parse("t", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
