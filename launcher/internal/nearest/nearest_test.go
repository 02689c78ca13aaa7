package nearest

import (
	"strconv"
	"testing"
)

func TestWord(t *testing.T) {
	commands := []string{"up", "down", "status", "start", "stop", "logs", "templates", "snapshot", "node", "nodes"}
	for written, want := range map[string]string{
		"pu": "up", "dwon": "down", "statsu": "status", "sttaus": "status", "STATUS": "status", "tem": "templates", "template": "templates",
		"lgos": "logs", "snapshto": "snapshot", "log": "logs", "stp": "stop", "nods": "nodes",
		"bogus": "", "x": "", "": "", "st": "", "kubernetes": "",
	} {
		got, ok := Word(written, commands)
		if got != want || ok != (want != "") {
			t.Errorf("Word(%q) = %q, %v; want %q", written, got, ok, want)
		}
	}
}

func TestHint(t *testing.T) {
	if got, want := Hint("mqt", []string{"mqtt", "ws"}, strconv.Quote), `did you mean "mqtt"?`; got != want {
		t.Errorf("Hint = %q, want %q", got, want)
	}
	if got := Hint("kafka", []string{"mqtt", "ws"}, strconv.Quote); got != "" {
		t.Errorf("Hint = %q, want none", got)
	}
}
