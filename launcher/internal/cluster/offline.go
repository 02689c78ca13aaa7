package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// OfflineStatus is the status of a cluster that has no keeper, or one that does not answer: what the disk and the process table
// tell. It changes nothing. The error wraps fs.ErrNotExist when there is no such cluster, or its folder has no record yet.
func OfflineStatus(dir string) (*control.Status, error) {
	rec, err := ReadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return damagedStatus(dir, err)
	}
	st := describe(rec)
	left, err := node.FindLeft(dir, rec.Plan.ID)
	if err != nil {
		return nil, err
	}
	pid, kept := state.LockHolder(dir)
	runs := control.Lost
	if kept {
		runs = control.Running
	}
	for i := range st.Nodes {
		for _, p := range left {
			if p.Node == st.Nodes[i].Index {
				st.Nodes[i].State, st.Nodes[i].PID = runs, p.PID
				break
			}
		}
	}
	clean := rec.Formed && len(left) == 0 && !keeperLeft(dir)
	if !clean {
		st.State = control.Lost
	}
	switch {
	case kept:
		st.Notes = append(st.Notes, fmt.Sprintf("its keeper (pid %[1]d) does not answer, though it lives: if it stands still, `kill -CONT %[1]d` lets it go on; "+
			"`kill -KILL %[1]d` and `onemore down` end it with its nodes", pid))
	case !clean:
		st.Notes = append(st.Notes, "its keeper has gone without taking it down: `onemore up` starts it again, `onemore down` removes it")
	}
	return st, nil
}

// damagedStatus is OfflineStatus for a cluster whose record is damaged: the mark of its folder says which processes are its own.
func damagedStatus(dir string, why error) (*control.Status, error) {
	id, ok, err := nodedir.Marked(dir)
	if err != nil || !ok {
		return nil, errors.Join(why, err)
	}
	st := &control.Status{Cluster: filepath.Base(dir), ID: id, Dir: dir, State: control.Stopped, Nodes: []control.NodeStatus{}, FaultTable: control.FaultTable{Faults: []control.Fault{}},
		Notes: []string{why.Error(), "`onemore down` removes it, with its data: nothing else can be done with it"}}
	left, err := node.FindLeft(dir, id)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 || keeperLeft(dir) {
		st.State = control.Lost
	}
	for _, p := range left {
		known := slices.ContainsFunc(st.Nodes, func(n control.NodeStatus) bool { return n.Index == p.Node })
		if p.Node > 0 && !known {
			st.Nodes = append(st.Nodes, control.NodeStatus{Index: p.Node, State: control.Lost, PID: p.PID, Listeners: map[string]string{}})
		}
	}
	slices.SortFunc(st.Nodes, func(a, b control.NodeStatus) int { return cmp.Compare(a.Index, b.Index) })
	return st, nil
}

// IsLost reports whether the keeper of the cluster in dir was killed or crashed, and none has taken its place.
func IsLost(dir string) bool {
	_, held := state.LockHolder(dir)
	return !held && keeperLeft(dir)
}

// keeperLeft reports whether a keeper was killed or crashed: one that ends in order removes its file.
func keeperLeft(dir string) bool {
	var id proc.ID
	return state.ReadJSON(filepath.Join(dir, KeeperFile), &id) == nil && !proc.Alive(id)
}
