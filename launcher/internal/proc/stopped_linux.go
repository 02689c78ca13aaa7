package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Stopped reports whether no thread of the process runs on: SIGSTOP takes effect
// some time after it was sent. A process that is gone is stopped.
func Stopped(id ID) (bool, error) {
	if !Alive(id) {
		return true, nil
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", id.PID))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrGone) || err != nil && !Alive(id) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look at the threads of %v: %w", id, err)
		}
		line := string(b)
		state := strings.TrimLeft(line[strings.LastIndexByte(line, ')')+1:], " ")
		if state == "" || !strings.ContainsRune("TtZXx", rune(state[0])) {
			return false, nil
		}
	}
	return true, nil
}
