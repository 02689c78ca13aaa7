package proc

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestExitStatus(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	for _, tt := range []struct {
		role string
		sig  syscall.Signal
		want ExitStatus
	}{
		{"exit:0", 0, ExitStatus{}},
		{"exit:7", 0, ExitStatus{Code: 7}},
		{"block", syscall.SIGTERM, ExitStatus{Code: -1, Signal: syscall.SIGTERM}},
		{"block", syscall.SIGKILL, ExitStatus{Code: -1, Signal: syscall.SIGKILL}},
	} {
		spec, lines := program(t, tt.role)
		p := start(t, s, spec)
		if tt.sig != 0 {
			readLine(t, lines)
			if err := p.Signal(tt.sig); err != nil {
				t.Errorf("%s: %v", tt.role, err)
			}
		}
		if got := p.Exit(); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.role, got, tt.want)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrGone) {
			t.Errorf("%s: signal after the end: got %v, want ErrGone", tt.role, err)
		}
		if Alive(p.ID()) {
			t.Errorf("%s: alive after its end", tt.role)
		}
	}
}

func TestStartErrors(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	for _, tt := range []struct {
		name string
		spec Spec
		want string
	}{
		{"nothing", Spec{}, "no program given"},
		{"missing", Spec{Args: []string{"no-such-program-here"}}, `start "no-such-program-here": executable file not found`},
		{"missing path", Spec{Args: []string{"./nope"}, Dir: t.TempDir()}, `start "./nope": `},
	} {
		_, err := s.Start(t.Context(), tt.spec)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("no longer wanted")
	cancel(cause)
	if _, err := s.Start(ctx, Spec{Args: []string{"true"}}); !errors.Is(err, cause) {
		t.Errorf("cancelled: got %v, want the cause", err)
	}
}

func TestIDIsNotFooledByPID(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "block")
	p := start(t, s, spec)
	readLine(t, lines)
	id := p.ID()
	if got, err := Identify(id.PID); err != nil || got != id {
		t.Fatalf("identify: got %v %v, want %v", got, err, id)
	}
	recycled, rebooted := id, id
	recycled.Start++
	rebooted.Boot = "another-boot"
	if _, err := Environ(recycled, "PATH"); !errors.Is(err, ErrGone) {
		t.Errorf("environment of another start time: got %v, want ErrGone", err)
	}
	for name, id := range map[string]ID{"recycled": recycled, "rebooted": rebooted} {
		if name == "rebooted" && bootID() == "" {
			continue
		}
		if Alive(id) {
			t.Errorf("%s: counts as alive", name)
		}
		if err := Signal(id, syscall.SIGKILL); !errors.Is(err, ErrGone) {
			t.Errorf("%s: signal: got %v, want ErrGone", name, err)
		}
		if err := SignalGroup(id, syscall.SIGKILL); !errors.Is(err, ErrGone) {
			t.Errorf("%s: signal group: got %v, want ErrGone", name, err)
		}
		if _, err := Stop(t.Context(), func() ([]ID, error) { return []ID{id}, nil }, 0); err != nil {
			t.Errorf("%s: stop: %v", name, err)
		}
	}
	if !Alive(id) {
		t.Fatal("the stranger was hit")
	}
}

func TestForbiddenPIDs(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	one, _ := Identify(1)
	for _, id := range []ID{self, {}, {PID: -1}, {PID: 1}, one} {
		if err := Signal(id, syscall.Signal(0)); err == nil {
			t.Errorf("%+v: signal was not refused", id)
		}
		if err := SignalGroup(id, syscall.Signal(0)); err == nil {
			t.Errorf("%+v: group signal was not refused", id)
		}
	}
}

func TestZombieIsDead(t *testing.T) {
	// A child that nobody waits for stays a zombie.
	spec, lines := program(t, "block")
	proc, err := os.StartProcess(spec.Args[0], spec.Args, &os.ProcAttr{
		Env: spec.Env, Files: []*os.File{spec.Stdin, spec.Stdout, os.Stderr},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Wait()
	readLine(t, lines)
	id, err := Identify(proc.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := Signal(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if Alive(id) {
		t.Error("a zombie counts as alive")
	}
	if err := Signal(id, syscall.SIGTERM); !errors.Is(err, ErrGone) {
		t.Errorf("signal a zombie: got %v, want ErrGone", err)
	}
	table, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(table, func(p Info) bool { return p.ID.PID == id.PID }) {
		t.Error("a zombie is in the table")
	}
}

func TestMarkedFindsFamily(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	mark := markFor(t)
	spec, lines := program(t, "parent:block")
	spec.Env = append(spec.Env, "PROC_TEST_MARK="+mark, "PROC_TEST_NODE=2")
	p := start(t, s, spec)
	readLine(t, lines) // the child is there

	found, err := markedWith(mark, "PROC_TEST_NODE")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 {
		t.Fatalf("found %d processes, want parent and child: %+v", len(found), found)
	}
	for _, info := range found {
		if info.Env["PROC_TEST_NODE"] != "2" || info.Name == "" || len(info.Args) == 0 {
			t.Errorf("incomplete: %+v", info)
		}
		if !Alive(info.ID) {
			t.Errorf("not alive: %v", info.ID)
		}
	}
	for _, value := range []string{mark + "x", mark[1:], ""} {
		if others, err := markedWith(value); err != nil || len(others) != 0 {
			t.Errorf("mark %q: got %v %v, want none", value, others, err)
		}
	}
	env, err := Environ(p.ID(), "PROC_TEST_NODE", "PROC_TEST_NONE")
	if err != nil || len(env) != 1 || env["PROC_TEST_NODE"] != "2" {
		t.Errorf("environment: got %v, %v", env, err)
	}
	family, err := Family(p.ID())
	if err != nil || len(family) != 2 || family[0] != p.ID() {
		t.Errorf("family: got %v %v, want the parent, then the child", family, err)
	}
}

func TestTableFamily(t *testing.T) {
	id := func(pid int) ID { return ID{PID: pid, Start: uint64(pid)} }
	table := Table{
		{ID: id(10), PPID: 1}, {ID: id(11), PPID: 10}, {ID: id(12), PPID: 11},
		{ID: id(13), PPID: 10}, {ID: id(20), PPID: 1}, {ID: id(21), PPID: 20},
	}
	for _, tt := range []struct {
		roots []ID
		want  []int
	}{
		{nil, nil},
		{[]ID{id(10)}, []int{10, 11, 13, 12}},
		{[]ID{id(11), id(10)}, []int{11, 10, 12, 13}},
		{[]ID{{PID: 10, Start: 99}}, nil}, // recycled
		{[]ID{id(20), id(20)}, []int{20, 21}},
	} {
		var got []int
		for _, p := range table.Family(tt.roots...) {
			got = append(got, p.ID.PID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("family of %v: got %v, want %v", tt.roots, got, tt.want)
		}
	}
}

func TestUsage(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	spec, lines := program(t, "block")
	p := start(t, s, spec)
	readLine(t, lines)
	rss, cpu, err := Usage(p.ID())
	if err != nil || rss < 100<<10 || cpu < 0 {
		t.Errorf("usage: got %d bytes, %f %%, %v", rss, cpu, err)
	}
	if pss, err := PSS(p.ID()); !errors.Is(err, errors.ErrUnsupported) && (err != nil || pss == 0 || pss > rss) {
		t.Errorf("PSS: got %d, %v with an RSS of %d", pss, err, rss)
	}
	gone := p.ID()
	gone.Start++
	if _, _, err := Usage(gone); !errors.Is(err, ErrGone) {
		t.Errorf("usage of another start time: got %v, want ErrGone", err)
	}
	if Name(p.ID().PID) == "" {
		t.Error("no name")
	}
}

func TestRun(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{Reap: true})
	for _, tt := range []struct {
		name string
		run  func(context.Context, Spec) (Output, error)
	}{{"Spawner.Run", s.Run}, {"Run", Run}} {
		name, run := tt.name, tt.run
		if name == "Run" {
			s.Close() // its reaper must not see children that it doesn't know
		}
		out, err := run(t.Context(), Spec{Args: []string{"sh", "-c", "echo out; echo err >&2; pwd; exit 3"}, Dir: "/"})
		if err != nil || out.Code != 3 || string(out.Stdout) != "out\n/\n" || string(out.Stderr) != "err\n" {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		if _, err := run(t.Context(), Spec{Args: []string{"no-such-program-here"}}); err == nil {
			t.Errorf("%s: a missing program is no error", name)
		}
		spec, _ := program(t, "chatter")
		if out, err := run(t.Context(), spec); err != nil || len(out.Stdout) != outputLimit {
			t.Errorf("%s: got %d bytes, %v, want the first %d", name, len(out.Stdout), err, outputLimit)
		}
		if name == "Spawner.Run" {
			continue
		}
		// A daemon that keeps the pipe must not hold up the command's end.
		spec, _ = program(t, "orphan:block")
		if out, err := run(t.Context(), spec); err != nil || out.Code != 0 {
			t.Errorf("%s: with a daemon: got %+v, %v", name, out, err)
		}
	}
}

func TestRunKillsGroupAtCancel(t *testing.T) {
	s := newSpawner(t, SpawnerOptions{})
	mark := markFor(t)
	bounded, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	ctx, cancel := context.WithCancelCause(bounded)
	cause := errors.New("enough")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer cancel(cause)
		for {
			found, err := markedWith(mark)
			if err != nil || len(found) >= 2 || ctx.Err() != nil {
				return
			}
		}
	})
	// The shell's child is in its group, too.
	spec := Spec{
		Args: []string{"sh", "-c", "tail -f /dev/null & wait"},
		Env:  append(os.Environ(), "PROC_TEST_MARK="+mark),
	}
	if _, err := s.Run(ctx, spec); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	eventually(t, "the group is gone", func() bool {
		found, err := markedWith(mark)
		return err == nil && len(found) == 0
	})
}

func TestDetachAndAttach(t *testing.T) {
	spec, lines := program(t, "block")
	d, err := Detach(spec)
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	if sid, err := syscall.Getpgid(d.ID().PID); err != nil || sid != d.ID().PID {
		t.Errorf("detached process is in group %d, %v", sid, err)
	}
	if err := d.SignalGroup(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-d.Done()

	spec, lines = program(t, "block")
	a, err := Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	readLine(t, lines)
	if group, err := syscall.Getpgid(a.ID().PID); err != nil || group != syscall.Getpgrp() {
		t.Errorf("attached process is in group %d, %v, want ours", group, err)
	}
	if err := a.SignalGroup(syscall.Signal(0)); err == nil {
		t.Error("signal to our own group was not refused")
	}
	if err := SignalGroup(a.ID(), syscall.Signal(0)); err == nil {
		t.Error("signal to a group that it does not lead was not refused")
	}
	if err := a.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-a.Done()
}
