package template

import (
	"strings"
	"testing"
	"testing/fstest"
)

const kafkaLike = `[node]
name = "n{{.Index}}"
[listeners.plain]
port = 9092
file = "server.properties"
key = "listeners"
match = 'PLAINTEXT://[^,]*:(\d+)'
[listeners.controller]
port = 9093
file = "server.properties"
key = "listeners"
match = 'CONTROLLER://[^,]*:(\d+)'
[start]
command = ["x"]
`

// TestListenerMatch wants the ports of several listeners to be found in one value, and nothing else to be kept free for them.
func TestListenerMatch(t *testing.T) {
	tpl, err := Parse("kafka", []byte(kafkaLike))
	if err != nil {
		t.Fatal(err)
	}
	source := fstest.MapFS{"server.properties": {Data: []byte("listeners=PLAINTEXT://0.0.0.0:19092,CONTROLLER://:19093\n")}}
	c, err := tpl.ReadConfig(source, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if plain, controller := c.Listeners["plain"].Port, c.Listeners["controller"].Port; plain != 19092 || controller != 19093 || len(c.Ports) != 0 {
		t.Errorf("plain %d, controller %d, others %v", plain, controller, c.Ports)
	}
	for match, want := range map[string]string{
		`':\d+'`: "has not just one group", `'('`: "missing closing )", "'(a)'\nvalue = '{{.Addr}}'": "goes with file and a key without *",
	} {
		_, err := Parse("kafka", []byte(strings.Replace(kafkaLike, `'PLAINTEXT://[^,]*:(\d+)'`, match, 1)))
		if err == nil || !strings.Contains(err.Error(), "listeners.plain.match: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("match = %s: %v, want %q", match, err, want)
		}
	}
}
