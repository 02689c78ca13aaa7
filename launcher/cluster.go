package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// The forms in which a cluster tells about itself; `--json` prints them as they are.
type (
	Status     = control.Status
	NodeStatus = control.NodeStatus
	Finding    = control.Finding
	Event      = control.Event
	State      = control.State
	Plan       = plan.Plan
	NodePlan   = plan.Node
)

// Failure is why an operation failed: node, phase, reason, the telling log lines, and where the logs were kept.
type Failure = control.Error

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

// ValidName says why a text can't be a cluster's name, or returns nil.
func ValidName(name string) error { return state.ValidName(name) }

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
	rec, err := c.record()
	if err != nil {
		return nil, err
	}
	return rec.Plan, nil
}

// record is what is on disk about the cluster, with an error for people.
func (c *Cluster) record() (*cluster.Record, error) {
	rec, err := cluster.ReadRecord(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	if err != nil {
		return nil, &Failure{Phase: fmt.Sprintf("look at cluster %q", c.name), Why: err.Error(),
			Hint: "`onemore down` ends and removes it, with its data; what you want to keep of " + c.dir + ", copy first"}
	}
	return rec, nil
}

// Status looks at the cluster, with or without a keeper. It changes nothing.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	var st *Status
	wait, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("no answer"))
	defer cancel()
	err := probe.Until(wait, nil, func(ctx context.Context) (err error) {
		if st, err = c.askStatus(ctx); st != nil {
			return nil
		}
		if _, held := state.LockHolder(c.dir); held {
			return fmt.Errorf("its keeper does not answer yet: %w", err) // it is starting, or on its way out
		}
		return nil
	})
	if st != nil || ctx.Err() != nil {
		return st, context.Cause(ctx)
	}
	return c.lookAlone(err)
}

// askStatus asks the keeper; nil says that there is none, or that it has no record of the cluster yet.
func (c *Cluster) askStatus(ctx context.Context) (*Status, error) {
	cl, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, func() { cl.Close() })()
	st, err := cl.Do(ctx, control.Request{Op: control.OpStatus}, nil)
	if st == nil && err == nil {
		err = errors.New("it has recorded nothing")
	}
	return st, err
}

// lookAlone is the status of a cluster without a keeper that answers; silent is why one that is there does not.
func (c *Cluster) lookAlone(silent error) (*Status, error) {
	st, err := cluster.OfflineStatus(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok, err := nodedir.Marked(c.dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
		} else if err != nil || !ok {
			return nil, errors.Join(err, fmt.Errorf("%s was not made by onemore", c.dir))
		}
		st, err = &Status{Cluster: c.name, Dir: c.dir, State: control.Lost, Nodes: []NodeStatus{}, FaultTable: control.FaultTable{Faults: []Fault{}}}, nil
		if silent == nil {
			st.Notes = []string{"an `up` or a `down` was killed half way: `onemore down` removes what is left"}
		}
	}
	if err != nil || silent == nil {
		return st, err
	}
	pid, held := state.LockHolder(c.dir)
	st.Keeper = pid
	if held && len(st.Nodes) > 0 {
		return st, nil // LookAlone has told of the keeper
	}
	st.Notes = append(st.Notes, fmt.Sprintf("its keeper (pid %d) does not answer: %v", pid, silent))
	return st, nil
}

// Down stops the cluster and removes it; with keepData its directories stay, and Up starts it again.
func (c *Cluster) Down(ctx context.Context, keepData bool) error {
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster %q: %w", c.name, ErrNoCluster)
	}
	pid, _ := c.keeperID()
	_, err := c.do(ctx, control.Request{Op: control.OpDown, KeepData: keepData})
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
	return c.do(ctx, control.Request{Op: control.OpStop, Nodes: nodes})
}

// Start starts stopped nodes (none given: all) and waits until the cluster has settled.
func (c *Cluster) Start(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpStart, Nodes: nodes})
}

// Restart stops and starts nodes; rolling: one after the other, with the cluster settled in between.
func (c *Cluster) Restart(ctx context.Context, rolling bool, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpRestart, Nodes: nodes, Rolling: rolling})
}

// Kill kills nodes with SIGKILL, as a crash would, and returns when their processes are gone.
func (c *Cluster) Kill(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpKill, Nodes: nodes})
}

// Pause stops the nodes' processes where they are (SIGSTOP).
func (c *Cluster) Pause(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpPause, Nodes: nodes})
}

// Resume lets paused nodes go on and waits until the cluster has settled.
func (c *Cluster) Resume(ctx context.Context, nodes ...int) (*Status, error) {
	return c.do(ctx, control.Request{Op: control.OpResume, Nodes: nodes})
}

// WaitSettled returns when every running node itself says that it sees all running ones.
func (c *Cluster) WaitSettled(ctx context.Context) error {
	_, err := c.do(ctx, control.Request{Op: control.OpSettle})
	return err
}

// Own hangs the cluster on this process: when release is called or the process dies, the keeper takes the cluster down,
// unless another process owns it too; release returns when it has. gone is closed when the cluster's keeper has ended.
func (c *Cluster) Own(ctx context.Context) (release func(), gone <-chan struct{}, err error) {
	return c.own(ctx, control.Request{Op: control.OpHold}, nil)
}

// own is Own by a request that does something else first: there is no moment at which its work has no owner.
func (c *Cluster) own(ctx context.Context, req control.Request, took func(*Status)) (release func(), gone <-chan struct{}, err error) {
	req.Own = true
	cl, st, err := c.ask(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if took != nil {
		took(st)
	}
	gone = cl.Gone()
	return func() {
		t := time.NewTimer(releaseTimeout)
		defer t.Stop()
		cl.CloseWrite() // the last owner's end takes the cluster down; then the keeper ends the connection
		select {
		case <-gone:
		case <-t.C:
		}
		cl.Close()
		<-gone
	}, gone, nil
}

// releaseTimeout bounds how long the end of ownership waits for the cluster's.
const releaseTimeout = time.Minute

// do sends one changing request, to a new keeper where none runs.
func (c *Cluster) do(ctx context.Context, req control.Request) (*Status, error) {
	cl, st, err := c.ask(ctx, req)
	if cl != nil {
		cl.Close()
	}
	return st, err
}

// Find returns the numbers, each once, of the nodes that the words name: a number, a node name, or the part of it before the @.
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
		if index := p.Nodes[i].Index; !slices.Contains(out, index) {
			out = append(out, index)
		}
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
