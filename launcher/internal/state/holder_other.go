//go:build !linux

package state

// LockHolder can't tell here.
func LockHolder(string) (pid int, ok bool) { return 0, false }
