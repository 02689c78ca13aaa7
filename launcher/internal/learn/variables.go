package learn

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onemore/launcher/internal/proc"
)

const (
	helpTimeout  = 2 * time.Second
	programLimit = 256 << 20 // what is read of a program, in bytes
)

// ownVariables are the beginnings, with a * behind, of the variables that the server seems to read: those that are called after it in
// what its program prints for --help, or in the program itself.
func (l *learner) ownVariables(ctx context.Context) []string {
	program := l.command.path
	if program == "" {
		program = filepath.Join(l.self, l.command.args[0])
	}
	candidates := prefixes(l.command.args[0])
	found := variablesIn(l.help(ctx, program), candidates)
	if info, err := os.Stat(program); err == nil && info.Size() <= programLimit {
		if text, err := os.ReadFile(program); err == nil {
			found = append(found, variablesIn(string(text), candidates)...)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	all := slices.Clone(found)
	return slices.DeleteFunc(found, func(p string) bool { // of those that another covers
		return slices.ContainsFunc(all, func(o string) bool { return o != p && strings.HasPrefix(p, strings.TrimSuffix(o, "*")) })
	})
}

// help is what the program prints when it is asked for its options; a program that takes that for a start is ended.
func (l *learner) help(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, helpTimeout)
	defer cancel()
	out, _ := l.spawner.Run(ctx, proc.Spec{Args: []string{program, "--help"}, Dir: l.scratch, Env: append(inherited(), markVariable+"="+l.id)})
	return string(out.Stdout) + string(out.Stderr)
}

// prefixes are the beginnings that variables of a program may have, by its name: of "kvd-server.sh" KVD_SERVER_, KVD_ and KV_.
func prefixes(program string) []string {
	name := strings.ToUpper(filepath.Base(program))
	for _, suffix := range []string{".SH", ".EXE", ".PY", ".JAR"} {
		name = strings.TrimSuffix(name, suffix)
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return r < '0' || r > '9' && r < 'A' || r > 'Z' })
	if len(words) == 0 || words[0][0] <= '9' {
		return nil
	}
	out := []string{strings.Join(words, "_") + "_", words[0] + "_"}
	if short := strings.TrimSuffix(words[0], "D"); len(short) > 1 {
		out = append(out, short+"_")
	}
	slices.Sort(out)
	out = slices.Compact(out)
	// "sh" or "run" names no server.
	return slices.DeleteFunc(out, func(p string) bool { return len(p) < 4 || slices.Contains(commonPrefixes[:], p) })
}

var commonPrefixes = [...]string{"START_", "RUN_", "SERVER_", "NODE_", "JAVA_", "PYTHON_", "BASH_", "DOCKER_", "ENV_", "SUDO_"}

// variablesIn returns those of the prefixes that variables in a text begin with, with a * behind.
func variablesIn(text string, prefixes []string) []string {
	var out []string
	for _, prefix := range prefixes {
		if namesVariable(text, prefix) {
			out = append(out, prefix+"*")
		}
	}
	return out
}

// namesVariable reports whether the name of a variable that begins with the prefix stands in a text. Texts lie side by side in a program: what
// is before a name may be the end of another word.
func namesVariable(text, prefix string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], prefix)
		if i < 0 {
			return false
		}
		before, rest := at+i-1, text[at+i+len(prefix):]
		if (before < 0 || text[before] != '_') && len(rest) > 1 && rest[0] >= 'A' && rest[0] <= 'Z' && isUpperWord(rest[1]) {
			return true
		}
		at += i + len(prefix)
	}
}

func isUpperWord(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' }
