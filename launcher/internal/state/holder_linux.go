package state

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockHolder returns the pid of the process that holds the directory's lock.
func LockHolder(dir string) (pid int, ok bool) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, false
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, false
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	return lockHolder(string(locks), file)
}

// lockHolder finds the flock on the file in the text of /proc/locks, as in
// "1: FLOCK  ADVISORY  WRITE 708 08:01:4242 0 EOF". A line of a waiter has an
// arrow after the number.
func lockHolder(locks, file string) (pid int, ok bool) {
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		return pid, err == nil && pid > 0
	}
	return 0, false
}
