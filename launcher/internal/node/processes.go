package node

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// family returns every process of a node: its command's descendants, and those that carry its mark.
func (n *Node) family() []proc.ID {
	all, err := n.host.families()
	if err != nil {
		n.host.log.Error("look at processes", "err", err)
		if r := n.current(); r != nil {
			return []proc.ID{r.proc.ID()}
		}
	}
	return all[n.Plan.Index]
}

// families returns the processes of every node (0: the service) by its number, from one scan of the process table for all who
// ask at the same time. What went to the background became a child of the keeper, which is the subreaper, and is known by its mark.
func (h *Host) families() (map[int][]proc.ID, error) {
	return h.processes.observe(time.Duration(h.pause.Load()), h.scanProcesses)
}

// scanProcesses is families, of this moment.
func (h *Host) scanProcesses() (map[int][]proc.ID, error) {
	table, err := proc.Snapshot()
	if err != nil {
		return nil, err
	}
	main := map[proc.ID]int{} // every node's own process
	for _, n := range h.all() {
		if r := n.current(); r != nil {
			main[r.proc.ID()] = n.Plan.Index
		}
	}
	node := map[int]int{} // by the pid of one of its processes; -1: none of ours
	parent := make(map[int]int, len(table))
	for _, p := range table {
		parent[p.ID.PID] = p.PPID
		if index, ok := main[p.ID]; ok {
			node[p.ID.PID] = index
		} else if p.PPID != h.self.PID {
			continue
		} else if index, ok := h.markedAs(p.ID); ok {
			node[p.ID.PID] = index
		}
	}
	out := map[int][]proc.ID{}
	for _, p := range table {
		if index := ancestor(p.ID.PID, parent, node); index >= 0 {
			out[index] = append(out[index], p.ID)
		}
	}
	return out, nil
}

// ancestor is the node that a process, or the nearest of its ancestors, belongs to; -1 if there is none. It remembers what
// it found.
func ancestor(pid int, parent, node map[int]int) int {
	if index, known := node[pid]; known {
		return index
	}
	node[pid] = -1 // ends a circle: pids may have been reused during the scan
	if up, ok := parent[pid]; ok {
		node[pid] = ancestor(up, parent, node)
	}
	return node[pid]
}

// markedAs returns the number of the node whose mark a process carries.
func (h *Host) markedAs(id proc.ID) (index int, ok bool) {
	env, err := proc.Environ(id, MarkCluster, MarkNode)
	if cluster := h.ID(); err != nil || cluster == "" || env[MarkCluster] != cluster {
		return 0, false
	}
	index, err = strconv.Atoi(env[MarkNode])
	return index, err == nil
}

// owns tells whether a pid runs for this cluster.
func (h *Host) owns(pid int) bool {
	id, err := proc.Identify(pid)
	if err != nil {
		return true // it has just ended: it holds nothing any more
	}
	env, err := proc.Environ(id, MarkCluster)
	return err == nil && env[MarkCluster] == h.ID()
}

func pids(ids []proc.ID) []int {
	out := make([]int, len(ids))
	for i, id := range ids {
		out[i] = id.PID
	}
	return out
}

// KillAll ends whatever of the cluster still runs under this keeper: daemons that came to it as the subreaper.
func (h *Host) KillAll() error {
	find := func() ([]proc.ID, error) {
		ids, err := proc.Family(h.self)
		return slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(h.self) }), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}

// KillStrays ends what an earlier keeper of the cluster in dir, with this id, left running: found by mark, and by the processes it recorded.
func (h *Host) KillStrays(dir, cluster string) error {
	find := func() ([]proc.ID, error) {
		infos, err := proc.Marked(MarkCluster, cluster)
		ids := proc.IDs(infos)
		ids = slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Same(h.self) })
		return append(ids, recorded(h.self, dir, ids)...), err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := proc.Stop(ctx, find, 0)
	return err
}

// recorded returns the processes that the node folders in dir name as theirs and that still run, beyond those already known. A
// process is compared by its whole identity: a pid may have been reused.
func recorded(self proc.ID, dir string, known []proc.ID) []proc.ID {
	var out []proc.ID
	files, _ := filepath.Glob(filepath.Join(globLiteral(dir), "*", pidFile)) // fails for bad patterns only
	for _, file := range files {
		var id proc.ID
		if state.ReadJSON(file, &id) != nil || id.PID == self.PID || !proc.Alive(id) {
			continue
		}
		fresh := true
		for _, o := range known {
			fresh = fresh && !o.Same(id)
		}
		if fresh {
			out = append(out, id)
		}
	}
	return out
}
