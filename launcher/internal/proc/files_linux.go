package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BoundSockets lists the unix sockets of this network namespace that are bound to a path: their paths, which may be relative to the
// working directory of who bound them, by inode.
func BoundSockets() (map[uint64]string, error) {
	b, err := os.ReadFile("/proc/net/unix")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel, or a sandbox, without a list of them
	}
	if err != nil {
		return nil, err
	}
	out := map[uint64]string{}
	for line := range strings.Lines(string(b)) {
		const path = 7 // after: number, references, protocol, flags, type, state, inode
		f := strings.SplitN(strings.Join(strings.Fields(line), " "), " ", path+1)
		if len(f) <= path || strings.HasPrefix(f[path], "@") { // an abstract name is no file
			continue
		}
		if inode, err := strconv.ParseUint(f[path-1], 10, 64); err == nil {
			out[inode] = f[path]
		}
	}
	return out, nil
}

// OpenFiles returns the files that the process has open for writing, and those of the sockets that it has open, without repetition, as
// far as wanted says so of their paths. Devices, what has been deleted, and what has no path are left out; a process
// that is gone, or may not be looked at, has none.
func OpenFiles(pid int, sockets map[uint64]string, wanted func(path string) bool) []OpenFile {
	base := "/proc/" + strconv.Itoa(pid)
	dir, err := openProc(pid, "fd")
	if err != nil {
		return nil
	}
	d := os.NewFile(uintptr(dir), "")
	defer d.Close()
	fds, _ := d.Readdirnames(-1)
	buf := make([]byte, unix.PathMax)
	seen := map[OpenFile]bool{}
	var out []OpenFile
	for _, fd := range fds {
		n, err := unix.Readlinkat(dir, fd, buf)
		if err != nil || buf[0] != '/' && len(sockets) == 0 {
			continue
		}
		f := openFile(base, string(buf[:n]), sockets)
		if f.Path == "" || seen[f] || !wanted(f.Path) || !f.Socket && !forWriting(pid, fd) {
			continue
		}
		seen[f] = true
		out = append(out, f)
	}
	return out
}

// openFile is what a descriptor's link stands for; zero if it has no path that counts.
func openFile(base, link string, sockets map[uint64]string) OpenFile {
	if inode, ok := strings.CutPrefix(link, "socket:["); ok {
		n, _ := strconv.ParseUint(strings.TrimSuffix(inode, "]"), 10, 64)
		path := sockets[n]
		if path != "" && !filepath.IsAbs(path) {
			cwd, _ := os.Readlink(base + "/cwd")
			path = filepath.Join(cwd, path)
		}
		if path != "" {
			path = filepath.Join(resolved(filepath.Dir(path)), filepath.Base(path))
		}
		return OpenFile{Path: path, Socket: true}
	}
	if !filepath.IsAbs(link) || strings.HasSuffix(link, " (deleted)") {
		return OpenFile{}
	}
	for _, dir := range [...]string{"/dev", "/proc", "/sys"} {
		if within(link, dir) {
			return OpenFile{}
		}
	}
	return OpenFile{Path: link}
}

// forWriting reports whether a descriptor of the process was opened for writing.
func forWriting(pid int, fd string) bool {
	b, err := readProc(pid, "fdinfo/"+fd, make([]byte, 1024))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(rest), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY && flags&unix.O_PATH == 0
		}
	}
	return false
}
