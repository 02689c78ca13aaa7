package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// suite runs the tests and fails when a process of theirs is left.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	mark := fmt.Sprintf("%s-%d", "script", os.Getpid())
	os.Setenv("TEST_RUN_MARK", mark)
	code := s.m.Run()
	for _, p := range left("TEST_RUN_MARK=" + mark) {
		fmt.Fprintln(os.Stderr, "a process outlived the tests:", p)
		code = 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"onemore": main})
}

// TestScripts runs the command line as people do: testdata/script holds a file a subject.
func TestScripts(t *testing.T) {
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
			e.Setenv("REPO", repo(e))
			e.Defer(func() { takeDown(home) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"nothing-left": nothingLeft,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			if cond == "ipv6" {
				l, err := net.Listen("tcp", "[::1]:0")
				if err == nil {
					l.Close()
				}
				return err == nil, nil
			}
			if name, ok := strings.CutPrefix(cond, "env:"); ok {
				return os.Getenv(name) != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

func repo(e *testscript.Env) string {
	dir, err := os.Getwd()
	if err != nil {
		e.T().Fatal(err)
	}
	return dir
}

// takeDown ends what a script that failed left running: its keepers' nodes die with them.
func takeDown(home string) {
	files, _ := filepath.Glob(filepath.Join(home, "*", "keeper.json"))
	for _, f := range files {
		endKeeper(f)
	}
}

// nothingLeft fails the script when ONEMORE_HOME still has a cluster or a process of one runs.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nothing-left")
	}
	home := ts.Getenv("ONEMORE_HOME")
	entries, err := os.ReadDir(home)
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "_") {
			ts.Fatalf("%s is left in ONEMORE_HOME", e.Name())
		}
	}
	for _, p := range left("ONEMORE_HOME=" + home) {
		ts.Fatalf("a process is left: %s", p)
	}
	for _, race := range races(home) {
		ts.Fatalf("%s", race)
	}
}
