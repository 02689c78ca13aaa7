package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/probe"
	"onemore/launcher/internal/proc"
)

// The marks of a process that runs for a cluster, in its environment.
const (
	MarkCluster = "ONEMORE_CLUSTER_ID"
	MarkNode    = "ONEMORE_NODE_INDEX" // of a service: ServiceIndex
)

// Files of a node's folder.
const (
	pidFile   = "process.json" // the process last started
	startFile = "start"        // a script that runs the node by hand; written last, so its presence says that the directory is complete
)

// Host is what the nodes of one cluster share: the keeper's process, the means to start processes and to make calls, and
// observations of the machine's processes and sockets. Its methods may be called from any goroutine.
type Host struct {
	Processes *Processes
	self      proc.ID
	log       *slog.Logger
	record    func(control.Event)
	spawner   *proc.Spawner
	prober    *probe.Prober
	watchers  sync.WaitGroup // one for each process
	sockets   shared[[]ports.Socket]
	known     atomic.Pointer[map[uint64]bool] // sockets that are older than the cluster's first process; nil: not observed
	pause     atomic.Int64                    // before an observation, in nanoseconds

	mu       sync.Mutex // guards what is below; held for reads and writes of memory only
	plan     *plan.Plan // in force, nil while there is none; never changed
	nodes    []*Node    // of that plan
	services []*Node
}

// NewHost returns a host without nodes for the keeper process self of the cluster in dir. record writes an event to the
// cluster's log; it may be called from any goroutine.
func NewHost(dir string, self proc.ID, log *slog.Logger, record func(control.Event)) *Host {
	h := &Host{self: self, log: log, record: record, spawner: proc.NewSpawner(proc.SpawnerOptions{Reap: true})}
	h.Processes = &Processes{dir: dir, self: self, log: log, id: h.ID, nodes: h.all, pause: &h.pause}
	h.prober = probe.New(h.Run)
	return h
}

// Close ends all calls and kills what still runs. No process is started afterwards.
func (h *Host) Close() {
	h.prober.Close()
	h.spawner.Close()
	h.Processes.CloseCgroup()
}

// Wait returns when the goroutines of all processes have ended. It is called after Close, with no operation under way.
func (h *Host) Wait() { h.watchers.Wait() }

// SetNodes says which plan is in force, and the nodes of it; nil: there is no cluster.
func (h *Host) SetNodes(p *plan.Plan, nodes []*Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plan, h.nodes = p, nodes
	h.pause.Store(int64(len(nodes)) * int64(observationPause))
}

// SetServices says which are the cluster's helper processes.
func (h *Host) SetServices(services []*Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services = services
}

// ID is the cluster's id, "" while there is no cluster.
func (h *Host) ID() string {
	if p := h.currentPlan(); p != nil {
		return p.ID
	}
	return ""
}

// currentPlan is the plan in force, nil while there is no cluster.
func (h *Host) currentPlan() *plan.Plan {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plan
}

// node returns the node of the number, nil if there is none.
func (h *Host) node(index int) *Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.nodes, func(n *Node) bool { return n.Plan.Index == index }); i >= 0 {
		return h.nodes[i]
	}
	return nil
}

// all returns the nodes and the services.
func (h *Host) all() []*Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.nodes, h.services)
}

// environment is that of a process of the cluster: what the plan inherits of the keeper's own, the plan's, and the marks.
func (h *Host) environment(index int, as *proc.User, planned []string) []string {
	p := h.currentPlan()
	env := slices.DeleteFunc(p.Inherited(os.Environ()), namesGoneFolder)
	if as != nil {
		env = append(env, as.Environ()...)
	}
	env = append(env, planned...)
	return append(env, MarkCluster+"="+p.ID, fmt.Sprintf("%s=%d", MarkNode, index))
}

// namesGoneFolder reports whether a variable names a folder for temporary files that is not there: programs do better without it.
func namesGoneFolder(variable string) bool {
	dir, ok := strings.CutPrefix(variable, "TMPDIR=")
	if !ok {
		return false
	}
	info, err := os.Stat(dir)
	return err != nil || !info.IsDir()
}

func (h *Host) signal(ids []proc.ID, sig syscall.Signal) {
	for _, id := range ids {
		if err := proc.Signal(id, sig); err != nil && !errors.Is(err, proc.ErrGone) {
			h.log.Warn("signal", "process", id.String(), "err", err)
		}
	}
}

// Run runs a program to its end as a child of the keeper, and as one of the cluster's processes.
func (h *Host) Run(ctx context.Context, s proc.Spec) (proc.Output, error) {
	s.Cgroup = h.Processes.currentCgroup()
	return h.spawner.Run(ctx, s)
}
