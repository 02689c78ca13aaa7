//go:build !linux

package proc

// BoundSockets is not supported here.
func BoundSockets() (map[uint64]string, error) { return nil, nil }

// OpenFiles is not supported here.
func OpenFiles(int, map[uint64]string, func(string) bool) []OpenFile { return nil }
