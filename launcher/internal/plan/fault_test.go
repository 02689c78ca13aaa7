package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onemore/launcher/internal/template"
)

const breaking = `
[node]
name = "n{{.NameIndex}}@{{.Host}}"
[listeners.a]
port = 4222
[start]
command = ["server"]
[fault.set]
exec = ["ctl", "{{.Name}}", "{{if .Fault.Block}}block{{end}}", "{{.Fault.Delay}}", "{{.Fault.Drop}}", "{{range .Fault.Peers}}{{.Index}}{{end}}"]
[fault.clear]
exec = ["ctl", "{{.Name}}", "clear", "{{range .Fault.Peers}}{{.Index}}{{end}}"]
`

func TestFaults(t *testing.T) {
	tpl, err := template.Parse("breaking", []byte(breaking))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Cluster: "c", ID: "id", Dir: "/c", Onemore: "/o", Nodes: []int{1, 2, 3, 4}}
	formed, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	calls, err := Faults(tpl, Options{Formed: formed}, MergeLinks([]Link{
		{From: 1, To: 2, Block: true}, {From: 1, To: 3, Drop: 0.5}, {From: 1, To: 3, Drop: 0.5}, {From: 1, To: 4, Block: true},
		{From: 2, To: 1, Delay: template.Duration{Duration: time.Second}}, {From: 2, To: 1, Delay: template.Duration{Duration: time.Second}}, {From: 3, To: 1},
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for i, list := range calls {
		var words []string
		for _, c := range list {
			words = append(words, strings.Join(c.Exec[1:], " "))
		}
		got[i] = strings.Join(words, "; ")
	}
	want := map[int]string{
		1: "n1@127.0.0.1 block 24; n1@127.0.0.1 75 3",
		2: "n2@127.0.0.1 2s 1; n2@127.0.0.1 clear 34",
		3: "n3@127.0.0.1 clear 124",
		4: "n4@127.0.0.1 clear 123",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFaultTexts wants the names of a fault in [fault] only, and both of its calls.
func TestFaultTexts(t *testing.T) {
	for _, bad := range []string{
		strings.Replace(breaking, `"server"`, `"server", "{{.Fault.Drop}}"`, 1),
		strings.Replace(breaking, ".Fault.Block", ".Fault.Fire", 1),
		breaking[:strings.Index(breaking, "[fault.clear]")],
	} {
		if _, err := template.Parse("bad", []byte(bad)); err == nil {
			t.Errorf("it was taken:\n%s", bad)
		}
	}
}
