package proc

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	rest := " S 10 20 20 0 -1 4194560 1 0 0 0 7 5 0 0 20 0 1 0 123456 1000 10 0"
	for _, tt := range []struct {
		line string
		name string
		ok   bool
	}{
		{"7 (sh)" + rest, "sh", true},
		{"7 (a) R (b) 1 2)" + rest, "a) R (b) 1 2", true},
		{"7 ()" + rest, "", true},
		{"", "", false},
		{"7 (sh) S 1 2", "", false},
		{"7 )(" + rest, "", false},
	} {
		s, ticks, err := parseStat(7, tt.line)
		if (err == nil) != tt.ok || s.name != tt.name && tt.ok {
			t.Errorf("%q: got %+v, %v", tt.line, s, err)
		}
		if tt.ok && (s.ppid != 10 || s.pgid != 20 || s.start != 123456 || ticks != 12 || s.zombie) {
			t.Errorf("%q: got %+v", tt.line, s)
		}
	}
}

// A process whose first thread has ended still holds what it has open.
func TestZombieThread(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "headless")
	p := start(t, s, spec)
	readLine(t, lines)
	if !Alive(p.ID()) {
		t.Error("a process with a living thread counts as dead")
	}
	find := func() ([]ID, error) {
		if Alive(p.ID()) {
			return []ID{p.ID()}, nil
		}
		return nil, nil
	}
	if killed, err := Stop(t.Context(), find, 0); err != nil || len(killed) != 1 {
		t.Errorf("stop it: killed %v, %v", killed, err)
	}
	if got := p.Exit(); got.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %v, want the signal KILL", got)
	}
}

// A child must live as long as its keeper, not as long as some thread of it, and
// no longer, even if the keeper is killed.
func TestChildDiesWithKeeper(t *testing.T) {
	mark := markFor(t)
	spec, lines := program(t, "keeper")
	spec.Env = append(spec.Env, "PROC_TEST_MARK="+mark)
	keeper, err := Detach(spec)
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	found, err := markedWith(mark)
	if err != nil || len(found) != 2 {
		t.Fatalf("found %v, %v, want keeper and child", found, err)
	}
	if err := keeper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-keeper.Done()
	for _, info := range found {
		if err := Wait(t.Context(), info.ID); err != nil {
			t.Error(err)
		}
	}
}

// Threads that end must not take children with them.
func TestChildOutlivesOtherThreads(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "block")
	var p *Process
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		p, err = s.Start(t.Context(), spec)
	})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	for range 10 {
		wg.Go(runtime.LockOSThread)
	}
	wg.Wait()
	if !Alive(p.ID()) {
		t.Error("child died with a thread")
	}
}

// The reaper takes orphans, and leaves our own children's status alone.
func TestReaperTakesOnlyStrangers(t *testing.T) {
	if err := BecomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	s := newSpawner(t, SpawnerOptions{Reap: true})
	mark := markFor(t)
	spec, lines := program(t, "orphan:block")
	spec.Env = append(spec.Env, "PROC_TEST_MARK="+mark)
	p := start(t, s, spec)
	readLine(t, lines)
	if got := p.Exit(); got != (ExitStatus{}) {
		t.Fatalf("parent ended with %v", got)
	}
	var orphan Info
	eventually(t, "the orphan is our child", func() bool {
		found, err := markedWith(mark)
		if err != nil || len(found) != 1 {
			return false
		}
		orphan = found[0]
		return orphan.PPID == unix.Getpid()
	})

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for code := range 20 {
				q, err := s.Start(t.Context(), Spec{Args: []string{"sh", "-c", "exit " + string(rune('0'+code%10))}})
				if err != nil {
					t.Error(err)
					return
				}
				if got, want := q.Exit(), (ExitStatus{Code: code % 10}); got != want {
					t.Errorf("own child: got %v, want %v", got, want)
				}
			}
		})
	}
	if err := Signal(orphan.ID, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	wg.Wait()
	eventually(t, "the orphan is reaped", func() bool {
		_, err := readStat(orphan.ID.PID)
		return err != nil
	})
}

// A keeper of 100 nodes should not have 100 threads that wait for them.
func TestWaitingCostsNoThreads(t *testing.T) {
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	s := newSpawner(t, SpawnerOptions{Reap: true})
	before := threads()
	const children = 60
	for range children {
		start(t, s, Spec{Args: []string{"sleep", "1000"}})
	}
	if got := threads() - before; got > children/2 {
		t.Errorf("%d children cost %d threads", children, got)
	}
}

// TestForeignProcIsSaid: in a PID namespace that still has its host's /proc, every number there is somebody else's.
func TestForeignProcIsSaid(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("a PID namespace takes root")
	}
	spec, lines := program(t, "self")
	c, err := spec.command()
	if err != nil {
		t.Fatal(err)
	}
	c.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
	p, err := begin(c, func(*Process) {})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Signal(syscall.SIGKILL); <-p.Done() }()
	got := readLine(t, lines)
	if want := "/proc is that of another PID namespace: it shows this process as " + strconv.Itoa(p.ID().PID) + ", which is 1 here"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

// TestClaimByCgroup: what no other evidence shows is found by the group that it was started in.
func TestClaimByCgroup(t *testing.T) {
	path, err := CgroupPath("onemore-test-" + strconv.Itoa(unix.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	g, err := MakeCgroup(path)
	if err != nil {
		t.Skip(err)
	}
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "fork:titled")
	spec.Cgroup = g
	p := start(t, s, spec)
	child, err := strconv.Atoi(readLine(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	out, err := s.Run(t.Context(), Spec{Args: []string{"cat", "/proc/self/cgroup"}, Cgroup: g})
	if err != nil || !strings.Contains(string(out.Stdout), "/onemore-test-") {
		t.Errorf("a command in the group says %q, %v", out.Stdout, err)
	}
	c := Claim{Cgroup: g.Path()}
	if got := find(t, c); !slices.Equal(got, sorted(p.ID().PID, child)) {
		t.Errorf("got %v, want %d and %d", got, p.ID().PID, child)
	}
	if err := g.Remove(); err == nil {
		t.Error("a group with members was removed")
	}
	if _, err := Stop(t.Context(), c.IDs, 0); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if got := find(t, c); got != nil {
		t.Errorf("in a group that is gone: got %v", got)
	}
}

// TestNoexecIsSaid: a script on a file system that is mounted noexec, in a mount namespace of the helper's own.
func TestNoexecIsSaid(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("to mount takes root")
	}
	spec, lines := program(t, "noexec:"+t.TempDir())
	start(t, newSpawner(t, SpawnerOptions{}), spec)
	got := readLine(t, lines)
	if want := "lies on a file system that is mounted noexec: nothing on it may be executed"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}

// runNoexec mounts a file system at dir for the calling thread alone and says why a script on it is not started.
func runNoexec(dir string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	path := filepath.Join(dir, "slots.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	_, err := Run(context.Background(), Spec{Args: []string{path}})
	return err
}
