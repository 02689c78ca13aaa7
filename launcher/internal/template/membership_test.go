package template

import (
	"strings"
	"testing"
)

const plainServer = "[node]\nname = \"n{{.Index}}\"\n[listeners.a]\nport = 5000\n[start]\ncommand = [\"x\"]\n"

// TestMembershipProblems wants what never happens, and what contradicts itself, to be told with its place.
func TestMembershipProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"membership = \"closed\"\n" + plainServer, `line 1: membership: "closed" is unknown; give one of open, fixed`},
		{"membership = \"fixed\"\n" + plainServer + "[[leave]]\nexec = [\"x\"]\n", "leave: is never used with membership"},
		{"membership = \"fixed\"\n" + plainServer + "[[add.after]]\nexec = [\"x\"]\n", "add: is never used with membership"},
		{"membership = \"fixed\"\n" + plainServer + "[[refresh]]\nsignal = \"HUP\"\n", "refresh: is never used with membership"},
		{plainServer + "[stop]\norder = \"backwards\"\n", `stop.order: "backwards" is unknown; give one of parallel, staged, reverse`},
		{plainServer + "[[form]]\nexec = [\"x\"]\nstopped = true\n", "form[0].stopped: goes with [[leave]] only"},
		{plainServer + "[[leave]]\nexec = [\"x\"]\nstopped = true\n", "leave[0].stopped: the node has stopped by then"},
		{plainServer + "[members]\ntimeout = \"-1s\"\n", "members.timeout: -1s is below 0"},
	} {
		_, err := Parse("x", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v\nwant %s", c.text, err, c.want)
		}
	}
	if _, err := Parse("x", []byte("membership = \"fixed\"\n"+plainServer+"[stop]\norder = \"reverse\"\n")); err != nil {
		t.Error(err)
	}
}
