package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line as people do: testdata/script holds a file a subject.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs(repo)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "h")
			e.Setenv("ONEMORE_HOME", home)
			name, value, _ := strings.Cut(raceLog(home), "=")
			e.Setenv(name, value)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("TEST_RUN_MARK", os.Getenv("TEST_RUN_MARK"))
			e.Setenv("REPO", root)
			e.Setenv("BASE", ownBase())
			e.Defer(func() { takeDown(home) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"nothing-left": nothingLeft,
		},
		Condition: condition,
	})
}

// condition decides what stands in brackets before a line of a script.
func condition(cond string) (bool, error) {
	if name, ok := strings.CutPrefix(cond, "env:"); ok {
		return os.Getenv(name) != "", nil
	}
	switch cond {
	case "root":
		return os.Getuid() == 0, nil
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err == nil {
			l.Close()
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// nothingLeft fails the script when ONEMORE_HOME still has a cluster or a process of one runs.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nothing-left")
	}
	if rest := leftovers(ts.Getenv("ONEMORE_HOME")); len(rest) > 0 {
		ts.Fatalf("%s", strings.Join(rest, "\n"))
	}
}
