package ports

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Owned returns which of the processes holds which of the sockets: inode → pid,
// for these sockets and pids only; where several processes share a socket, the
// first in pids. A process that is gone, or may not be looked at, holds none. The
// error wraps errors.ErrUnsupported where the system does not support it.
func Owned(sockets []Socket, pids []int) (map[uint64]int, error) {
	open := make(map[uint64]int)
	for _, pid := range pids {
		eachSocket(pid, func(inode uint64) {
			if _, known := open[inode]; !known {
				open[inode] = pid
			}
		})
	}
	owned := make(map[uint64]int)
	for _, s := range sockets {
		if pid, ok := open[s.Inode]; ok {
			owned[s.Inode] = pid
		}
	}
	return owned, nil
}

// eachSocket calls f with the inode of every socket that the process has open.
func eachSocket(pid int, f func(inode uint64)) {
	d, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return
	}
	buf := make([]byte, 64)
	for _, name := range names {
		n, err := unix.Readlinkat(int(d.Fd()), name, buf)
		if err != nil {
			continue
		}
		if inode, ok := socketInode(string(buf[:n])); ok {
			f(inode)
		}
	}
}

// socketInode reads "socket:[4711]".
func socketInode(link string) (uint64, bool) {
	rest, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	return inode, err == nil
}

// inodeHolder looks through the descriptors of all processes.
func inodeHolder(inode uint64) (Process, bool) {
	d, err := os.Open("/proc")
	if err != nil {
		return Process{}, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil && len(names) == 0 {
		return Process{}, false
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		found := false
		eachSocket(pid, func(i uint64) { found = found || i == inode })
		if found {
			return Process{PID: pid, Name: programName(pid)}, true
		}
	}
	return Process{}, false
}

func programName(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}
