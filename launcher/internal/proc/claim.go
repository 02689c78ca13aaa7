package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Claim says by what a process is known to belong to something that was started before, perhaps by a process that is gone.
// Any one of its fields is enough, and so is an ancestor that belongs. A zero field claims nothing.
type Claim struct {
	// Mark is KEY=VALUE in the environment that a process was started with. A program that sets its title overwrites it.
	Mark string
	// Also names the variables whose values are wanted of a marked process: Info.Env.
	Also []string
	// Leaders were started; it does not matter whether they still run. Who is in a session or process group that one of them
	// leads was started by it: its number is not given away while the group has a member.
	Leaders []ID
	// Dir is an absolute folder that belongs. A process counts by its working directory, executable or an open file in it, but
	// only when it has no controlling terminal, and its environment is overwritten or emptied: a whole one without the mark is that
	// of a stranger, such as a shell, an editor, or tail.
	Dir string
	// Cgroup is the folder of a control group that was made for it: Cgroup.Path. Its members belong.
	Cgroup string
	// Spare are never taken for users of Dir, nor are their ancestors: who asked.
	Spare []int
}

// Found is every process that belongs to a Claim, and who uses its folder without belonging to it.
type Found struct {
	Own []Info
	// Strangers have their working directory, executable or an open file in the folder. Only FindAll fills it.
	Strangers []Info
}

// Find looks at every process once, and returns those that belong, other than the caller. Processes of other users
// whose environment and files may not be read can be found by their group, session and ancestors only.
func (c Claim) Find() ([]Info, error) {
	found, err := c.find(false)
	return found.Own, err
}

// IDs is Find for those who want to know no more.
func (c Claim) IDs() ([]ID, error) {
	found, err := c.Find()
	return IDs(found), err
}

// FindAll is Find that also names the strangers in the folder, for which it looks at the open files of every process.
func (c Claim) FindAll() (Found, error) { return c.find(true) }

func (c Claim) find(strangers bool) (found Found, err error) {
	table, err := Snapshot()
	if err != nil {
		return Found{}, err
	}
	s := search{Claim: c, table: table, byPID: table.byPID(), own: map[int]bool{os.Getpid(): false}}
	if s.Dir != "" {
		s.Dir = resolved(s.Dir)
	}
	members := membersOf(s.Cgroup)
	for i := range table {
		pid := table[i].ID.PID
		s.own[pid] = s.marked(&table[i]) || members[pid] && pid != os.Getpid()
	}
	s.adopt()
	for _, p := range s.users(strangers) {
		if s.own[p.ID.PID] = p.mute && !p.terminal && !s.spared[p.ID.PID]; !s.own[p.ID.PID] {
			found.Strangers = append(found.Strangers, *p)
		}
	}
	s.adopt()
	found.Strangers = slices.DeleteFunc(found.Strangers, func(p Info) bool { return s.own[p.ID.PID] })
	for _, p := range table {
		if s.own[p.ID.PID] {
			p.Args = args(p.ID.PID)
			found.Own = append(found.Own, p)
		}
	}
	return found, nil
}

// search is one look for the processes of a claim.
type search struct {
	Claim
	table  Table
	byPID  map[int]int  // where in the table
	own    map[int]bool // by pid
	spared map[int]bool // by pid; nobody is a user of Dir
}

// marked reports whether a process belongs by its mark or its leader, and fills in the evidence.
func (s *search) marked(p *Info) bool {
	if p.kernel || p.ID.PID == os.Getpid() {
		return false
	}
	p.Leader = s.leader(*p)
	block, err := environ(p.ID.PID)
	if err != nil {
		return !p.Leader.IsZero() // it has ended, or is another user's
	}
	p.mute = mute(block)
	env, ok := pick(block, s.Mark, s.Also)
	if ok {
		p.Env = env
	}
	return ok || !p.Leader.IsZero()
}

// leader returns the leader of the process's session or group, if it is one of the claim's, else zero. A number that somebody
// else has now was given away: then nobody is left of the group that it named.
func (s *search) leader(p Info) ID {
	for _, l := range s.Leaders {
		if p.Group != l.PID && p.Session != l.PID || p.ID.Start < l.Start || l.Boot != "" && l.Boot != bootID() {
			continue
		}
		if i, ok := s.byPID[l.PID]; !ok || s.table[i].ID.Same(l) {
			return l
		}
	}
	return ID{}
}

// users returns the processes, not known to belong, that have something in Dir: those that belong by that, and, if all is
// set, everybody else.
func (s *search) users(all bool) (users []*Info) {
	if s.Dir == "" {
		return nil
	}
	s.spare()
	for i := range s.table {
		p := &s.table[i]
		if s.own[p.ID.PID] || p.kernel || p.ID.PID == os.Getpid() || !(all || p.mute && !p.terminal) {
			continue
		}
		if p.File = FileIn(p.ID, s.Dir); p.File != "" {
			users = append(users, p)
		}
	}
	return users
}

// spare notes those to be spared and their ancestors.
func (s *search) spare() {
	s.spared = map[int]bool{}
	for _, pid := range append([]int{os.Getppid()}, s.Spare...) {
		for i, ok := s.byPID[pid]; ok && pid > 1 && !s.spared[pid]; i, ok = s.byPID[pid] {
			s.spared[pid] = true
			pid = s.table[i].PPID
		}
	}
}

// adopt adds those that descend from one that belongs. They inherit its evidence.
func (s *search) adopt() {
	var roots []ID
	for _, p := range s.table {
		if s.own[p.ID.PID] {
			roots = append(roots, p.ID)
		}
	}
	for _, p := range s.table.Family(roots...) {
		if s.own[p.ID.PID] || p.ID.PID == os.Getpid() {
			continue
		}
		parent, child := s.table[s.byPID[p.PPID]], &s.table[s.byPID[p.ID.PID]]
		child.Env, child.Leader, child.File = parent.Env, parent.Leader, parent.File
		s.own[p.ID.PID] = true
	}
}

// resolved is the path as the kernel names files in it.
func resolved(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return filepath.Clean(dir)
}

// within reports whether path is dir or in it. Both are clean.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/' || dir == "/")
}

// mute reports whether an environment block does not show who started the process: the program overwrote it with its
// title, or it was emptied. What a shell adds by itself to an empty one does not count.
func mute(block string) bool {
	for v := range strings.SplitSeq(block, "\x00") {
		name, _, ok := strings.Cut(v, "=")
		if ok && isVariable(name) && !slices.Contains(shellVariables[:], name) {
			return false
		}
	}
	return true
}

var shellVariables = [...]string{"PWD", "OLDPWD", "SHLVL", "_"}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
