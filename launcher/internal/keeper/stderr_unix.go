package keeper

import (
	"os"

	"golang.org/x/sys/unix"
)

// redirectStderr makes path the standard error of the whole process, so that a panic's trace lands in it.
func redirectStderr(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Dup2(int(f.Fd()), 2)
}
