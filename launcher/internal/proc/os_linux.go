package proc

import (
	"bytes"
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
	s.ppid, s.pgid = int(number(4)), int(number(5))
	s.start = number(22)
	return s, number(14) + number(15), nil
}

// Snapshot looks at every process once.
func Snapshot() (Table, error) {
	pids, err := allPIDs()
	if err != nil {
		return nil, err
	}
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
	return t, nil
}

func (s stat) info(boot string) Info {
	return Info{ID: ID{PID: s.pid, Start: s.start, Boot: boot}, PPID: s.ppid, Group: s.pgid, Name: s.name}
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

func marked(mark string, also []string) ([]Info, error) {
	pids, err := allPIDs()
	if err != nil {
		return nil, err
	}
	var found []Info
	boot, self, buf := bootID(), os.Getpid(), make([]byte, 16<<10)
	for _, pid := range pids {
		if pid == self {
			continue
		}
		block, err := readProc(pid, "environ", buf)
		if err != nil {
			continue // ended, or another user's
		}
		env, ok := pick(string(block), mark, also)
		if !ok {
			continue
		}
		s, err := readStat(pid)
		if err != nil || s.zombie {
			continue
		}
		info := s.info(boot)
		info.Env = env
		if args, err := readProc(pid, "cmdline", make([]byte, 4096)); err == nil {
			info.Args = splitArgs(string(args))
		}
		found = append(found, info)
	}
	return found, nil
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

// splitArgs turns a NUL-separated command line into its arguments.
func splitArgs(block string) []string {
	block = strings.TrimRight(block, "\x00")
	if block == "" {
		return nil
	}
	return strings.Split(block, "\x00")
}
