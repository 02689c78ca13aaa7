package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// written is the tree that run writes.
func written(t *testing.T) string {
	t.Helper()
	t.Setenv("ONEMORE_CLUSTER", "of-the-shell")
	dir := t.TempDir()
	if err := run([]string{dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPages: every command has a page with its flags, no page refers to one that isn't there, and nothing of the shell is in one.
func TestPages(t *testing.T) {
	dir := filepath.Join(written(t), "man", "man1")
	seen := 0
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		if !cmd.IsAvailableCommand() && cmd.HasParent() {
			return
		}
		seen++
		checkPage(t, dir, cmd)
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(app(io.Discard).Command())
	if seen < 30 {
		t.Errorf("looked at %d commands only: the walk is broken", seen)
	}
}

var reference = regexp.MustCompile(`\\fB(onemore[a-z-]*)\(1\)`)

func checkPage(t *testing.T, dir string, cmd *cobra.Command) {
	t.Helper()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	b, err := os.ReadFile(filepath.Join(dir, name+".1"))
	if err != nil {
		t.Error(err)
		return
	}
	page := string(b)
	if !strings.Contains(page, ".TH \""+strings.ToUpper(name)+"\" \"1\"") {
		t.Errorf("page of %s has no title", name)
	}
	if strings.Contains(page, "of-the-shell") {
		t.Errorf("page of %s has the value of a variable of the shell", name)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && !strings.Contains(page, "--"+f.Name) {
			t.Errorf("page of %s lacks flag --%s", name, f.Name)
		}
	})
	for _, ref := range reference.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(dir, ref[1]+".1")); err != nil {
			t.Errorf("page of %s refers to a page that is not there: %v", name, err)
		}
	}
}

// TestScripts: each shell that is installed loads its completion.
func TestScripts(t *testing.T) {
	dir := written(t)
	loads := map[string]string{
		"bash": `source "$1" && complete -p onemore`,
		"zsh":  `autoload -Uz compinit && compinit -D && source "$1" && print -r -- $_comps[onemore]`,
		"fish": `source $argv[1]; complete -c onemore`,
	}
	for shell, path := range scripts {
		t.Run(shell, func(t *testing.T) {
			file := filepath.Join(dir, filepath.FromSlash(path))
			if info, err := os.Stat(file); err != nil || info.Size() < 1000 {
				t.Fatalf("completion %s: %v, %v", path, info, err)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			args := []string{"-c", loads[shell], shell, file}
			if shell == "fish" { // it has no name before the arguments
				args = []string{"-c", loads[shell], file}
			}
			out, err := exec.Command(shell, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "onemore") {
				t.Errorf("%s loads %s: %v\n%s", shell, path, err, out)
			}
		})
	}
}

func TestCall(t *testing.T) {
	if err := run(nil); err == nil {
		t.Error("run without a folder returned no error")
	}
}
