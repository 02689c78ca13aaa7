package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamples runs the documented examples as their readers would. The Go one is a package of its own.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		name, program string
		args          []string
	}{
		{"python", "python3", []string{"docs/examples/python/test_cluster.py"}},
		{"javascript", "node", []string{"--test", "docs/examples/javascript/cluster.test.mjs"}},
		{"make", "make", []string{"-C", "docs/examples", "test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%s is not installed", c.program)
			}
			h := newHost(t)
			args := append([]string{c.program}, c.args...)
			if c.name != "make" { // which calls onemore run itself
				args = append([]string{"onemore", "run", "3", "--bundle", filepath.Join(h.home, "_bundle"), "--"}, args...)
			}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Dir = repo
			cmd.Env = append(os.Environ(), "ONEMORE_HOME="+h.home)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}
