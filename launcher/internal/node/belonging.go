package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// Files of the cluster's folder by which its processes are known when their keeper is gone.
const (
	KeeperFile  = "keeper.json"  // the keeper's process
	leadersFile = "leaders.json" // processes that were seen to lead a session or a process group, besides the nodes' own
	cgroupFile  = "cgroup"       // the path of the cluster's control group
)

// Claim is by what the processes of the cluster in dir, with the id, are known when their keeper is gone.
func Claim(dir, id string) proc.Claim {
	c := proc.Claim{Mark: MarkCluster + "=" + id, Also: []string{MarkNode}, Dir: dir, Cgroup: recordedCgroup(dir, id)}
	for leader := range recordedLeaders(dir) {
		c.Leaders = append(c.Leaders, leader)
	}
	return c
}

// recordedLeaders are the processes that the files of a cluster's folder name, each with the number of its node; the keeper, whose
// session is no single node's, with noNode.
func recordedLeaders(dir string) map[proc.ID]int {
	out := map[proc.ID]int{}
	var more []groupLeader
	if state.ReadJSON(filepath.Join(dir, leadersFile), &more) == nil {
		for _, l := range more {
			out[l.ID] = l.Node
		}
	}
	var keeper proc.ID
	if state.ReadJSON(filepath.Join(dir, KeeperFile), &keeper) == nil {
		out[keeper] = noNode // of the session of all that makes none for itself
	}
	files, _ := filepath.Glob(filepath.Join(globLiteral(dir), "*", pidFile)) // fails for bad patterns only
	for _, file := range files {
		var id proc.ID
		if index, ok := nodeByFile(dir, file); ok && state.ReadJSON(file, &id) == nil {
			out[id] = index
		}
	}
	delete(out, proc.ID{})
	return out
}

// Left is a process that runs on without its keeper.
type Left struct {
	Node int // its node's, or service's, number; noNode for what is no single one's
	PID  int
}

// FindLeft returns what runs of the cluster in dir, with the id, though its keeper is gone or does not answer.
func FindLeft(dir, id string) ([]Left, error) {
	infos, err := Claim(dir, id).Find()
	if err != nil {
		return nil, err
	}
	leaders := recordedLeaders(dir)
	var out []Left
	var keeper proc.ID
	_ = state.ReadJSON(filepath.Join(dir, KeeperFile), &keeper) // none: it ended in order
	for _, p := range infos {
		if p.ID.Same(keeper) {
			continue // it lives, and only does not answer
		}
		l := Left{Node: -1, PID: p.ID.PID}
		if index, ok := leaders[p.Leader]; ok {
			l.Node = index
		}
		if index, ok := nodeByFile(dir, p.File); ok {
			l.Node = index
		}
		if index, err := strconv.Atoi(p.Env[MarkNode]); err == nil {
			l.Node = index
		}
		out = append(out, l)
	}
	return out, nil
}

// KillStrays ends what an earlier keeper of the cluster in dir, with this id, left running. Strangers that use the folder are left
// alone, and reported later: TakeSpared. An earlier keeper that ended in order has left nothing, and they are not looked for.
func (t *Processes) KillStrays(dir, id string) error {
	claim := Claim(dir, id) // before the files that it reads are written anew
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	_, err := proc.Stop(ctx, claim.IDs, 0)
	if err == nil && keeperCrashed(dir) {
		var found proc.Found
		found, err = claim.FindAll()
		t.noteSpared(found.Strangers)
	}
	if claim.Cgroup != "" {
		if err := proc.RemoveCgroup(claim.Cgroup); err != nil { // it is empty, and in nobody's way
			t.log.Warn("remove the control group", "err", err)
		}
	}
	return err
}

// keeperCrashed reports whether the last keeper of the cluster in dir was killed: one that ends in order removes its file.
func keeperCrashed(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, KeeperFile))
	return err == nil
}

func (t *Processes) noteSpared(strangers []proc.Info) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range strangers {
		t.spared = append(t.spared, fmt.Sprintf("pid %d (%s), which uses %s but was not started for the cluster", p.ID.PID, p.Name, p.File))
	}
}

// TakeSpared returns, once, which strangers in the cluster's folder were left alone.
func (t *Processes) TakeSpared() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	spared := t.spared
	t.spared = nil
	return spared
}

// RecordLeaders records which of the cluster's processes lead sessions and process groups of their own, so that those are found
// after a crash. It is for the holder of the operation lock, when nodes have been started.
func (t *Processes) RecordLeaders() error {
	table, err := proc.Below(t.self.PID)
	if err != nil {
		return err
	}
	found := t.sortOut(table) // this also remembers what belongs to which node
	var recorded []groupLeader
	_ = state.ReadJSON(filepath.Join(t.dir, leadersFile), &recorded) // none, or one that is replaced
	if slices.Equal(found.groupLeaders, recorded) {
		return nil
	}
	return state.WriteJSON(filepath.Join(t.dir, leadersFile), found.groupLeaders)
}

// OpenCgroup makes the control group of the cluster's processes, where one can be made. The cluster's folder is there, and nothing
// of the cluster runs.
func (t *Processes) OpenCgroup(id string) {
	if t.currentCgroup() != nil {
		return
	}
	var g *proc.Cgroup
	path, err := proc.CgroupPath(cgroupName(id))
	if err == nil {
		err = nodedir.WriteFile(t.dir, cgroupFile, []byte(path), 0o600) // before it is there: it is found after a crash
	}
	if err == nil {
		g, err = proc.MakeCgroup(path)
	}
	if err != nil { // there are other ways to find a process
		if !errors.Is(err, errors.ErrUnsupported) {
			t.log.Warn("make the control group", "err", err)
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cgroup = g
}

func cgroupName(id string) string { return "onemore-" + id }

func (t *Processes) currentCgroup() *proc.Cgroup {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cgroup
}

// CloseCgroup removes the cluster's control group, in which nothing runs any more. The folder that names it is still there.
func (t *Processes) CloseCgroup() {
	g := t.currentCgroup()
	if g == nil {
		return
	}
	if err := g.Remove(); err != nil {
		t.log.Warn("remove the control group", "err", err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cgroup = nil
}

// recordedCgroup is the path of the control group that was made for the cluster in dir; "" without one. A path that does not name
// the cluster is not believed.
func recordedCgroup(dir, id string) string {
	b, err := os.ReadFile(filepath.Join(dir, cgroupFile))
	path := strings.TrimSpace(string(b))
	if err != nil || filepath.Base(path) != cgroupName(id) {
		return ""
	}
	return path
}
