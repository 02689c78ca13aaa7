package proc

import (
	"fmt"
	"strings"
)

// Environ returns the values of the named variables that the process was started with; those it lacks are left out.
// The error wraps ErrGone when the process does not run, and is the system's where its environment may not be read.
func Environ(id ID, names ...string) (map[string]string, error) {
	block, err := environ(id.PID)
	if err != nil {
		return nil, fmt.Errorf("read environment of %v: %w", id, err)
	}
	if !Alive(id) {
		return nil, fmt.Errorf("read environment of %v: %w", id, ErrGone)
	}
	env := make(map[string]string, len(names))
	for v := range strings.SplitSeq(block, "\x00") {
		name, val, _ := strings.Cut(v, "=")
		for _, n := range names {
			if n == name {
				env[name] = val
			}
		}
	}
	return env, nil
}
