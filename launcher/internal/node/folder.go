package node

import (
	"path/filepath"
	"strconv"
	"strings"
)

// nodeByFile returns the number of the node in whose folder a file is; 0 is the service.
func nodeByFile(dir, file string) (index int, ok bool) {
	for _, d := range []string{dir, realPath(dir)} {
		rest, below := strings.CutPrefix(file, d+"/")
		if !below {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if name == ServiceFolder {
			return 0, true
		}
		index, err := strconv.Atoi(name)
		return index, err == nil && index > 0
	}
	return 0, false
}

// realPath is a path as the kernel has it.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
