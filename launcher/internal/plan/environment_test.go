package plan

import (
	"slices"
	"strings"
	"testing"

	"onemore/launcher/internal/template"
)

func TestInherit(t *testing.T) {
	shell := []string{"PATH=/bin", "HOME=/home/u", "LC_ALL=C", "JAVA_HOME=/java", "LD_LIBRARY_PATH=/lib/x", "KVD_URL=a=b", "KVDX=1", "KV=1", "TOKEN=t",
		"NOTIFY_SOCKET=/n", "LISTEN_FDS=3", "INVOCATION_ID=1", "ONEMORE_HOME=/o", "ONEMORE_CLUSTER_ID=c"}
	own := []string{"KVD_*", "TOKEN"}
	for _, tt := range []struct {
		name    string
		inherit Inherit
		environ []string
		want    []string
	}{
		{"nothing of its own", Inherit{}, shell, []string{"PATH=/bin", "HOME=/home/u", "LC_ALL=C", "JAVA_HOME=/java", "LD_LIBRARY_PATH=/lib/x", "KVD_URL=a=b", "KVDX=1", "KV=1", "TOKEN=t"}},
		{"own", Inherit{Own: own}, shell, []string{"PATH=/bin", "HOME=/home/u", "LC_ALL=C", "JAVA_HOME=/java", "LD_LIBRARY_PATH=/lib/x", "KVDX=1", "KV=1"}},
		{"clean", Inherit{Own: own, Clean: true}, shell, []string{"PATH=/bin", "HOME=/home/u", "LC_ALL=C"}},
		{"a proxy", Inherit{}, []string{"https_proxy=http://p"}, []string{"https_proxy=http://p", "NO_PROXY=127.0.0.5,localhost,127.0.0.1,::1", "no_proxy=127.0.0.5,localhost,127.0.0.1,::1"}},
		{"a proxy with exceptions", Inherit{}, []string{"HTTP_PROXY=http://p", "NO_PROXY=intra, localhost", "no_proxy=other"},
			[]string{"HTTP_PROXY=http://p", "NO_PROXY=intra,localhost,other,127.0.0.5,127.0.0.1,::1", "no_proxy=intra,localhost,other,127.0.0.5,127.0.0.1,::1"}},
		{"a proxy of a clean one", Inherit{Clean: true}, []string{"HTTP_PROXY=http://p"}, nil},
	} {
		p := &Plan{Inherit: tt.inherit, Nodes: []Node{{Host: "127.0.0.5"}}}
		if got := p.Inherited(tt.environ); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNoteOfWhatWasLeftOut(t *testing.T) {
	tpl, err := template.Parse("kvd", []byte("[node]\nname = \"n{{.Index}}\"\n[listeners.a]\nport = 1883\n[start]\ncommand = [\"kvd\"]\n[environment]\nown = [\"KVD_*\"]"))
	if err != nil {
		t.Fatal(err)
	}
	h := Host{Variables: []string{"PATH", "KVD_B", "KVD_A", "KVD_GIVEN"}}
	o := Options{Cluster: "c", ID: "id", Dir: "/x", Nodes: []int{1}, Env: map[string]string{"KVD_GIVEN": "1"}}
	p, err := Make(tpl, o, h)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Notes) != 1 || !strings.HasPrefix(p.Notes[0], "KVD_A, KVD_B of your environment: ") {
		t.Errorf("notes %q, want one of KVD_A and KVD_B", p.Notes)
	}
	more, err := Make(tpl, Options{Formed: p, Nodes: []int{2}}, h)
	if err != nil {
		t.Fatal(err)
	}
	if len(more.Notes) != 1 || !slices.Equal(more.Inherit.Own, []string{"KVD_*"}) {
		t.Errorf("with a node more: notes %q, own variables %q", more.Notes, more.Inherit.Own)
	}
}
