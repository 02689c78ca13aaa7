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
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group of the kernel (v2), which who is started into it can't leave, nor can what descends from that. One
// can be made by root, and by others where the system has delegated them a part of the tree.
type Cgroup struct{ dir *os.File }

// CgroupPath is where MakeCgroup would make the group called name: below the caller's own. The error wraps ErrUnsupported where
// there are none.
func CgroupPath(name string) (string, error) {
	own, err := ownCgroup()
	if err != nil {
		return "", fmt.Errorf("make cgroup %q: %w: %w", name, errors.ErrUnsupported, err)
	}
	return filepath.Join(own, name), nil
}

// MakeCgroup makes the group at a path that CgroupPath gave, or opens the one that is there. The error wraps ErrUnsupported where
// the caller may make none.
func MakeCgroup(path string) (*Cgroup, error) {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make cgroup: %w: %w", errors.ErrUnsupported, err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
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

// Remove removes the group. One that has a member stays as it is, and can be removed later.
func (g *Cgroup) Remove() error {
	if err := RemoveCgroup(g.Path()); err != nil {
		return err
	}
	return g.dir.Close()
}

// emptyTimeout bounds how long a group may count members that have just ended.
const emptyTimeout = 500 * time.Millisecond

// RemoveCgroup removes a group that has no member. One that is not there is no error.
func RemoveCgroup(path string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		err := unix.Rmdir(path)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return nil
		case !errors.Is(err, unix.EBUSY), time.Since(began) > emptyTimeout:
			return fmt.Errorf("remove cgroup %s: %w", path, err)
		}
	}
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

// stayOut undoes enter, and reports whether there was something to undo: where the kernel or a sandbox has no clone3, a start
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
