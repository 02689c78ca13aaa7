//go:build !linux

package ports

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sockets can't be listed here without another program's help: ask Busy.
func Sockets() ([]Socket, error) {
	return nil, fmt.Errorf("list sockets: %w", errors.ErrUnsupported)
}

func occupied() ([]Socket, error) { return Sockets() }

func look() (sockets []Socket, blind bool, err error) { return nil, true, nil }

// ephemeral is IANA's range, which the BSDs and macOS use by default.
func ephemeral() (low, high int) { return 49152, 65535 }

// Owned is not supported here.
func Owned([]Socket, []int) (map[uint64]int, error) {
	return nil, fmt.Errorf("find owners of sockets: %w", errors.ErrUnsupported)
}

func inodeHolder(uint64) (Process, bool) { return Process{}, false }

func programName(int) string { return "" }

// openSocket keeps the socket from a child that is forked at this moment.
func openSocket(family, kind int) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err = unix.Socket(family, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}
