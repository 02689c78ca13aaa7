package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"onemore/launcher/internal/keeper"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// The forms in which a cluster tells about itself; `--json` prints them as they are.
type (
	Status     = keeper.Status
	NodeStatus = keeper.NodeStatus
	Finding    = keeper.Finding
	Event      = keeper.Event
	State      = keeper.State
	Plan       = plan.Plan
	NodePlan   = plan.Node
)

// Failure is why an operation failed: node, phase, reason, the telling log lines, and where the logs were kept.
type Failure = keeper.Error

// ErrNoCluster is wrapped by errors about a cluster that does not exist.
var ErrNoCluster = errors.New("there is no such cluster")

// Cluster is one cluster that exists on this host. Its methods talk to the cluster's keeper, which is started again when
// it has died. They may be called from several goroutines and processes: changes wait for each other.
type Cluster struct {
	name     string
	dir      string
	progress func(Event)
	timeout  time.Duration
	early    *early // see there
}

// Open returns the named cluster; the error wraps ErrNoCluster when there is none. It starts and changes nothing.
func Open(name string, o Options) (*Cluster, error) {
	c, err := at(name, o)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w", name, ErrNoCluster)
	}
	return c, nil
}

// at names a cluster that may or may not exist.
func at(name string, o Options) (*Cluster, error) {
	if err := state.ValidName(name); err != nil {
		return nil, &InputError{Err: err, Hint: "choose another name with -c"}
	}
	home, err := state.Home()
	if err != nil {
		return nil, &InputError{Err: err, Hint: "set ONEMORE_HOME to a directory that you may write"}
	}
	return &Cluster{name: name, dir: filepath.Join(home, name), progress: o.Progress, timeout: o.Timeout}, nil
}

// Name is the cluster's name, Dir its folder.
func (c *Cluster) Name() string { return c.name }

// Dir is the cluster's folder under ONEMORE_HOME.
func (c *Cluster) Dir() string { return c.dir }

// Plan returns what was decided about the cluster when it was made, or last changed.
func (c *Cluster) Plan() (*Plan, error) {
	rec, err := keeper.ReadRecord(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	if err != nil {
		return nil, err
	}
	return rec.Plan, nil
}

// Status looks at the cluster, with or without a keeper. It changes nothing.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	cl, err := c.dial()
	if err == nil {
		defer cl.Close()
		st, err := cl.Do(ctx, keeper.Request{Op: keeper.OpStatus}, nil)
		if st != nil || err != nil && !errors.Is(err, keeper.ErrLost) {
			return st, err
		}
	}
	st, err := keeper.LookAlone(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(c.dir); serr == nil {
			return &Status{Cluster: c.name, Dir: c.dir, State: keeper.Lost, Nodes: []NodeStatus{},
				Notes: []string{"an `up` was killed before it recorded anything: `onemore down` removes it"}}, nil
		}
		return nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	return st, err
}

// Down stops the cluster and removes it; with keepData its directories stay, and Up starts it again.
func (c *Cluster) Down(ctx context.Context, keepData bool) error {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	pid, _ := c.keeperID()
	_, err := c.do(ctx, keeper.Request{Op: keeper.OpDown, KeepData: keepData})
	if err != nil {
		return err
	}
	if now, ok := c.keeperID(); ok {
		pid = now
	}
	if !pid.IsZero() {
		return proc.Wait(ctx, pid)
	}
	return nil
}

// Stop stops nodes (none given: all) and waits until the rest has settled. Data, ports and names stay.
func (c *Cluster) Stop(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpStop, Nodes: nodes})
}

// Start starts stopped nodes (none given: all) and waits until the cluster has settled.
func (c *Cluster) Start(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpStart, Nodes: nodes})
}

// Restart stops and starts nodes; rolling: one after the other, with the cluster settled in between.
func (c *Cluster) Restart(ctx context.Context, rolling bool, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpRestart, Nodes: nodes, Rolling: rolling})
}

// Kill kills nodes with SIGKILL, as a crash would, and returns when their processes are gone.
func (c *Cluster) Kill(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpKill, Nodes: nodes})
}

// Pause stops the nodes' processes where they are (SIGSTOP).
func (c *Cluster) Pause(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpPause, Nodes: nodes})
}

// Resume lets paused nodes go on and waits until the cluster has settled.
func (c *Cluster) Resume(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, keeper.Request{Op: keeper.OpResume, Nodes: nodes})
}

// WaitSettled returns when every running node itself says that it sees all running ones.
func (c *Cluster) WaitSettled(ctx context.Context) error {
	_, err := c.do(ctx, keeper.Request{Op: keeper.OpSettle})
	return err
}

// Own hangs the cluster on this process: when release is called or the process dies, the keeper takes the cluster down,
// unless another process owns it too. gone is closed when the cluster's keeper has ended.
func (c *Cluster) Own(ctx context.Context) (release func(), gone <-chan struct{}, err error) {
	return c.own(ctx, keeper.Request{Op: keeper.OpHold}, nil)
}

// own is Own by a request that does something else first: there is no moment at which its work has no owner.
func (c *Cluster) own(ctx context.Context, req keeper.Request, took func(*Status)) (release func(), gone <-chan struct{}, err error) {
	req.Own = true
	cl, st, err := c.ask(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if took != nil {
		took(st)
	}
	gone = cl.Gone()
	return func() { cl.Close(); <-gone }, gone, nil
}

// do sends one changing request, to a new keeper where none runs.
func (c *Cluster) do(ctx context.Context, req keeper.Request) (*Status, error) {
	cl, st, err := c.ask(ctx, req)
	if cl != nil {
		cl.Close()
	}
	return st, err
}

// ask is do, and leaves the connection to the caller unless it fails.
func (c *Cluster) ask(ctx context.Context, req keeper.Request) (*keeper.Client, *Status, error) {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) && req.Op != keeper.OpUp && req.Op != keeper.OpRestore {
		return nil, nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	req.From = fmt.Sprintf("(pid %d)", os.Getpid())
	req.Timeout = c.timeout
	deadline := time.Now().Add(10 * time.Second)
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
		if !errors.Is(err, keeper.ErrBusy) || time.Now().After(deadline) {
			return nil, st, err
		}
	}
}

// connect returns a connection to the cluster's keeper, and starts one where none answers.
func (c *Cluster) connect(ctx context.Context) (*keeper.Client, error) {
	if cl := c.early.take(); cl != nil {
		return cl, nil
	}
	var cl *keeper.Client
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no keeper answers"))
	defer cancel()
	err := probe.Until(ctx, nil, func(ctx context.Context) (err error) {
		if cl, err = c.dial(); err == nil {
			return nil
		}
		if _, held := state.LockHolder(c.dir); held {
			return fmt.Errorf("its keeper does not answer yet: %w", err) // it is starting, or on its way out
		}
		cl, err = c.spawn(ctx)
		return err
	})
	return cl, err
}

func (c *Cluster) dial() (*keeper.Client, error) {
	conn, err := net.Dial("unix", filepath.Join(c.dir, keeper.SocketFile))
	if err != nil {
		return nil, err
	}
	return keeper.NewClient(conn), nil
}

// spawn starts a keeper whose first client we are, over a socket pair, so that there is nothing to wait for.
func (c *Cluster) spawn(ctx context.Context) (*keeper.Client, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
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
	return keeper.NewClient(conn), nil
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
func InCluster() bool { return os.Getenv(keeper.MarkCluster) != "" }

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
	err := state.ReadJSON(filepath.Join(c.dir, keeper.KeeperFile), &id)
	return id, err == nil
}

// Find returns the numbers of the nodes that the words name: a number, a node name, or the part of it before the @.
func (c *Cluster) Find(words ...string) ([]int, error) {
	p, err := c.Plan()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, w := range words {
		i := slices.IndexFunc(p.Nodes, func(n plan.Node) bool {
			short, _, _ := strings.Cut(n.Name, "@")
			return w == strconv.Itoa(n.Index) || w == n.Name || w == short
		})
		if i < 0 {
			return nil, &InputError{Err: fmt.Errorf("cluster %q has no node %q", c.name, w), Hint: "its nodes: " + names(p)}
		}
		out = append(out, p.Nodes[i].Index)
	}
	return out, nil
}

func names(p *Plan) string {
	var out []string
	for _, n := range p.Nodes {
		out = append(out, fmt.Sprintf("%d (%s)", n.Index, n.Name))
	}
	return strings.Join(out, ", ")
}
