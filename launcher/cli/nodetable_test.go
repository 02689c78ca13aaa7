package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"onemore/launcher"
)

func someStatus() *launcher.Status {
	st := &launcher.Status{Cluster: "x", Template: "t", State: "degraded"}
	since := time.Now().Add(-3*time.Minute - 5*time.Second)
	for i := 1; i <= 3; i++ {
		n := launcher.NodeStatus{Index: i, Name: fmt.Sprintf("onemore%d@127.0.0.1", i), State: "running", PID: 1000 + i, Members: 3, Since: &since, RSSBytes: 31 << 20, CPUPercent: 2.4,
			Listeners: map[string]string{}, URLs: map[string]string{}}
		for name, port := range map[string]int{"mqtt": 1883, "cluster": 7946, "forward": 7947, "ws": 8083, "wss": 8084, "mqtts": 8883, "http": 18083} {
			n.Listeners[name] = fmt.Sprintf("127.0.0.1:%d", port+i*1000)
			n.URLs[name] = n.Listeners[name]
			if name != "cluster" && name != "forward" {
				n.URLs[name] = "x://" + n.Listeners[name]
			}
		}
		st.Nodes = append(st.Nodes, n)
	}
	st.Nodes[1].State, st.Nodes[1].PID, st.Nodes[1].Members, st.Nodes[1].Exit = "exited", 0, 0, "exit code 1"
	return st
}

// TestNodeTable wants the table to fit, what is for the nodes themselves to go first, and what tells the most to stay.
func TestNodeTable(t *testing.T) {
	st := someStatus()
	for _, tt := range []struct {
		columns int
		head    string
	}{
		{0, "NODE NAME STATE PID MEMBERS UPTIME MEMORY CPU MQTT CLUSTER FORWARD WS WSS MQTTS HTTP"},
		{140, "NODE NAME STATE PID MEMBERS UPTIME MEMORY CPU MQTT CLUSTER FORWARD WS WSS MQTTS HTTP"},
		{100, "NODE NAME STATE PID MEMBERS UPTIME MEMORY CPU MQTT WS WSS MQTTS"},
		{80, "NODE NAME STATE PID MEMBERS UPTIME MQTT WS WSS"},
		{60, "NODE NAME STATE MEMBERS MQTT WS"},
		{40, "NODE NAME STATE MEMBERS"},
	} {
		var b bytes.Buffer
		if err := nodeTable(&b, st, layout{columns: tt.columns, usage: true}); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(b.String(), "\n")
		if got := strings.Join(strings.Fields(head), " "); got != tt.head {
			t.Errorf("at %d columns: %s, want %s", tt.columns, got, tt.head)
		}
		for line := range strings.Lines(b.String()) {
			if n := width(strings.TrimRight(line, "\n")); tt.columns > 40 && n > tt.columns {
				t.Errorf("at %d columns a line has %d: %s", tt.columns, n, line)
			}
		}
		if said := strings.Contains(b.String(), "left out: "); said != (tt.columns > 0 && tt.columns < 140) {
			t.Errorf("at %d columns: what is left out is said: %v", tt.columns, said)
		}
	}
	var b bytes.Buffer
	if err := nodeTable(&b, st, layout{usage: true, colours: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[32mrunning\x1b[0m  1001  3        3m5s    31.0 MiB  2%", "\x1b[31mexited\x1b[0m   -     -        -       -         -"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, b.String())
		}
	}
}
