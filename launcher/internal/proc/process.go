package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Spec says what to start. The zero value of every field but Args will do.
type Spec struct {
	// Args is the program, looked up on PATH if it has no slash, and its
	// arguments. A relative program with a slash is relative to Dir.
	Args []string
	Dir  string
	// Env is the whole environment; nil is the caller's own.
	Env []string
	// Streams that are nil are /dev/null. They are files, so nothing has to be
	// copied and no wait can hang on them. Run captures the last two itself.
	Stdin, Stdout, Stderr *os.File
	// Copy, if not nil, is where Run writes what it captures, too.
	Copy *os.File
	// ExtraFiles become the descriptors 3, 4, ….
	ExtraFiles []*os.File
	// Group, if not 0, is the process's group id (as root, see CanGroup): by it the
	// kernel can distinguish its packets from those of others.
	Group int
	// User, if not nil, is who the process runs as.
	User *User
	// Cgroup, if not nil, is where the process starts and stays; where the kernel can't start it there, it is not in it.
	Cgroup *Cgroup
}

// command makes the exec.Cmd, complete but for the attributes.
func (s Spec) command() (*exec.Cmd, error) {
	if len(s.Args) == 0 {
		return nil, errors.New("start process: no program given")
	}
	c := exec.Command(s.Args[0], s.Args[1:]...)
	c.Dir, c.Env, c.ExtraFiles = s.Dir, s.Env, s.ExtraFiles
	// A nil *os.File in these interfaces would not be a nil interface.
	if s.Stdin != nil {
		c.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		c.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		c.Stderr = s.Stderr
	}
	c.SysProcAttr = &syscall.SysProcAttr{}
	s.Cgroup.enter(c.SysProcAttr)
	c.SysProcAttr.Credential = s.credential()
	return c, nil
}

// credential is who the process is, nil: who the caller is.
func (s Spec) credential() *syscall.Credential {
	switch {
	case s.User != nil:
		c := &syscall.Credential{Uid: s.User.UID, Gid: s.User.GID, Groups: s.User.Groups}
		if s.Group != 0 {
			c.Gid = uint32(s.Group)
		}
		return c
	case s.Group != 0:
		return &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(s.Group), NoSetGroups: true}
	}
	return nil
}

// LookPath returns the path of a program as Start would run it.
func LookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find program %q: %w", name, errors.Unwrap(err))
	}
	return path, nil
}

// ExitStatus is how a process ended.
type ExitStatus struct {
	// Code is the exit code, or -1 when a signal ended the process.
	Code int
	// Signal is what ended the process, or 0.
	Signal syscall.Signal
	// Err is set when the end could not be observed; Code is then -1.
	Err error
}

func (e ExitStatus) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return "signal: " + e.Signal.String()
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}

// Process is a child of the calling process.
type Process struct {
	id   ID
	cmd  *exec.Cmd
	done chan struct{}
	exit ExitStatus // written before done is closed

	mu      sync.Mutex
	reaping bool // from here on the pid may be given away
}

// begin starts the command and a goroutine that sees to its end; ended is
// called there, after the process was reaped and before Done is closed.
func begin(c *exec.Cmd, ended func(*Process)) (*Process, error) {
	err := c.Start()
	if err != nil && stayOut(c.SysProcAttr, err) {
		c = again(c)
		err = c.Start()
	}
	if err != nil {
		return nil, startError(c, err)
	}
	p := &Process{cmd: c, done: make(chan struct{})}
	// The child is not reaped yet, so the pid is its own, even as a zombie.
	p.id = ID{PID: c.Process.Pid, Boot: bootID()}
	if s, err := readStat(p.id.PID); err == nil {
		p.id.Start = s.start
	}
	go func() {
		defer close(p.done)
		p.reap()
		ended(p)
	}()
	return p, nil
}

// again is a command that can be started once more.
func again(c *exec.Cmd) *exec.Cmd {
	return &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		ExtraFiles: c.ExtraFiles, SysProcAttr: c.SysProcAttr, WaitDelay: c.WaitDelay}
}

func (p *Process) reap() {
	err := awaitExit(p.id.PID)
	p.mu.Lock()
	p.reaping = true
	p.mu.Unlock()
	if waitErr := p.cmd.Wait(); waitErr != nil {
		err = waitErr
	}
	p.exit = exitStatus(p.cmd.ProcessState, err)
}

func exitStatus(state *os.ProcessState, err error) ExitStatus {
	if state == nil {
		return ExitStatus{Code: -1, Err: err}
	}
	e := ExitStatus{Code: state.ExitCode()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal()
	}
	return e
}

// ID names the process.
func (p *Process) ID() ID { return p.id }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit returns how the process ended; it waits for that.
func (p *Process) Exit() ExitStatus {
	<-p.done
	return p.exit
}

// Signal sends sig to the process. The error wraps ErrGone after its end.
func (p *Process) Signal(sig syscall.Signal) error { return p.send(p.id.PID, sig) }

// SignalGroup sends sig to the process group that the process leads. The error
// wraps ErrGone after the end of the leader; use Family or a Claim to find what
// it left.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	if !p.cmd.SysProcAttr.Setpgid && !p.cmd.SysProcAttr.Setsid {
		return fmt.Errorf("signal group of %v: it is our own: %w", p.id, errForbidden)
	}
	return p.send(-p.id.PID, sig)
}

func (p *Process) send(pid int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaping {
		return fmt.Errorf("signal %v: %w", p.id, ErrGone)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signal %v with %v: %w", p.id, sig, gone(err))
	}
	return nil
}

// Detach starts a process in a session of its own, which outlives the caller:
// a keeper. The caller sees to its end through Done, or exits before it. Not for
// a process that also has a Spawner with Reap.
func Detach(spec Spec) (*Process, error) {
	c, err := spec.command()
	if err != nil {
		return nil, err
	}
	c.SysProcAttr.Setsid = true
	return begin(c, func(*Process) {})
}

// Attach starts a process in the caller's own process group, so that it keeps
// the terminal and gets the terminal's signals: a command that a person runs. On
// Linux the kernel kills it when the calling *thread* ends: the caller keeps its
// goroutine locked to the thread until the process has ended. Not for a process
// that also has a Spawner with Reap.
func Attach(spec Spec) (*Process, error) {
	c, err := spec.command()
	if err != nil {
		return nil, err
	}
	dieWithThread(c.SysProcAttr)
	return begin(c, func(*Process) {})
}
