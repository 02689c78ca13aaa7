// Package e2e tests the whole program as people run it: by its command line, with real servers and with a stand-in for one that
// can't be had everywhere. What a package does by itself is tested in that package.
//
// Start with harness_test.go: a host is one ONEMORE_HOME, and most tests begin with newHost. scripts_test.go runs
// testdata/script, a file a subject; conformance_test.go takes every server through the same life; standin/ is the stand-in.
package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	// What the program consists of. go test runs these tests again when any of it has changed, also while they only run the
	// built program.
	_ "onemore/launcher/cli"
	_ "onemore/nodecore/cli"
)

// repo is the folder of the module, seen from the folder of these tests.
const repo = ".."

// TestMain builds the program, puts it first on PATH, and fails when a process of the tests is left.
func TestMain(m *testing.M) {
	code, err := testAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = cmp.Or(code, 1)
	}
	os.Exit(code)
}

func testAll(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "onemore-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		return 1, err
	}
	mark := fmt.Sprintf("e2e-%d", os.Getpid())
	for name, value := range map[string]string{"PATH": dir + string(os.PathListSeparator) + os.Getenv("PATH"), "TEST_RUN_MARK": mark} {
		if err := os.Setenv(name, value); err != nil {
			return 1, err
		}
	}
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil { // tests wait for servers more than they compute
		return 1, err
	}
	code = m.Run()
	if outlived := left("TEST_RUN_MARK=" + mark); len(outlived) > 0 {
		return code, fmt.Errorf("processes outlived the tests: %q", outlived)
	}
	return code, nil
}

// build builds the program, with the race detector if the tests have it.
func build(dir string) error {
	if _, err := os.ReadFile(filepath.Join(repo, "main.go")); err != nil { // go test minds what its tests read
		return err
	}
	args := []string{"build", "-buildvcs=false", "-o", dir + string(filepath.Separator)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" {
				args = append(args, "-race="+s.Value)
			}
		}
	}
	if out, err := exec.Command("go", append(args, repo)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}
