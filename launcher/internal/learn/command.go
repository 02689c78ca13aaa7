package learn

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/proc"
)

// command is how a node is started: in its directory.
type command struct {
	args    []string // args[0] as proc.Spec takes it
	program string   // the name to look up on PATH, if the directory does not hold the program
	path    string   // where it was found
}

// starters are names of scripts that plainly start a node.
var starters = []string{"start", "start.sh", "run", "run.sh", "bin/start", "bin/start.sh", "bin/run", "bin/run.sh"}

// findCommand settles the command that was given, or finds the one that the directory shows.
func findCommand(dir string, given []string, t *tree) (command, error) {
	if len(given) == 0 {
		program, err := findStarter(dir, t)
		return command{args: []string{"./" + program}}, err
	}
	c := command{args: slices.Clone(given)}
	name := given[0]
	inDir := name
	if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsAbs(name) {
		inDir = rel
	}
	if strings.Contains(name, "/") && filepath.IsLocal(inDir) && executable(filepath.Join(dir, inDir)) {
		c.args[0] = "./" + filepath.ToSlash(filepath.Clean(inDir))
		return c, nil
	}
	path, err := proc.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return c, &Error{Text: fmt.Sprintf("there is no program %q, neither in %s nor on PATH", name, dir), Input: true,
			Hint: "what follows -- is how one node is started in the foreground, in its directory"}
	}
	c.args[0], c.path, c.program = path, path, filepath.Base(path)
	return c, nil
}

func findStarter(dir string, t *tree) (string, error) {
	var found []string
	for path := range t.files {
		if (slices.Contains(starters, path) || filepath.Dir(path) == "bin") && executable(filepath.Join(dir, path)) {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	for _, s := range starters {
		if slices.Contains(found, s) {
			return s, nil
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	text := fmt.Sprintf("%s does not show how a node is started: it has no executable in bin/, and no start or run script", dir)
	if len(found) > 1 {
		text = fmt.Sprintf("%s does not show how a node is started: its bin/ has %s", dir, strings.Join(found, ", "))
	}
	return "", &Error{Text: text, Input: true,
		Hint: "say how one node is started in the foreground, in its directory: onemore learn DIR -- PROGRAM ARGS…"}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var notInName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9_-]+`) })

// templateName makes any text a name that a template may have.
func templateName(s string) string {
	s = strings.Trim(notInName().ReplaceAllString(strings.ToLower(s), "-"), "-_")
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		s = "server-" + s
	}
	return strings.TrimRight(s, "-")
}
