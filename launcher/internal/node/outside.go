package node

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"onemore/launcher/internal/confedit"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/proc"
)

// holders are the processes that hold each thing of the file system: by the number of the node, the first that was seen.
type holders map[proc.OpenFile]map[int]int

// Outside compares what the running nodes hold of the file system with their folders: files that are open for writing, and bound unix
// sockets, elsewhere. Those that another node, or another program, holds too are Shared.
func (h *Host) Outside(nodes []*Node) ([]control.Finding, error) {
	families := h.Processes.known()
	sockets, err := proc.BoundSockets()
	if err != nil {
		return nil, err
	}
	byIndex, held := map[int]*Node{}, holders{}
	dir, real := h.Processes.dir, realPath(h.Processes.dir)
	for _, n := range nodes {
		if !n.Is(control.Running) {
			continue
		}
		byIndex[n.Plan.Index] = n
		folder := strings.Replace(n.Plan.Folder, dir, real, 1)
		for _, pid := range families[n.Plan.Index] {
			held.add(n.Plan.Index, pid, proc.OpenFiles(pid, sockets, func(path string) bool { return counts(path, folder) }))
		}
	}
	if len(held) == 0 {
		return nil, nil
	}
	strangers, err := h.strangersAt(held, sockets)
	if err != nil {
		return nil, err
	}
	var out []control.Finding
	for _, file := range slices.SortedFunc(maps.Keys(held), func(a, b proc.OpenFile) int { return strings.Compare(a.Path, b.Path) }) {
		for _, f := range held.findings(file, strangers[file]) {
			f.Key = keyOf(byIndex[f.Node], file.Path)
			out = append(out, f)
		}
	}
	return out, nil
}

// counts reports whether a file is one that a node should not hold: it is outside of the folder, and no memory that the runtime of a
// language shares under the number of the process.
func counts(path, folder string) bool {
	rest, inside := strings.CutPrefix(path, folder)
	return !(inside && strings.HasPrefix(rest, "/")) && !strings.Contains(path, "/hsperfdata_")
}

func (h holders) add(node, pid int, files []proc.OpenFile) {
	for _, f := range files {
		if h[f] == nil {
			h[f] = map[int]int{}
		}
		if _, known := h[f][node]; !known {
			h[f][node] = pid
		}
	}
}

// strangersAt finds programs that are not the cluster's among those that hold the files, by looking at every process.
func (h *Host) strangersAt(held holders, sockets map[uint64]string) (map[proc.OpenFile]int, error) {
	table, err := proc.Snapshot()
	if err != nil {
		return nil, err
	}
	wanted := func(path string) bool {
		return held[proc.OpenFile{Path: path}] != nil || held[proc.OpenFile{Path: path, Socket: true}] != nil
	}
	out := map[proc.OpenFile]int{}
	for _, p := range table {
		for _, f := range proc.OpenFiles(p.ID.PID, sockets, wanted) {
			if held[f] != nil && p.ID.PID != h.self.PID && !h.Processes.owns(p.ID.PID) {
				out[f] = p.ID.PID
			}
		}
	}
	return out, nil
}

// findings are those about one file: one for each node that holds it. stranger is another program that does, 0 without one.
func (h holders) findings(file proc.OpenFile, stranger int) (out []control.Finding) {
	nodes := slices.Sorted(maps.Keys(h[file]))
	for i, index := range nodes {
		f := control.Finding{Node: index, Kind: control.Outside, Proto: control.ProtoFile, Address: file.Path, PID: h[file][index]}
		if file.Socket {
			f.Proto = control.ProtoUnix
		}
		switch {
		case len(nodes) > 1:
			f.Kind, f.Other = control.Shared, nodes[0]
			if i == 0 {
				f.Other = nodes[1]
			}
		case stranger != 0:
			f.Kind, f.PID = control.Shared, stranger
		}
		f.Program = proc.Name(f.PID)
		out = append(out, f)
	}
	return out
}

// keyOf finds the key of the node's config files, or the variable of its environment, that has a path, or a folder that it is in; "" if none is
// known.
func keyOf(n *Node, path string) string {
	found, longest := "", 0
	match := func(key, value string) {
		at := filepath.Clean(value)
		if value == path || filepath.IsAbs(value) && len(at) > longest && (at == path || strings.HasPrefix(path, at+"/")) {
			found, longest = key, len(at)
		}
	}
	for _, e := range n.Plan.Edits {
		src, err := nodedir.ReadFile(n.Plan.Dir, e.File)
		if err != nil {
			continue
		}
		entries, err := confedit.List(e.Format, src)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			match(e.File+": "+entry.Key, entry.Value)
		}
	}
	for _, kv := range slices.Concat(n.Plan.StartEnv, n.Plan.Env) {
		name, value, _ := strings.Cut(kv, "=")
		match("environment: "+name, value)
	}
	return found
}
