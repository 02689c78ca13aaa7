// Package launcher turns a server's node directory into a real cluster on this host, and takes it away again.
//
// It composes what stands in internal/: a template (what kind of server), a plan (every name, port and command, decided
// before anything is touched), and a keeper (the process that is parent of the nodes). It runs no server itself.
//
// Start at Up, then Cluster. Package launchertest is the way in for Go tests, package cli for people.
package launcher

import (
	"context"
	"errors"
	"time"

	"onemore/launcher/internal/plan"
)

// DefaultCount is the number of nodes of a new cluster that was not given one.
const DefaultCount = 3

// Options say what is wanted of a cluster. The zero value is three nodes of the built-in server, called "default".
type Options struct {
	Cluster  string // name; "" is "default"
	Template string // name, file or folder; "" is what Source is detected as, else the built-in node
	Source   string // node directory to copy
	Count    int    // nodes; 0: as many as there are, DefaultCount for a new cluster
	Least    int    // where Count is 0: so many, or more if the cluster has more

	Host   string // "" is 127.0.0.1
	Spread string // "" and "port", or "address"
	Offset int
	Base   string // "", "auto", or a number
	Set    map[string]int
	Env    map[string]string
	Params map[string]string
	Join   string
	Bin    string
	Nodes  map[int]NodeOptions
	Files  []FilePlan // laid over the copy of every node, before its edits

	Timeout  time.Duration // of one operation; 0: none
	Keep     bool          // leave everything in place when `up` fails
	dry      bool
	places   map[string]string // where the project's file has an option, by its key there
	taken    []plan.Port       // found taken by an earlier try
	more     int               // nodes to add to those of a cluster that is there
	stamp    string            // of the files that the other options name; for a cluster that is to be reused
	Progress func(Event)       `json:"-"` // may be nil; called from one goroutine at a time
}

// NodeOptions are what one node has apart from the others.
type NodeOptions = plan.NodeOptions

// FilePlan is a file that is written into a node directory.
type FilePlan = plan.File

// InputError says that the call or its input is wrong; nothing was touched.
type InputError struct {
	Err  error
	Hint string
}

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// planTries is how often `up` plans anew when another cluster takes a planned port between the look and the lease.
const planTries = 20

// Up brings the cluster to o.Count running nodes that all see each other: it creates the cluster, starts its stopped
// nodes, or adds the missing ones, and returns when every node itself says so. When it fails, what it did is undone; the
// error is an *InputError or a *Failure.
func Up(ctx context.Context, o Options) (*Cluster, *Status, error) {
	c, st, _, err := bring(ctx, o, false)
	return c, st, err
}

// UpOwned is Up for a cluster that hangs on this process: when release is called, or the process dies in whatever way,
// the keeper takes the cluster down.
func UpOwned(ctx context.Context, o Options) (c *Cluster, st *Status, release func(), err error) {
	c, st, own, err := bring(ctx, o, true)
	return c, st, own.release, err
}

// ownership is what a cluster hangs on: gone is closed when its keeper has ended. The zero value is none.
type ownership struct {
	release func()
	gone    <-chan struct{}
}

func bring(ctx context.Context, o Options, own bool) (*Cluster, *Status, ownership, error) {
	first := startEarly(ctx, o)
	defer first.close()
	for try := 1; ; try++ {
		d, err := decide(ctx, o)
		if err != nil {
			return nil, nil, ownership{}, err
		}
		d.cluster.early = first
		held := ownership{release: func() {}}
		var st *Status
		if own {
			held.release, held.gone, err = d.cluster.own(ctx, d.request(), func(s *Status) { st = s })
		} else {
			st, err = d.cluster.do(ctx, d.request())
		}
		fail, ok := errors.AsType[*Failure](err)
		if again := ok && (fail.Stale || fail.Clash && !d.fixed); !again || try == planTries {
			return d.cluster, st, held, err
		}
		if fail.Clash { // a look does not show all that keeps a port from being bound, such as a client's end of a connection
			o.taken = append(o.taken, fail.Taken)
		}
	}
}

// DryRun is Up's plan; nothing is touched.
func DryRun(ctx context.Context, o Options) (*Plan, error) {
	o.dry = true
	d, err := decide(ctx, o)
	if err != nil {
		return nil, err
	}
	return d.plan, nil
}

// Add adds k nodes to the cluster.
func (c *Cluster) Add(ctx context.Context, k int) (*Status, error) {
	_, st, err := Up(ctx, Options{Cluster: c.name, more: k, Timeout: c.timeout, Progress: c.progress})
	return st, err
}
