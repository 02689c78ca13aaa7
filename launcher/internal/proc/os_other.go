//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"
)

// bootID is empty: start times here are absolute, so they survive no reboot.
func bootID() string { return "" }

func readStat(pid int) (stat, error) {
	if pid <= 0 {
		return stat{}, ErrGone
	}
	p, err := process.NewProcess(int32(pid))
	if errors.Is(err, process.ErrorProcessNotRunning) {
		return stat{}, ErrGone
	}
	if err != nil {
		return stat{}, err
	}
	return statOf(p)
}

func statOf(p *process.Process) (stat, error) {
	s := stat{pid: int(p.Pid)}
	created, err := p.CreateTime()
	if err != nil {
		return stat{}, fmt.Errorf("%w (%w)", ErrGone, err)
	}
	s.start = uint64(created)
	if ppid, err := p.Ppid(); err == nil {
		s.ppid = int(ppid)
	}
	if group, err := unix.Getpgid(s.pid); err == nil {
		s.pgid = group
	}
	if session, err := unix.Getsid(s.pid); err == nil {
		s.sid = session
	}
	s.name, _ = p.Name()
	states, err := p.Status()
	s.zombie = err == nil && slices.Contains(states, process.Zombie)
	return s, nil
}

func (s stat) info() Info {
	return Info{ID: ID{PID: s.pid, Start: s.start}, PPID: s.ppid, Group: s.pgid, Session: s.sid, Name: s.name}
}

// CheckHost says why processes can't be told apart here, or nil.
func CheckHost() error { return nil }

// Snapshot looks at every process once.
func Snapshot() (Table, error) {
	all, err := process.Processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	t := make(Table, 0, len(all))
	for _, p := range all {
		if s, err := statOf(p); err == nil && !s.zombie {
			t = append(t, s.info())
		}
	}
	return t, nil
}

// Below has more than the descendants of a process: all.
func Below(int) (Table, error) { return Snapshot() }

// Usage returns the resident memory in bytes, and the share of one core in
// percent that the process used over its life so far, as ps has it.
func Usage(id ID) (rss uint64, cpuPercent float64, err error) {
	if !Alive(id) {
		return 0, 0, fmt.Errorf("read usage of %v: %w", id, ErrGone)
	}
	p, err := process.NewProcess(int32(id.PID))
	if err != nil {
		return 0, 0, fmt.Errorf("read usage of %v: %w", id, err)
	}
	m, err := p.MemoryInfo()
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of %v: %w", id, err)
	}
	cpuPercent, err = p.CPUPercent()
	if err != nil {
		return 0, 0, fmt.Errorf("read CPU time of %v: %w", id, err)
	}
	return m.RSS, cpuPercent, nil
}

// PSS is known only on Linux.
func PSS(id ID) (uint64, error) {
	return 0, fmt.Errorf("read PSS of %v: %w", id, errors.ErrUnsupported)
}

// BecomeSubreaper does nothing where the system has no such thing: a daemon
// that forked away is then found by its Claim only.
func BecomeSubreaper() error { return nil }

func environ(pid int) (string, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return "", err
	}
	vars, err := p.Environ()
	return strings.Join(vars, "\x00"), err
}

// FileIn is known only on Linux.
func FileIn(ID, string) string { return "" }

// args is the command line of a process, as far as it can be read.
func args(pid int) []string {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil
	}
	all, _ := p.CmdlineSlice()
	return all
}

// mountedNoexec is known only on Linux.
func mountedNoexec(string) bool { return false }
