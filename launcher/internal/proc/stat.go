package proc

import (
	"slices"
	"strings"
)

// stat is what one read of a process's files in /proc shows.
type stat struct {
	pid, ppid, pgid, sid int
	name                 string // as the kernel has it, at most 15 bytes on Linux
	start                uint64
	zombie               bool
	terminal             bool // it has a controlling terminal
	kernel               bool // it is a thread of the kernel
}

// Info describes a living process.
type Info struct {
	ID   ID
	PPID int
	// Group and Session are the numbers of the process group and the session, where the system has them.
	Group, Session int
	Name           string
	// Args is the command line. This and what follows is what a Claim finds.
	Args []string
	// Env holds the values of Claim.Also where the process, or the ancestor by which it belongs, carries the mark; else nil.
	Env map[string]string
	// Leader is the one of Claim.Leaders by whose session or group it, or that ancestor, belongs; else zero.
	Leader ID
	// File is what it, or that ancestor, uses in Claim.Dir, where it was found by that; else "".
	File string

	terminal, kernel bool
	mute             bool // its environment does not show who started it
}

// Table is every living process at one moment. Zombies are not in it.
type Table []Info

// Family returns the roots that are in the table and all their descendants by
// parent pid, each once, parents before children. Who was handed to another
// parent (a daemon) is no descendant: see Claim.
func (t Table) Family(roots ...ID) []Info {
	children := make(map[int][]int, len(t))
	byPID := t.byPID()
	for i, p := range t {
		children[p.PPID] = append(children[p.PPID], i)
	}
	var family []Info
	seen := make(map[int]bool)
	add := func(i int) {
		if !seen[i] {
			seen[i] = true
			family = append(family, t[i])
		}
	}
	for _, r := range roots {
		if i, ok := byPID[r.PID]; ok && t[i].ID.Same(r) {
			add(i)
		}
	}
	for next := 0; next < len(family); next++ {
		for _, i := range children[family[next].ID.PID] {
			add(i)
		}
	}
	return family
}

// byPID is where in the table each pid is.
func (t Table) byPID() map[int]int {
	at := make(map[int]int, len(t))
	for i, p := range t {
		at[p.ID.PID] = i
	}
	return at
}

// Family looks at all processes once and returns the root, if it lives, and its
// living descendants. See Table.Family for what that leaves out.
func Family(root ID) ([]ID, error) {
	t, err := Snapshot()
	if err != nil {
		return nil, err
	}
	return IDs(t.Family(root)), nil
}

// Descends reports whether the pid's process, or one of its ancestors, is the one that root names. It reads no more than those.
func Descends(pid int, root ID) bool {
	for range 1 << 10 { // a circle is possible when pids are reused meanwhile
		if pid == root.PID {
			return Alive(root)
		}
		s, err := readStat(pid)
		if err != nil || s.ppid <= 1 && s.ppid != root.PID {
			return false
		}
		pid = s.ppid
	}
	return false
}

// IDs returns the IDs of the processes, in order.
func IDs(infos []Info) []ID {
	ids := make([]ID, len(infos))
	for i, p := range infos {
		ids[i] = p.ID
	}
	return ids
}

// Name returns the program name of the pid, or "" when there is no such process.
func Name(pid int) string {
	s, err := readStat(pid)
	if err != nil {
		return ""
	}
	return s.name
}

// pick returns the wanted variables of a NUL-separated environment block, and
// whether the block holds the mark.
func pick(block, mark string, also []string) (env map[string]string, ok bool) {
	if mark == "" || !strings.Contains(block, mark) {
		return nil, false
	}
	env = make(map[string]string, len(also))
	for v := range strings.SplitSeq(block, "\x00") {
		if v == mark {
			ok = true
		}
		name, val, _ := strings.Cut(v, "=")
		if slices.Contains(also, name) {
			env[name] = val
		}
	}
	return env, ok
}
