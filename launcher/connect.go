package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/keeper"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// answerTimeout bounds how long a keeper may take to show that it is there.
const answerTimeout = 10 * time.Second

// ask is do, and leaves the connection to the caller unless it fails.
func (c *Cluster) ask(ctx context.Context, req control.Request) (*control.Client, *Status, error) {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) && req.Op != control.OpUp && req.Op != control.OpRestore {
		return nil, nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	req.From = fmt.Sprintf("(pid %d)", os.Getpid())
	req.Timeout = c.timeout
	deadline := time.Now().Add(answerTimeout)
	for {
		cl, err := c.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		st, err := cl.Do(ctx, req, c.progress)
		if err == nil {
			return cl, st, nil
		}
		cl.Close()
		again := errors.Is(err, control.ErrBusy) || errors.Is(err, control.ErrUnheard)
		if !again || time.Now().After(deadline) {
			return nil, st, err
		}
	}
}

// connect returns a connection to the cluster's keeper, and starts one where none answers.
func (c *Cluster) connect(ctx context.Context) (*control.Client, error) {
	if cl := c.early.take(); cl != nil {
		return cl, nil
	}
	var cl *control.Client
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("no keeper answers"))
	defer cancel()
	err := probe.Until(ctx, nil, func(ctx context.Context) (err error) {
		if cl, err = c.dial(); err == nil {
			return c.greet(ctx, cl)
		}
		if _, held := state.LockHolder(c.dir); held {
			return fmt.Errorf("its keeper does not answer yet: %w", err) // it is starting, or on its way out
		}
		cl, err = c.spawn(ctx)
		return err
	})
	return cl, err
}

// greet makes sure that the keeper at the other end is not one that stands still. cl is closed when it is.
func (c *Cluster) greet(ctx context.Context, cl *control.Client) error {
	stop := context.AfterFunc(ctx, func() { cl.Close() })
	_, err := cl.Do(ctx, control.Request{Op: control.OpHold}, nil)
	if stop() && err == nil {
		return nil
	}
	cl.Close()
	if ctx.Err() == nil {
		return err // it has just ended
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx) // nobody waits any more
	}
	pid, _ := state.LockHolder(c.dir)
	return probe.Permanent(&Failure{Phase: fmt.Sprintf("ask the keeper of cluster %q", c.name), Why: fmt.Sprintf("pid %d does not answer: %v", pid, context.Cause(ctx)),
		Hint: fmt.Sprintf("if it stands still, `kill -CONT %[1]d` lets it go on; `kill -KILL %[1]d` and `onemore down` end it with its nodes", pid)})
}

func (c *Cluster) dial() (*control.Client, error) {
	conn, err := net.Dial("unix", filepath.Join(c.dir, control.SocketFile))
	if err != nil {
		return nil, err
	}
	return control.NewClient(conn), nil
}

// spawn starts a keeper whose first client we are, over a socket pair, so that there is nothing to wait for.
func (c *Cluster) spawn(ctx context.Context) (*control.Client, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "client")
	defer ours.Close()
	defer theirs.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(self, ".test") && os.Getenv(TestMainVariable) == "" {
		return nil, probe.Permanent(errors.New("a test binary can be a keeper only with a TestMain that calls launchertest.Main"))
	}
	_, err = proc.Detach(proc.Spec{Args: []string{self, KeeperCommand, c.dir}, Dir: "/", ExtraFiles: []*os.File{theirs},
		Env: append(os.Environ(), RoleVariable+"="+KeeperCommand)})
	if err != nil {
		return nil, fmt.Errorf("start a keeper: %w", err)
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	return control.NewClient(conn), nil
}

// socketPair makes two connected sockets that no child inherits by chance: one that held our end would pass for us, so
// that our keeper would never know that we have gone.
func socketPair() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0); err != nil {
		return fds, fmt.Errorf("make a connection to a keeper: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return fds, nil
}

// How an executable is told to be a keeper: its first argument, or (a test binary) this variable, which TestMain looks at.
const (
	KeeperCommand = "__keeper"
	RoleVariable  = "ONEMORE_ROLE"
	// TestMainVariable is set by a test binary whose TestMain knows these roles. Without it a test binary is not started
	// again: it would run its tests, and so itself, without end.
	TestMainVariable = "ONEMORE_TEST_MAIN"
)

// InCluster tells whether this process was started for a node of a cluster.
func InCluster() bool { return os.Getenv(node.MarkCluster) != "" }

// UniqueName is a cluster name that nobody else has.
func UniqueName(prefix string) string { return fmt.Sprintf("%s-%d-%s", prefix, os.Getpid(), random(3)) }

// RunKeeper is what the process started as KeeperCommand does: it keeps the cluster in dir until it is down.
func RunKeeper(ctx context.Context, dir string) error {
	f := os.NewFile(3, "client")
	conn, err := net.FileConn(f)
	if err != nil {
		return fmt.Errorf("%s is started by onemore itself, not by hand: %w", KeeperCommand, err)
	}
	f.Close()
	os.Unsetenv(RoleVariable)
	return keeper.Run(ctx, dir, conn)
}

func (c *Cluster) keeperID() (proc.ID, bool) {
	var id proc.ID
	err := state.ReadJSON(filepath.Join(c.dir, cluster.KeeperFile), &id)
	return id, err == nil
}
