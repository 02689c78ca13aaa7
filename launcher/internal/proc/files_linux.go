package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// autobound is the name that the kernel gives to a unix socket which was bound to none.
var autobound = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^@[0-9a-f]{5}$`) })

// BoundSockets lists the unix sockets of this network namespace that are bound, by inode: to a path, which may be relative to the working
// directory of who bound it, or to an abstract name, which begins with an @.
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
		if len(f) <= path || autobound().MatchString(f[path]) {
			continue
		}
		if inode, err := strconv.ParseUint(f[path-1], 10, 64); err == nil {
			out[inode] = f[path]
		}
	}
	return out, nil
}

// OpenFiles returns the files that the process has open, or mapped into its memory, for writing, and the sockets that it has open, without
// repetition, as far as wanted says so of their paths. Devices, what has been deleted, and what has no path are left out; a
// process that is gone, or may not be looked at, has none.
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
	for _, path := range mappedFiles(pid) {
		if f := openFile(base, path, nil); f.Path != "" && !seen[f] && wanted(f.Path) {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// mappedFiles are the files that a process has mapped into its memory so that what it writes there is written to them. Their descriptors
// may be closed.
func mappedFiles(pid int) []string {
	b, err := readProc(pid, "maps", make([]byte, 32<<10))
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		const mode, inode, path = 1, 4, 5 // after the range of addresses: mode, offset, device, inode, path
		if f := strings.Fields(line); len(f) > path && strings.HasPrefix(f[mode], "rw") && strings.HasSuffix(f[mode], "s") && f[inode] != "0" {
			_, name, _ := strings.Cut(line, " "+f[inode]+" ")
			out = append(out, strings.ReplaceAll(strings.TrimSpace(name), `\012`, "\n"))
		}
	}
	return out
}

// openFile is what a descriptor's link stands for; zero if it has no path that counts.
func openFile(base, link string, sockets map[uint64]string) OpenFile {
	if inode, ok := strings.CutPrefix(link, "socket:["); ok {
		n, _ := strconv.ParseUint(strings.TrimSuffix(inode, "]"), 10, 64)
		path := sockets[n]
		if strings.HasPrefix(path, "@") {
			return OpenFile{Path: path, Socket: true}
		}
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
