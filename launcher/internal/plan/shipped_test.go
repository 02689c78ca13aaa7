package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"onemore/launcher/internal/template"
	"onemore/templates"
)

// sourcePlan plans two nodes of a shipped template from its source in testdata with changes: file to what is made of its text.
func sourcePlan(t *testing.T, name string, changes map[string]func(string) string) *Plan {
	t.Helper()
	tpl, err := template.NewSet(templates.FS).Open(name)
	if err != nil {
		t.Fatal(err)
	}
	o := goldenOptions(t, tpl, 1, 2)
	files := fstest.MapFS{}
	for file, change := range changes {
		text, err := os.ReadFile(filepath.Join("testdata", "sources", name, file))
		if err != nil {
			t.Fatal(err)
		}
		files[file] = &fstest.MapFile{Data: []byte(change(string(text)))}
	}
	o.Source = "/home/u/" + name
	if o.Config, err = tpl.ReadConfig(files, o.Source, nil); err != nil {
		t.Fatal(err)
	}
	p, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// listenersOf writes a node's listeners as "mqtt=1883 ws=8083".
func listenersOf(n *Node) string {
	var all []string
	for _, l := range n.Listeners {
		all = append(all, l.Name+"="+strings.TrimPrefix(l.URL, l.Host))
	}
	return strings.Join(all, " ")
}

// editsOf writes a node's edits as "file: key = value".
func editsOf(n *Node) string {
	var b strings.Builder
	for _, e := range n.Edits {
		for _, one := range e.Edits {
			b.WriteString(e.File + ": " + one.String() + "\n")
		}
	}
	return b.String()
}

// TestListenersOff wants no listener, and no edit, that the source has turned off or does not have.
func TestListenersOff(t *testing.T) {
	off := sourcePlan(t, "emqx5", map[string]func(string) string{"etc/emqx.conf": func(text string) string {
		return text + "\nlisteners.ssl.default.enabled = false\nlisteners.wss.default.enabled = false\ndashboard.listeners.http.bind = 0\n" +
			"dashboard.listeners.https.bind = 18084\nlisteners.tcp.office.bind = 2001\ngateway.stomp.listeners.tcp.default.bind = 61613\n"
	}}).node(2)
	if got := listenersOf(off); strings.Contains(got, "mqtts") || strings.Contains(got, "wss") || strings.Contains(got, "dashboard=") ||
		!strings.Contains(got, "dashboard_https=https://127.0.0.1:19084") || !strings.Contains(got, "listener_tcp_office=:3001") ||
		!strings.Contains(got, "gateway_stomp_tcp_default=:62613") {
		t.Errorf("listeners %s", got)
	}
	if got := editsOf(off); strings.Contains(got, "ssl.default") || strings.Contains(got, "wss.default") || strings.Contains(got, "listeners.http.bind") ||
		!strings.Contains(got, "listeners.tcp.office.bind = 127.0.0.1:3001") {
		t.Errorf("edits\n%s", got)
	}
	if got := off.Ready.Calls[0].HTTP; !strings.HasPrefix(got, "https://127.0.0.1:19084/") {
		t.Errorf("asked at %s", got)
	}
	gone := sourcePlan(t, "emqx4", map[string]func(string) string{
		"etc/emqx.conf": func(text string) string {
			return strings.ReplaceAll(text, "listener.ssl.external = 8883\n", "") + "listener.tcp.office = 0.0.0.0:2001\n"
		},
		"etc/plugins/emqx_management.conf": func(text string) string {
			return text + "management.default_application.id = ours\nmanagement.default_application.secret = s3cret\n"
		},
	}).node(2)
	if got := listenersOf(gone); strings.Contains(got, "mqtts") || !strings.Contains(got, "mqtt=mqtt://127.0.0.1:2883") || !strings.Contains(got, "listener_tcp_office=:3001") {
		t.Errorf("listeners %s", got)
	}
	if got := editsOf(gone); strings.Contains(got, "listener.ssl.external =") || !strings.Contains(got, "listener.tcp.office = 127.0.0.1:3001") {
		t.Errorf("edits\n%s", got)
	}
	if got := gone.Members.Call.User; got != "ours:s3cret" {
		t.Errorf("asked as %q", got)
	}
}

// TestDashboardChanges: what EMQX's dashboard has written in the source is left behind, and a note says so.
func TestDashboardChanges(t *testing.T) {
	tpl, err := template.NewSet(templates.FS).Open("emqx5")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"mqtt { max_packet_size = 2MB }\n": true, "## nothing yet\n": false} {
		o := goldenOptions(t, tpl, 1)
		o.Source = "/home/u/emqx"
		if o.Config, err = tpl.ReadConfig(fstest.MapFS{"data/configs/cluster.hocon": {Data: []byte(text)}}, o.Source, nil); err != nil {
			t.Fatal(err)
		}
		p, err := Make(tpl, o, Host{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(p.Notes, "\n"), "data/configs/cluster.hocon, is left behind"); got != want {
			t.Errorf("%q: told %v, want %v: %v", text, got, want, p.Notes)
		}
	}
}

// TestWebsocketURL: NATS' WebSocket and MQTT listeners with certificates have the scheme for it.
func TestWebsocketURL(t *testing.T) {
	tpl, err := template.NewSet(templates.FS).Open("nats")
	if err != nil {
		t.Fatal(err)
	}
	o := goldenOptions(t, tpl, 1)
	o.Source = "/home/u/nats"
	const text = "websocket {\n  port: 443\n  tls { cert_file: a, key_file: b }\n}\nmqtt {\n  port: 1883\n  tls { cert_file: a, key_file: b }\n}\n"
	if o.Config, err = tpl.ReadConfig(fstest.MapFS{"nats.conf": {Data: []byte(text)}}, o.Source, nil); err != nil {
		t.Fatal(err)
	}
	p, err := Make(tpl, o, Host{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range p.Nodes[0].Listeners {
		if want := map[string]string{"websocket": "wss://", "mqtt": "mqtts://"}[l.Name]; !strings.HasPrefix(l.URL, want) {
			t.Errorf("%s is at %s, want %s", l.Name, l.URL, want)
		}
	}
}
