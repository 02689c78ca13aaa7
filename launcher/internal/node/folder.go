package node

import (
	"path/filepath"
	"strconv"
	"strings"

	"onemore/launcher/internal/plan"
)

// noNode is in the place of a node's number where a process is no single node's.
const noNode = -1

// ServiceIndex is the number under which the processes of a service, counted from 0, are known: no node's, and not noNode.
func ServiceIndex(i int) int {
	if i == 0 {
		return 0
	}
	return noNode - i
}

// nodeByFile returns the number of the node in whose folder a file is, or of the service.
func nodeByFile(dir, file string) (index int, ok bool) {
	for _, d := range []string{dir, realPath(dir)} {
		rest, below := strings.CutPrefix(file, d+"/")
		if !below {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if i, ok := serviceByFolder(name); ok {
			return ServiceIndex(i), true
		}
		index, err := strconv.Atoi(name)
		return index, err == nil && index > 0
	}
	return 0, false
}

// serviceByFolder returns which service, counted from 0, has a folder of that name.
func serviceByFolder(name string) (int, bool) {
	rest, ok := strings.CutPrefix(name, plan.ServiceFolder(0))
	if !ok || rest == "" {
		return 0, ok
	}
	i, err := strconv.Atoi(rest)
	return i - 1, err == nil && i > 1
}

// realPath is a path as the kernel has it.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
