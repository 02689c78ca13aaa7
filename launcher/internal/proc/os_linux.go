package proc

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, which the kernel fixes at 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// kernelThread is PF_KTHREAD of the kernel's include/linux/sched.h.
const kernelThread = 0x00200000

// bootID never changes while a process lives.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
})

// readStat reads /proc/PID/stat. The error wraps ErrGone when the pid is free.
func readStat(pid int) (stat, error) {
	if pid <= 0 {
		return stat{}, ErrGone
	}
	b, err := readProc(pid, "stat", make([]byte, 1024))
	if err != nil {
		return stat{}, err
	}
	s, _, err := parseStat(pid, string(b))
	return s, err
}

// readProc reads a file of /proc/PID without the cost of the runtime's poller.
// buf is grown as needed. A process that is gone is ErrGone.
func readProc(pid int, file string, buf []byte) ([]byte, error) {
	fd, err := openProc(pid, file)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		m, err := unix.Read(fd, buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ESRCH):
			return nil, ErrGone
		case err != nil:
			return nil, err
		case m == 0:
			return buf[:n], nil
		}
		n += m
	}
}

func openProc(pid int, file string) (int, error) {
	for {
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
			return -1, ErrGone
		}
		return fd, err
	}
}

// parseStat takes the line apart, and also returns the CPU time, user and system,
// in ticks. The name is in parentheses and may itself
// hold parentheses and spaces, so the fields count from the last one.
func parseStat(pid int, line string) (s stat, cpuTicks uint64, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, 0, fmt.Errorf("parse /proc/%d/stat: no name in it", pid)
	}
	s = stat{pid: pid, name: line[open+1 : end]}
	const firstField, lastField = 3, 22 // as proc(5) numbers them
	fields := strings.Fields(line[end+1:])
	if len(fields) <= lastField-firstField {
		return stat{}, 0, fmt.Errorf("parse /proc/%d/stat: %d fields after the name", pid, len(fields))
	}
	number := func(field int) uint64 {
		n, _ := strconv.ParseUint(fields[field-firstField], 10, 64)
		return n
	}
	// The first thread is a zombie before the others have ended, and the process holds its files and ports until they have.
	s.zombie = strings.ContainsAny(fields[0], "ZXx") && number(20) <= 1
	s.ppid, s.pgid, s.sid = int(number(4)), int(number(5)), int(number(6))
	s.terminal, s.kernel = number(7) != 0, number(9)&kernelThread != 0
	s.start = number(22)
	return s, number(14) + number(15), nil
}

// CheckHost says why processes can't be told apart here, or nil: /proc may be missing, or be that of another PID namespace,
// where every number means another process.
func CheckHost() error {
	self, err := os.Readlink("/proc/self")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("/proc shows no processes of this PID namespace; `mount -t proc proc /proc` does")
	}
	if err != nil {
		return fmt.Errorf("look at processes: %w", err)
	}
	if pid := strconv.Itoa(os.Getpid()); self != pid {
		return fmt.Errorf("/proc is that of another PID namespace: it shows this process as %s, which is %s here; "+
			"`mount -t proc proc /proc` (or `unshare --mount-proc`) mounts the right one", self, pid)
	}
	return nil
}

// Snapshot looks at every process once.
func Snapshot() (Table, error) {
	if err := CheckHost(); err != nil {
		return nil, err
	}
	pids, err := allPIDs()
	if err != nil {
		return nil, err
	}
	return tableOf(pids), nil
}

// Below is Snapshot for the descendants of a process only, as the lists of children have them. It may miss some where others of the same parent
// end while it looks.
func Below(pid int) (Table, error) {
	if err := CheckHost(); err != nil {
		return nil, err
	}
	if _, err := os.Stat("/proc/thread-self/children"); errors.Is(err, fs.ErrNotExist) {
		return Snapshot() // a kernel without such lists
	}
	var pids []int
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		of := childrenOf(next[0])
		pids, next = append(pids, of...), append(next, of...)
	}
	return tableOf(pids), nil
}

// childrenOf are the children of all threads of a process; none if it has ended.
func childrenOf(pid int) (out []int) {
	d, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	defer d.Close()
	threads, _ := d.Readdirnames(-1)
	buf := make([]byte, 1024)
	for _, thread := range threads {
		b, err := readProc(pid, "task/"+thread+"/children", buf)
		if err != nil {
			continue // the thread has ended
		}
		for _, number := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(number); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// tableOf is what the stat files of processes say, without those that have ended.
func tableOf(pids []int) Table {
	t := make(Table, 0, len(pids))
	boot, buf := bootID(), make([]byte, 1024)
	for _, pid := range pids {
		b, err := readProc(pid, "stat", buf)
		if err != nil {
			continue // ended since the listing
		}
		s, _, err := parseStat(pid, string(b))
		if err != nil || s.zombie {
			continue
		}
		t = append(t, s.info(boot))
	}
	return t
}

func (s stat) info(boot string) Info {
	return Info{ID: ID{PID: s.pid, Start: s.start, Boot: boot}, PPID: s.ppid, Group: s.pgid, Session: s.sid, Name: s.name,
		terminal: s.terminal, kernel: s.kernel}
}

func allPIDs() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, n := range names {
		if n[0] < '0' || n[0] > '9' {
			continue
		}
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Usage returns the resident memory in bytes, and the share of one core in
// percent that the process used over its life so far, as ps has it.
func Usage(id ID) (rss uint64, cpuPercent float64, err error) {
	b, err := readProc(id.PID, "statm", make([]byte, 256))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of %v: %w", id, err)
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("read memory of %v: unexpected statm %q", id, b)
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of %v: %w", id, err)
	}
	b, err = readProc(id.PID, "stat", make([]byte, 1024))
	if err != nil {
		return 0, 0, fmt.Errorf("read usage of %v: %w", id, err)
	}
	s, ticks, err := parseStat(id.PID, string(b))
	if err != nil {
		return 0, 0, fmt.Errorf("read usage of %v: %w", id, err)
	}
	if s.zombie || !id.Same(ID{PID: id.PID, Start: s.start, Boot: bootID()}) {
		return 0, 0, fmt.Errorf("read usage of %v: %w", id, ErrGone)
	}
	return pages * uint64(os.Getpagesize()), lifePercent(s.start, ticks), nil
}

// lifePercent is for a process that started and computed so many ticks.
func lifePercent(start, cpuTicks uint64) float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	age := time.Duration(now.Nano()) - time.Duration(start)*(time.Second/ticksPerSecond)
	if age < time.Second/ticksPerSecond {
		age = time.Second / ticksPerSecond // the start time's own resolution
	}
	used := time.Duration(cpuTicks) * (time.Second / ticksPerSecond)
	return 100 * float64(used) / float64(age)
}

// PSS returns the process's proportional share of memory in bytes: pages that
// several processes map count in parts. It costs a walk of all its mappings.
func PSS(id ID) (uint64, error) {
	b, err := readProc(id.PID, "smaps_rollup", make([]byte, 4096))
	if err != nil {
		return 0, fmt.Errorf("read PSS of %v: %w", id, err)
	}
	if !Alive(id) {
		return 0, fmt.Errorf("read PSS of %v: %w", id, ErrGone)
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "Pss:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read PSS of %v: %w", id, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("read PSS of %v: %w", id, fs.ErrNotExist)
}

// BecomeSubreaper makes the calling process the parent of every descendant
// whose own parent ends, so that servers which daemonise stay in its family.
func BecomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}

func environ(pid int) (string, error) {
	b, err := readProc(pid, "environ", make([]byte, 16<<10))
	return string(b), err
}

// mountedNoexec reports whether nothing may be executed on the file system of path.
func mountedNoexec(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_NOEXEC != 0
}

// FileIn returns what the process has in dir, which is clean and without symbolic links: its working directory, its
// executable or an open file, in that order; "" if nothing, or if it may not be read.
func FileIn(id ID, dir string) string {
	base := "/proc/" + strconv.Itoa(id.PID)
	buf := make([]byte, unix.PathMax)
	used := func(link string) string {
		n, err := unix.Readlink(link, buf)
		if err != nil || !within(string(buf[:n]), dir) {
			return ""
		}
		return string(buf[:n])
	}
	found := cmp.Or(used(base+"/cwd"), used(base+"/exe"))
	if found == "" {
		for _, fd := range names(base + "/fd") {
			if found = used(base + "/fd/" + fd); found != "" {
				break
			}
		}
	}
	if found == "" || !Alive(id) {
		return ""
	}
	return found
}

// names lists a folder of /proc; a process that is gone, or another user's, has nothing in it.
func names(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	all, _ := d.Readdirnames(-1)
	return all
}

// args is the command line of a process, as far as it can be read.
func args(pid int) []string {
	b, err := readProc(pid, "cmdline", make([]byte, 4096))
	if err != nil {
		return nil
	}
	return splitArgs(string(b))
}

// splitArgs turns a NUL-separated command line into its arguments.
func splitArgs(block string) []string {
	block = strings.TrimRight(block, "\x00")
	if block == "" {
		return nil
	}
	return strings.Split(block, "\x00")
}
