package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group of the kernel (v2), which who is started into it can't leave, nor can what descends from that. One
// can be made by root, and by others where the system has delegated them a part of the tree.
type Cgroup struct{ dir *os.File }

// MakeCgroup makes a group below the caller's own, or opens the one that is there. The error wraps ErrUnsupported where none
// can be made.
func MakeCgroup(name string) (*Cgroup, error) {
	own, err := ownCgroup()
	if err != nil {
		return nil, fmt.Errorf("make cgroup %q: %w: %w", name, errors.ErrUnsupported, err)
	}
	path := filepath.Join(own, name)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make cgroup %q: %w: %w", name, errors.ErrUnsupported, err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open cgroup %q: %w", name, err)
	}
	return &Cgroup{dir}, nil
}

// ownCgroup is the folder of the calling process's group.
func ownCgroup() (string, error) {
	root := ""
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(mount, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC && st.Flags&unix.ST_RDONLY == 0 {
			root = mount
			break
		}
	}
	if root == "" {
		return "", errors.New("no tree of version 2 is mounted for writing")
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok && !strings.HasPrefix(path, "..") {
			return filepath.Join(root, path), nil
		}
	}
	return "", errors.New("this process is in none of version 2")
}

// Path is the folder by which the group is found again: Claim.Cgroup.
func (g *Cgroup) Path() string { return g.dir.Name() }

// Close forgets the group, and removes it when it has no member any more.
func (g *Cgroup) Close() error { return errors.Join(g.dir.Close(), RemoveCgroup(g.Path())) }

// RemoveCgroup removes a group that has no member. One that is not there is no error.
func RemoveCgroup(path string) error {
	err := unix.Rmdir(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove cgroup %s: %w", path, err)
	}
	return nil
}

// membersOf returns the pids in a group; none where there is no such group.
func membersOf(cgroup string) map[int]bool {
	if cgroup == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	if err != nil {
		return nil
	}
	members := map[int]bool{}
	for _, field := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil {
			members[pid] = true
		}
	}
	return members
}

// enter makes a child start in the group.
func (g *Cgroup) enter(a *syscall.SysProcAttr) {
	if g != nil {
		a.UseCgroupFD, a.CgroupFD = true, int(g.dir.Fd())
	}
}

// stayOut undoes enter, and tells whether there was something to undo: where the kernel or a sandbox has no clone3, a start
// into a group fails with what no start does by itself.
func stayOut(a *syscall.SysProcAttr, err error) bool {
	if !a.UseCgroupFD {
		return false
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	switch errno {
	case unix.ENOSYS, unix.EPERM, unix.EINVAL, unix.EOPNOTSUPP, unix.EBUSY, unix.ENODEV:
		a.UseCgroupFD = false
		return ok
	}
	return false
}
