package launcher

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/template"
)

const optionsTemplate = `
[params.size]
default = "2"
[node]
name = "n{{.NameIndex}}@{{.Host}}"
[listeners.a]
port = 1883
[shared.s]
port = 4369
[start]
command = ["{{.Bin}}"]
`

// TestCompatible: options that a cluster has already been made with are fine, those that it can't take any more are not.
func TestCompatible(t *testing.T) {
	tpl, err := template.Parse("x", []byte(optionsTemplate))
	if err != nil {
		t.Fatal(err)
	}
	made := plan.Options{Cluster: "c", ID: "id", Dir: "/x", Nodes: []int{1, 2}, Base: plan.Base{Auto: true}, Env: map[string]string{"A": "1"},
		Bin: "/bin/a", Node: map[int]NodeOptions{2: {Env: map[string]string{"B": "2"}}}}
	p, err := plan.Make(tpl, made, plan.Host{Used: []plan.Port{{Proto: "tcp", Host: "127.0.0.1", Port: 1883}}})
	if err != nil {
		t.Fatal(err)
	}
	const is = `cluster "c" is there already, `
	for name, c := range map[string]struct {
		o     Options
		added []int
		want  string // in the error; "": none
	}{
		"nothing": {},
		"the same": {o: Options{Base: "auto", Offset: 1000, Host: "127.0.0.1", Spread: "port", Join: "none", Bin: "/bin/a",
			Env: map[string]string{"A": "1"}, Params: map[string]string{"size": "2"}, Set: map[string]int{"a": 1893, "s": 4379},
			Nodes: map[int]NodeOptions{2: {Env: map[string]string{"A": "1", "B": "2"}, Set: map[string]int{"a": 2893}, Bin: "/bin/a"}}}},
		"the base that was found": {o: Options{Base: "+10"}},
		"auto adds":               {o: Options{Base: "auto"}, added: []int{3}},
		"of added nodes": {o: Options{Env: map[string]string{"A": "b"}, Source: "/other", Bin: "/bin/b",
			Nodes: map[int]NodeOptions{3: {Env: map[string]string{"B": "x"}, Set: map[string]int{"a": 7}}}}, added: []int{3}},
		"of the project's later nodes": {o: Options{Nodes: map[int]NodeOptions{9: {Source: "/s"}}, places: map[string]string{"node.9.source": "f"}}},
		"offset":                       {o: Options{Offset: 7}, want: "--offset: " + is + "with 1000, not 7"},
		"base":                         {o: Options{Base: "5000"}, want: "--base: " + is + "with 10, not 5000"},
		"no base":                      {o: Options{Base: "0"}, want: "--base: " + is + "with 10, not 0"},
		"host":                         {o: Options{Host: "127.0.0.9"}, want: "--host: " + is + "with 127.0.0.1, not 127.0.0.9"},
		"spread":                       {o: Options{Spread: "address"}, want: "--spread: " + is + "with port, not address"},
		"join":                         {o: Options{Join: "command"}, want: "--join: " + is + "with none, not command"},
		"set":                          {o: Options{Set: map[string]int{"a": 5555}}, added: []int{3}, want: "--set a: " + is + "with 1893, not 5555"},
		"no listener":                  {o: Options{Set: map[string]int{"z": 5555}}, want: "--set z: " + is + "without it"},
		"param":                        {o: Options{Params: map[string]string{"size": "3"}}, added: []int{3}, want: "--param size: " + is + "with 2, not 3"},
		"no param":                     {o: Options{Params: map[string]string{"x": "y"}}, want: "--param x: " + is + "without it"},
		"env":                          {o: Options{Env: map[string]string{"A": "b"}}, want: "--env A: " + is + "with 1, not b"},
		"more env":                     {o: Options{Env: map[string]string{"C": "b"}}, want: "--env C: " + is + "without it"},
		"source":                       {o: Options{Source: "/s"}, want: "--source: " + is + "without it"},
		"bin":                          {o: Options{Bin: "/bin/b"}, want: "--bin: " + is + "with /bin/a, not /bin/b"},
		"of a node": {o: Options{Nodes: map[int]NodeOptions{2: {Set: map[string]int{"a": 7}}}}, added: []int{3},
			want: "--node 2:set.a: " + is + "with 2893, not 7"},
		"env of a node": {o: Options{Nodes: map[int]NodeOptions{1: {Env: map[string]string{"B": "2"}}}}, added: []int{3}, want: "--node 1:env.B: " + is + "without it"},
		"of no node":    {o: Options{Nodes: map[int]NodeOptions{9: {Bin: "/bin/a"}}}, want: `--node 9:bin: cluster "c" has no node 9`},
		"of the project": {o: Options{Offset: 7, places: map[string]string{"offset": "f: line 3: offset"}},
			want: "f: line 3: offset: " + is + "with 1000, not 7"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.o.compatible(p, c.added)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if _, ok := errors.AsType[*InputError](err); err != nil && !ok {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestCheckHost(t *testing.T) {
	for host, want := range map[string]string{"": "", "127.0.0.1": "", "localhost": "is not an IP address", "nohost": "is not an IP address", "127.1": "is not an IP",
		"0.0.0.0": "is no address by which", "::": "is no address by which", "192.0.2.9": "is not an address of this host", "224.0.0.1": "is not an address of this host"} {
		err := Options{Host: host}.checkHost()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", host, err, want)
		}
	}
}

// TestPlaces: what the project's file gives is reported with its line, but where a flag wins.
func TestPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), ProjectFile)
	text := "host = \"x\"\noffset = 5\n[set]\nws = 1\n\"a.b\" = 2\n[node.9]\nbin = \"/b\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := ReadProject(path)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Host: "y", Set: map[string]int{"http": 3}}.Over(p.Options)
	for key, want := range map[string]string{"host": "--host", "offset": path + ": line 2: offset", "set.ws": path + ": line 4: set.ws",
		"set.a.b": path + `: line 5: set."a.b"`, "set.http": "--set http", "node.9.bin": path + ": line 7: node.9.bin"} {
		if got := o.label(key); got != want {
			t.Errorf("%s is named %q, want %q", key, got, want)
		}
	}
}
