package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"onemore/launcher/internal/template"
)

// TestMasked: a password of the source, of a parameter or of the environment stands nowhere in the plan that is shown, in whatever form,
// and the plan itself keeps it.
func TestMasked(t *testing.T) {
	const src = `
[node]
name = "n{{.Index}}"
[params.token]
default = ""
[listeners.client]
port = 5000
url = 'kv://{{userinfo "me" (.Source "s.conf" "db.password")}}@{{.Addr}}'
[[edit]]
file = "s.conf"
format = "properties"
[edit.set]
name = "{{.Name}}"
copy = '{{.Source "s.conf" "db.password"}}'
[environment]
TOKEN = "{{.Param.token}}"
[start]
command = ["server", '{{quote (.Source "s.conf" "db.password")}}', '{{.Param.token}}']
`
	tmpl, err := template.Parse("kv", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	const password, token, variable = `p@ss "word"/1`, "token-of-mine", "of-the-environment"
	config, err := tmpl.ReadConfig(fstest.MapFS{"s.conf": {Data: []byte("name = x\ndb.password = " + password + "\n")}}, "/src", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Make(tmpl, Options{Cluster: "c", ID: "ID", Secret: "S", Dir: "/h/c", Nodes: []int{1}, Source: "/src", Config: config,
		Params: map[string]string{"token": token}, Env: map[string]string{"APP_SECRET": variable, "PLAIN": "kept"}}, Host{})
	if err != nil {
		t.Fatal(err)
	}
	text := func(p *Plan) string {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	shown, err := p.Masked()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"word", token, variable} {
		if !strings.Contains(text(p), secret) {
			t.Errorf("the plan itself lost %q", secret)
		}
		if strings.Contains(strings.ReplaceAll(text(shown), "password", ""), secret) {
			t.Errorf("%q is shown in %s", secret, text(shown))
		}
	}
	if !strings.Contains(text(shown), "PLAIN=kept") || shown.Nodes[0].Name != "n1" {
		t.Errorf("more than passwords is masked: %s", text(shown))
	}
}
