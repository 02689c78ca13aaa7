package proc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// ErrClosed is returned by a Spawner after Close.
var ErrClosed = errors.New("spawner is closed")

// SpawnerOptions configures a Spawner. The zero value will do.
type SpawnerOptions struct {
	// Reap makes the Spawner reap every child of this process that it did not
	// start: the orphans that a subreaper is given. Nothing else in the process
	// may then start children: use the Spawner's Start and Run only.
	Reap bool
	// Log gets what nobody waits for, such as the end of an orphan. Default: discard.
	Log *slog.Logger
}

// Spawner starts processes that do not outlive the calling process: each leads a
// process group of its own and, on Linux, is killed by the kernel when this
// process ends, however it ends. The kernel ties that to the *thread* that
// forked (golang/go#27505), so all starts go through one goroutine that keeps
// its thread from NewSpawner to Close.
type Spawner struct {
	log    *slog.Logger
	starts chan startRequest
	quit   chan struct{} // closed when no more starts are taken
	poke   chan struct{} // wakes the reaper after a child of ours was reaped

	thread  sync.WaitGroup // the starting goroutine
	reaper  sync.WaitGroup
	waiters sync.WaitGroup // one for each child

	mu       sync.Mutex // also held from a fork until the child is registered
	children map[int]*Process
	closed   bool

	once      sync.Once // closes quit
	endReaper context.CancelFunc
}

type startRequest struct {
	ctx   context.Context
	cmd   *exec.Cmd
	reply chan startReply
}

type startReply struct {
	p   *Process
	err error
}

// NewSpawner returns a running Spawner. Close it.
func NewSpawner(o SpawnerOptions) *Spawner {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Spawner{
		log:       o.Log,
		starts:    make(chan startRequest),
		quit:      make(chan struct{}),
		poke:      make(chan struct{}, 1),
		children:  make(map[int]*Process),
		endReaper: cancel,
	}
	s.thread.Go(s.serve)
	if o.Reap {
		s.startReaper(ctx)
	}
	return s
}

// serve runs on its own thread until Close. The thread stays locked, and so
// ends with this goroutine: by then every child is gone.
func (s *Spawner) serve() {
	runtime.LockOSThread()
	for {
		select {
		case <-s.quit:
			return
		case r := <-s.starts:
			p, err := s.fork(r.ctx, r.cmd)
			r.reply <- startReply{p, err}
		}
	}
}

// fork starts one command on the locked thread and registers it before the
// reaper can look.
func (s *Spawner) fork(ctx context.Context, c *exec.Cmd) (*Process, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.waiters.Add(1)
	p, err := begin(c, s.ended)
	if err != nil {
		s.waiters.Done()
		return nil, err
	}
	s.children[p.id.PID] = p
	return p, nil
}

func (s *Spawner) ended(p *Process) {
	s.mu.Lock()
	if s.children[p.id.PID] == p {
		delete(s.children, p.id.PID)
	}
	s.mu.Unlock()
	select {
	case s.poke <- struct{}{}:
	default:
	}
	s.waiters.Done()
}

// Start starts a process. The context bounds the start, not the life.
func (s *Spawner) Start(ctx context.Context, spec Spec) (*Process, error) {
	c, err := spec.command()
	if err != nil {
		return nil, err
	}
	return s.start(ctx, c)
}

func (s *Spawner) start(ctx context.Context, c *exec.Cmd) (*Process, error) {
	c.SysProcAttr.Setpgid = true
	dieWithThread(c.SysProcAttr)
	r := startRequest{ctx: ctx, cmd: c, reply: make(chan startReply, 1)}
	select {
	case s.starts <- r:
	case <-s.quit:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	got := <-r.reply
	return got.p, got.err
}

// Close kills the group of every process that still runs, waits for their end
// and stops. It may be called twice.
func (s *Spawner) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, p := range s.children {
		if err := p.SignalGroup(syscall.SIGKILL); err != nil && !errors.Is(err, ErrGone) {
			s.log.Warn("kill process group", "pid", p.id.PID, "error", err)
		}
	}
	s.mu.Unlock()
	s.waiters.Wait()
	s.once.Do(func() { close(s.quit) })
	s.thread.Wait()
	s.endReaper()
	s.reaper.Wait()
	return nil
}
