package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData syncs what was written, and of the rest only what is needed to read it.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
