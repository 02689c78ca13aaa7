package nodecore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadConfig(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, `
[node]
name = "x@10.0.0.1"
[cluster]
secret = "s"
seeds = ["a@127.0.0.1:1", "x@10.0.0.1:2"]
[listeners.mqtt]
bind = "127.0.0.1:5"
[listeners.wss]
enabled = false
`)
	got, err := LoadConfig(dir, []string{
		"ONEMORE_LISTENERS__WS__BIND=127.0.0.1:6", "ONEMORE_LISTENERS__HTTP__ENABLED=false", "ONEMORE_NODE__NAME=y@10.0.0.2",
		"ONEMORE_HOME=/x", "ONEMORE_CLUSTER=c", "ONEMORE_1_MQTT=127.0.0.1:1", "OTHER__THING=1", "PATH=/bin",
		`ONEMORE_CLUSTER__SEEDS=["b@127.0.0.1:3", "y@10.0.0.2:4"]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig(dir)
	want.Node.Name = "y@10.0.0.2"
	want.Cluster.Secret = "s"
	want.Cluster.Seeds = []string{"b@127.0.0.1:3", "y@10.0.0.2:4"}
	want.Listeners.MQTT.Bind = "127.0.0.1:5"
	want.Listeners.WS.Bind = "127.0.0.1:6"
	want.Listeners.WSS.Enabled = false
	want.Listeners.HTTP.Enabled = false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	const good = "[node]\nname = \"a@127.0.0.1\"\n"
	tests := []struct {
		name, file string
		env        []string
		want       []string // all of these are in the error
	}{
		{"syntax", "[node", nil, []string{ConfigFile}},
		{"unknown keys, all at once", good + "x = 1\n[y]\nz = 2", nil, []string{`"node.x"`, `"y.z"`}},
		{"wrong type", "[node]\nname = 7", nil, []string{"name"}},
		{"unknown variable", good, []string{"ONEMORE_NODE__NAEM=x"}, []string{"ONEMORE_NODE__NAEM"}},
		{"lower case variable", good, []string{"ONEMORE_node__name=x"}, []string{"ONEMORE_node__name"}},
		{"not a bool", good, []string{"ONEMORE_LISTENERS__WS__ENABLED=maybe"}, []string{"maybe"}},
		{"several problems", "[node]\nname = \"a\"\n[listeners.mqtt]\nbind = \"x\"\n[log]\nlevel = \"loud\"", nil,
			[]string{"node.name", "listeners.mqtt.bind", "log.level"}},
		{"no host", "[node]\nname = \"onemore1\"", nil, []string{"onemore1@127.0.0.1"}},
		{"bad host", "[node]\nname = \"a@localhost\"", nil, []string{"localhost"}},
		{"space", "[node]\nname = \"a b@127.0.0.1\"", nil, []string{"a b@127.0.0.1"}},
		{"unicode", "[node]\nname = \"é@127.0.0.1\"", nil, []string{"node.name"}},
		{"seeds without secret", good + "[cluster]\nseeds = [\"a@127.0.0.1:1\"]", nil, []string{"cluster.secret"}},
		{"bad seed", good + "[cluster]\nsecret = \"s\"\nseeds = [\"a@b:c\"]", nil, []string{"cluster.seeds"}},
		{"one port twice", good + "[listeners.mqtt]\nbind = \"127.0.0.1:8083\"", nil, []string{"127.0.0.1:8083", "mqtt", "ws"}},
		{"no links", good + "[listeners.forward]\nenabled = false", nil, []string{"forward"}},
		{"two secrets", good + "[cluster]\nsecret = \"s\"\nsecret_file = \"f\"", nil, []string{"secret_file"}},
		{"no secret file", good + "[cluster]\nsecret_file = \"missing\"", nil, []string{"missing"}},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		write(t, dir, tt.file)
		_, err := LoadConfig(dir, tt.env)
		if _, ok := errors.AsType[*ConfigError](err); !ok {
			t.Errorf("%s: got %v, want a ConfigError", tt.name, err)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", tt.name, err, w)
			}
		}
	}
	if _, err := LoadConfig(t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "[node]\nname = \"a@127.0.0.1\"\n[cluster]\nsecret_file = \"etc/secret\"")
	if err := os.WriteFile(filepath.Join(dir, "etc/secret"), []byte("shh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(dir, nil)
	if err != nil || c.Cluster.Secret != "shh" {
		t.Errorf("got %q, %v", c.Cluster.Secret, err)
	}
}

// Every key can be set from the environment, and its variable is spelt as documented.
func TestEveryKeyHasAVariable(t *testing.T) {
	c := DefaultConfig("")
	for key, place := range c.keys() {
		value := "v"
		switch place.(type) {
		case *bool:
			value = "false"
		case *int:
			value = "7"
		}
		if err := c.override([]string{envName(key) + "=" + value}); err != nil {
			t.Errorf("%s: %v", envName(key), err)
		}
	}
	if c.Node.Name != "v" || c.Listeners.Forward.Bind != "v" || c.Listeners.MQTTS.Enabled || len(c.Cluster.Seeds) != 1 || c.MQTT.ReceiveMaximum != 7 {
		t.Errorf("got %+v", c)
	}
}
