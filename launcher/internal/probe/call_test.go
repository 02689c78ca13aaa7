package probe

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	const stats = "# HELP x\nnodes_running 3.0\nnodes_stopped 0\n"
	for _, tt := range []struct {
		call Call
		text string
		want int // -1: no number
		err  string
	}{
		{Call{}, "anything", -1, ""},
		{Call{Expect: "^PONG"}, "PONG\n", -1, ""},
		{Call{Expect: "^PONG"}, "LOADING", -1, `answered "LOADING", which does not match "^PONG"`},
		{Call{Expect: "^PONG"}, "", -1, "answered nothing"},
		{Call{Refuse: "Failed"}, "Failed to join: x", -1, "is refused"},
		{Call{Refuse: "Failed", Expect: "joined"}, "joined", -1, ""},
		{Call{Number: `(?m)^nodes_running (\S+)`}, stats, 3, ""},
		{Call{Number: `\d+`}, "members: 12", 12, ""},
		{Call{Number: `n=(\S+)`}, "n=x", -1, `"x" is not a number`},
		{Call{Number: `n=(\S+)`}, "n=1.5", -1, "not a whole number"},
		{Call{Number: `n=(\S+)`}, "n=1e99", -1, "not a whole number"},
		{Call{Number: `n=(\d+)`}, "none", -1, "has no number"},
		{Call{Number: `n=(\d+)?`}, "n=", -1, "is not a number"},
		{Call{Count: "Running"}, "Running, Stopped, Running", 2, ""},
		{Call{Count: "Running"}, "", 0, ""},
		{Call{JSON: "num_routes"}, `{"num_routes": 2}`, 2, ""},
		{Call{JSON: "data.nodes"}, `{"data":{"nodes":[{},{},{}]}}`, 3, ""},
		{Call{JSON: "."}, `[1,2]`, 2, ""},
		{Call{JSON: "0.n"}, `[{"n":"7"}]`, 7, ""},
		{Call{JSON: "a"}, `{"a":{"x":1,"y":2}}`, 2, ""},
		{Call{JSON: "a.b"}, `{"a":{}}`, -1, `has no "b"`},
		{Call{JSON: "a"}, `{"a":true}`, -1, "not a number, list or object"},
		{Call{JSON: "1"}, `[1]`, -1, `has no "1"`},
		{Call{JSON: "a"}, `<html>`, -1, "not JSON"},
	} {
		re, err := tt.call.compile()
		if err != nil {
			t.Fatal(err)
		}
		a, err := tt.call.judge(tt.text, re)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v on %q: got %v, want %q", tt.call, tt.text, err, tt.err)
		}
		if a.HasNumber != (tt.want >= 0) || a.HasNumber && a.Number != tt.want || a.Text != tt.text {
			t.Errorf("%+v on %q: got %+v, want %d", tt.call, tt.text, a, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		call Call
		want []string
	}{
		{Call{TCP: "127.0.0.1:1"}, nil},
		{Call{}, []string{"exactly one of"}},
		{Call{TCP: "x", HTTP: "y"}, []string{"exactly one of"}},
		{Call{Exec: []string{"x"}, Number: "[", Count: "("}, []string{"at most one", "number: ", "count: "}},
		{Call{TCP: "x", Expect: "(", Refuse: ")"}, []string{"expect: ", "refuse: "}},
	} {
		err := tt.call.Check()
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%+v: got %v", tt.call, err)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got %v, want %q in it", tt.call, err, want)
			}
		}
		if _, doErr := newProber(t).Do(t.Context(), tt.call); err != nil && doErr == nil {
			t.Errorf("%+v: done", tt.call)
		}
	}
}

func FuzzJSONNumber(f *testing.F) {
	f.Add(`{"a":[1,{"b":2}]}`, "a.1.b")
	f.Fuzz(func(t *testing.T, text, path string) {
		if n, err := jsonNumber(text, path); err != nil && n != 0 {
			t.Errorf("%d with %v", n, err)
		}
	})
}
