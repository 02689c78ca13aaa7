package node

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"onemore/launcher/internal/proc"
)

// family returns every process of a node: its command's descendants, and those that carry its mark.
func (n *Node) family() []proc.ID {
	all, err := n.host.Processes.families()
	if err != nil {
		n.host.log.Error("look at processes", "err", err)
		if r := n.current(); r != nil {
			return []proc.ID{r.proc.ID()}
		}
	}
	return all[n.Plan.Index]
}

// Processes knows which processes of the host are the cluster's, and which node's: those of this keeper, and what an earlier one has
// left. Its methods may be called from any goroutine.
type Processes struct {
	dir      string // the cluster's folder
	self     proc.ID
	log      *slog.Logger
	id       func() string  // the cluster's, "" while there is none
	nodes    func() []*Node // and services
	pause    *atomic.Int64  // before an observation, in nanoseconds
	observed shared[processes]

	mu     sync.Mutex      // guards what is below; held for reads and writes of memory only
	seen   map[proc.ID]int // the node of each living process that was found to be of one
	cgroup *proc.Cgroup    // of the cluster's processes, nil where none can be made
	spared []string        // strangers in the folder that were left alone, and are still to be reported
}

// families returns the processes of every node by its number, from one scan of the process table for all who
// ask at the same time. All of them descend from the keeper, which is the subreaper: what went to the background became its child.
func (t *Processes) families() (map[int][]proc.ID, error) {
	found, err := t.observed.observe(time.Duration(t.pause.Load()), t.scan)
	return found.byNode, err
}

// processes are those of a cluster at one moment.
type processes struct {
	byNode map[int][]proc.ID
	// groupLeaders lead sessions or process groups, and are no node's own process.
	groupLeaders []groupLeader
}

// groupLeader leads a session or a process group of a node.
type groupLeader struct {
	proc.ID
	Node int `json:"node"`
}

// scan observes the processes at this moment. One that was found to be a node's is so until its end, whatever becomes of
// its parents and its environment.
func (t *Processes) scan() (found processes, err error) {
	table, err := proc.Snapshot()
	if err != nil {
		return processes{}, err
	}
	return t.sortOut(table), nil
}

// sortOut finds the processes of each node in a table.
func (t *Processes) sortOut(table proc.Table) processes {
	leaders, seen := t.leaders(), t.seenProcesses()
	node := map[int]int{} // by the pid of one of its processes; noNode: none of ours
	parent := make(map[int]int, len(table))
	for _, p := range table {
		parent[p.ID.PID] = p.PPID
		if index, ok := leaders[p.ID]; ok {
			node[p.ID.PID] = index
		} else if p.PPID != t.self.PID {
			continue
		} else if index, ok := seen[p.ID]; ok {
			node[p.ID.PID] = index
		} else if index, ok := t.nodeOf(p, leaders); ok {
			node[p.ID.PID] = index
		}
	}
	out := processes{byNode: map[int][]proc.ID{}}
	now := make(map[proc.ID]int, len(seen))
	for _, p := range table {
		index := ancestor(p.ID.PID, parent, node)
		if index == noNode {
			continue
		}
		out.byNode[index] = append(out.byNode[index], p.ID)
		now[p.ID] = index
		if _, own := leaders[p.ID]; !own && (p.Group == p.ID.PID || p.Session == p.ID.PID) {
			out.groupLeaders = append(out.groupLeaders, groupLeader{p.ID, index})
		}
	}
	t.remember(seen, now)
	return out
}

// leaders are the processes that the nodes were last started as, with the number of the node. Some may have ended: who is in the
// process group of one belongs to that node.
func (t *Processes) leaders() map[proc.ID]int {
	out := map[proc.ID]int{}
	for _, n := range t.nodes() {
		if id, ok := n.leader(); ok {
			out[id] = n.Plan.Index
		}
	}
	return out
}

// nodeOf returns the number of the node that a child of the keeper belongs to which is not a node's own process: by its mark, its
// process group, or the files that it has in the node's folder.
func (t *Processes) nodeOf(p proc.Info, leaders map[proc.ID]int) (index int, ok bool) {
	if index, ok := t.markedAs(p.ID); ok {
		return index, true
	}
	for id, index := range leaders {
		if p.Group == id.PID && p.ID.Start >= id.Start {
			return index, true
		}
	}
	return nodeByFile(t.dir, proc.FileIn(p.ID, realPath(t.dir)))
}

// known are the living processes of every node without a look at the process table: its own, and those that a scan has found
// before. Whoever has a node's listeners was found when it became ready.
func (t *Processes) known() map[int][]int {
	all := t.leaders()
	maps.Copy(all, t.seenProcesses())
	out := map[int][]int{}
	for id, index := range all {
		if proc.Alive(id) {
			out[index] = append(out[index], id.PID)
		}
	}
	return out
}

func (t *Processes) seenProcesses() map[proc.ID]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// remember adds what was found now to what was known before, seen, without those that have ended. Scans may overlap: what another
// has added meanwhile stays.
func (t *Processes) remember(seen, now map[proc.ID]int) {
	over := map[proc.ID]bool{}
	for id := range seen {
		if _, ok := now[id]; !ok && !proc.Alive(id) {
			over[id] = true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, index := range t.seen {
		if _, ok := now[id]; !ok && !over[id] {
			now[id] = index
		}
	}
	t.seen = now // a new map: others may read the old one
}

// ancestor is the node that a process, or the nearest of its ancestors, belongs to; noNode if there is none. It remembers what
// it found.
func ancestor(pid int, parent, node map[int]int) int {
	if index, known := node[pid]; known {
		return index
	}
	node[pid] = noNode // ends a circle: pids may have been reused during the scan
	if up, ok := parent[pid]; ok {
		node[pid] = ancestor(up, parent, node)
	}
	return node[pid]
}

// markedAs returns the number of the node whose mark a process carries.
func (t *Processes) markedAs(id proc.ID) (index int, ok bool) {
	env, err := proc.Environ(id, MarkCluster, MarkNode)
	if cluster := t.id(); err != nil || cluster == "" || env[MarkCluster] != cluster {
		return 0, false
	}
	index, err = strconv.Atoi(env[MarkNode])
	return index, err == nil
}

// owns reports whether a pid runs for this cluster: all that does descends from the keeper.
func (t *Processes) owns(pid int) bool {
	_, err := proc.Identify(pid)
	return err != nil || proc.Descends(pid, t.self) // who has just ended holds nothing any more
}

func pids(ids []proc.ID) []int {
	out := make([]int, len(ids))
	for i, id := range ids {
		out[i] = id.PID
	}
	return out
}

// KillAll ends whatever of the cluster still runs under this keeper: daemons that came to it as the subreaper.
func (t *Processes) KillAll() error {
	find := func() ([]proc.ID, error) {
		ids, err := proc.Family(t.self)
		return slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(t.self) }), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}

// killTimeout bounds how long killed processes may take to be gone.
const killTimeout = 10 * time.Second
