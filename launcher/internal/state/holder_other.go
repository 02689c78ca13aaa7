//go:build !linux

package state

// LockHolder is not supported here.
func LockHolder(string) (pid int, ok bool) { return 0, false }
