//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"os"
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
	s.name, _ = p.Name()
	states, err := p.Status()
	s.zombie = err == nil && slices.Contains(states, process.Zombie)
	return s, nil
}

func (s stat) info() Info {
	return Info{ID: ID{PID: s.pid, Start: s.start}, PPID: s.ppid, Group: s.pgid, Name: s.name}
}

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

func marked(mark string, also []string) ([]Info, error) {
	all, err := process.Processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []Info
	for _, p := range all {
		if int(p.Pid) == os.Getpid() {
			continue
		}
		vars, err := p.Environ()
		if err != nil {
			continue // ended, or another user's
		}
		env, ok := pick(strings.Join(vars, "\x00"), mark, also)
		if !ok {
			continue
		}
		s, err := statOf(p)
		if err != nil || s.zombie {
			continue
		}
		info := s.info()
		info.Env = env
		info.Args, _ = p.CmdlineSlice()
		found = append(found, info)
	}
	return found, nil
}

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
// that forked away is then found by its mark only.
func BecomeSubreaper() error { return nil }

func environ(pid int) (string, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return "", err
	}
	vars, err := p.Environ()
	return strings.Join(vars, "\x00"), err
}
