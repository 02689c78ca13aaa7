//go:build !linux

package proc

// BoundSockets can't tell here.
func BoundSockets() (map[uint64]string, error) { return nil, nil }

// OpenFiles can't tell here.
func OpenFiles(int, map[uint64]string, func(string) bool) []OpenFile { return nil }
