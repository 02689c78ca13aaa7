package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// find returns the pids that a claim finds.
func find(t *testing.T, c Claim) []int {
	t.Helper()
	found, err := c.Find()
	if err != nil {
		t.Fatal(err)
	}
	return pidsOf(found)
}

func pidsOf(infos []Info) []int {
	var pids []int
	for _, p := range infos {
		pids = append(pids, p.ID.PID)
	}
	slices.Sort(pids)
	return pids
}

func sorted(pids ...int) []int {
	slices.Sort(pids)
	return pids
}

// titled starts a program in a session of its own that has overwritten its environment with a title; it returns when it has.
func titled(t *testing.T, role, dir string, extra ...*os.File) *Process {
	t.Helper()
	spec, lines := program(t, role)
	spec.Dir, spec.ExtraFiles = dir, extra
	p, err := Detach(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGKILL); <-p.Done() })
	readLine(t, lines)
	return p
}

func TestTitleHidesTheMark(t *testing.T) {
	p := titled(t, "titled", "/")
	if env, err := environ(p.ID().PID); err != nil || !mute(env) {
		t.Fatalf("the helper's environment is %q, %v, want nothing that could be read", env, err)
	}
	if got := strings.Join(args(p.ID().PID), " "); !strings.HasPrefix(got, "helper: ") {
		t.Errorf("the helper's command line is %q, want its title", got)
	}
}

// TestClaimByLeader: a program that has overwritten its environment is found by the group and by the session that it was
// started in, also when the leader has ended, and by nothing when the leader's number is somebody else's.
func TestClaimByLeader(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{Reap: true})
	spec, lines := program(t, "fork:titled")
	leader := start(t, s, spec)
	pid, err := strconv.Atoi(readLine(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	id := leader.ID()
	if got := find(t, Claim{Leaders: []ID{id}}); !slices.Equal(got, sorted(id.PID, pid)) {
		t.Errorf("while the leader lives: got %v, want it and its child %d", got, pid)
	}
	given := id
	given.Start-- // an earlier process of the same number
	if got := find(t, Claim{Leaders: []ID{given}}); got != nil {
		t.Errorf("a number that was given away: got %v, want none", got)
	}
	if err := leader.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-leader.Done()
	eventually(t, "the leader is reaped", func() bool { _, err := readStat(id.PID); return err != nil })
	if got := find(t, Claim{Leaders: []ID{id}}); !slices.Equal(got, []int{pid}) {
		t.Errorf("after the leader's end: got %v, want its child %d", got, pid)
	}
	rebooted, later := id, id
	rebooted.Boot, later.Start = "another-boot", later.Start+1e6
	if got := find(t, Claim{Leaders: []ID{rebooted, later}}); got != nil {
		t.Errorf("leaders of another boot, and of a later time: got %v, want none", got)
	}
}

func TestClaimBySession(t *testing.T) {
	p := titled(t, "regroup:titled", "/")
	found, err := Claim{Leaders: []ID{p.ID()}}.Find()
	if err != nil || len(found) != 2 {
		t.Fatalf("got %v, %v, want the leader and a child in a group of its own", found, err)
	}
	for _, info := range found {
		if info.Leader != p.ID() || len(info.Args) == 0 {
			t.Errorf("incomplete: %+v", info)
		}
	}
}

// TestClaimByFolder: what is muted counts by what it has in the folder; a whole environment without the mark is a stranger's.
func TestClaimByFolder(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, beside := filepath.Join(root, "c"), filepath.Join(root, "c2")
	for _, d := range []string{dir, beside, filepath.Join(dir, "1")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "1", "node.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	exe := filepath.Join(dir, "1", "server")
	sleep, err := LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newSpawner(t, SpawnerOptions{})
	empty := []string{}
	byCwd := titled(t, "titled", filepath.Join(dir, "1"))
	byFile := titled(t, "titled", "/", log)
	byExe := start(t, s, Spec{Args: []string{exe, "1000"}, Env: empty, Dir: "/"})
	byShell := start(t, s, Spec{Args: []string{"sleep", "1000"}, Env: []string{"PWD=" + dir, "_=/bin/sleep"}, Dir: dir})
	shell := titled(t, "block", dir)
	tail := titled(t, "block", "/", log)
	titled(t, "titled", beside)
	titled(t, "titled", "/")

	want := sorted(byCwd.ID().PID, byFile.ID().PID, byExe.ID().PID, byShell.ID().PID)
	strangers := sorted(shell.ID().PID, tail.ID().PID)
	for _, d := range []string{dir, link} {
		found, err := Claim{Dir: d}.FindAll()
		if err != nil {
			t.Fatal(err)
		}
		if got := pidsOf(found.Own); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", d, got, want)
		}
		got := slices.DeleteFunc(pidsOf(found.Strangers), func(pid int) bool { return !slices.Contains(strangers, pid) })
		if !slices.Equal(got, strangers) {
			t.Errorf("%s: strangers are %v, want %v among them", d, found.Strangers, strangers)
		}
		for _, p := range found.Own {
			if p.ID.PID == byFile.ID().PID && p.File != log.Name() {
				t.Errorf("process found by %q, want %q", p.File, log.Name())
			}
		}
	}
	if got := find(t, Claim{Dir: dir, Spare: []int{byCwd.ID().PID}}); slices.Contains(got, byCwd.ID().PID) {
		t.Errorf("got %v, with %d that was to be spared", got, byCwd.ID().PID)
	}
}

// overwriteTitle does as servers do that set their title: it goes over the command line and the environment.
func overwriteTitle(title string) error {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	line := string(b)
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	const argStart, envEnd = 48 - 3, 51 - 3 // as proc(5) numbers them, after the name
	from, err := strconv.ParseInt(fields[argStart], 10, 64)
	if err != nil {
		return err
	}
	to, err := strconv.ParseInt(fields[envEnd], 10, 64)
	if err != nil {
		return err
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	over := make([]byte, to-from)
	copy(over, title)
	_, err = mem.WriteAt(over, from)
	return err
}
