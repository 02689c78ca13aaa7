package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/nearest"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
	"onemore/launcher/internal/state"
)

// Cluster is one cluster that exists on this host. Its methods talk to the cluster's keeper, which is started again when
// it has died. They may be called from several goroutines and processes: changes wait for each other.
type Cluster struct{ keeperLink }

// Open returns the named cluster; the error wraps ErrNoCluster when there is none. It starts and changes nothing.
func Open(name string, o Options) (*Cluster, error) {
	c, err := locate(name, o)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, noCluster(name)
	}
	return c, nil
}

// ValidName says why a text can't be a cluster's name, or returns nil.
func ValidName(name string) error { return state.ValidName(name) }

// UniqueName is a cluster name that no other cluster has.
func UniqueName(prefix string) string { return fmt.Sprintf("%s-%d-%s", prefix, os.Getpid(), random(3)) }

// locate is the cluster of that name, which may or may not exist.
func locate(name string, o Options) (*Cluster, error) {
	if err := state.ValidName(name); err != nil {
		return nil, &InputError{Err: err, Hint: "choose another name with -c"}
	}
	home, err := homeDir()
	if err != nil {
		return nil, err
	}
	if err := proc.CheckHost(); err != nil {
		return nil, err // nothing that would be started could be known again
	}
	return newCluster(folder{name: name, dir: filepath.Join(home, name)}, o), nil
}

func newCluster(f folder, o Options) *Cluster {
	return &Cluster{keeperLink{folder: f, progress: o.Progress, timeout: o.Timeout}}
}

// homeDir is ONEMORE_HOME, the folder of all clusters.
func homeDir() (string, error) {
	home, err := state.Home()
	if err != nil {
		return "", &InputError{Err: err, Hint: homeHint}
	}
	return home, nil
}

// folder is where a cluster is on disk.
type folder struct{ name, dir string }

// Name is the cluster's name.
func (f folder) Name() string { return f.name }

// Dir is the cluster's folder under ONEMORE_HOME.
func (f folder) Dir() string { return f.dir }

// Plan returns the plan of the cluster as it was made, or last changed.
func (f folder) Plan() (*Plan, error) {
	rec, err := f.record()
	if err != nil {
		return nil, err
	}
	return rec.Plan, nil
}

// Find returns the numbers, each once, of the nodes that the words name. A word is a number, a node name, the part of it before the
// @, a range of numbers (2-4), a list of those (1,3), or "all".
func (f folder) Find(words ...string) ([]int, error) {
	p, err := f.Plan()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, w := range words {
		found, err := findNodes(p, w)
		if err != nil {
			return nil, err
		}
		for _, index := range found {
			if !slices.Contains(out, index) {
				out = append(out, index)
			}
		}
	}
	return out, nil
}

// findNodes are the numbers of the nodes that one word names.
func findNodes(p *Plan, word string) ([]int, error) {
	i := slices.IndexFunc(p.Nodes, func(n plan.Node) bool { return slices.Contains(calledNode(n), word) })
	switch {
	case i >= 0:
		return []int{p.Nodes[i].Index}, nil
	case word == "all":
		return nodesBetween(p, 1, math.MaxInt), nil
	}
	if parts := strings.Split(word, ","); len(parts) > 1 {
		var out []int
		for _, part := range parts {
			found, err := findNodes(p, part)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
		return out, nil
	}
	low, high, ok := strings.Cut(word, "-")
	first, err := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if !ok || err != nil || err2 != nil {
		return nil, noNode(p, word)
	}
	for _, end := range []int{first, last} {
		if len(nodesBetween(p, end, end)) == 0 {
			return nil, noNode(p, strconv.Itoa(end))
		}
	}
	if first > last {
		return nil, &InputError{Err: fmt.Errorf("the range %q ends before it begins", word), Hint: fmt.Sprintf("did you mean %d-%d?", last, first)}
	}
	return nodesBetween(p, first, last), nil
}

// calledNode is what a node may be called: its number, its name, and the part of it before the @.
func calledNode(n plan.Node) []string {
	short, _, _ := strings.Cut(n.Name, "@")
	return []string{strconv.Itoa(n.Index), n.Name, short}
}

func nodesBetween(p *Plan, first, last int) []int {
	var out []int
	for _, n := range p.Nodes {
		if n.Index >= first && n.Index <= last {
			out = append(out, n.Index)
		}
	}
	return out
}

// noNode is the error of a word that names no node, with the nearest name or with all.
func noNode(p *Plan, word string) error {
	var known []string
	for _, n := range p.Nodes {
		known = append(known, calledNode(n)[1:]...)
	}
	hint := nearest.Hint(word, known, strconv.Quote)
	if hint == "" {
		hint = "its nodes: " + nodeNames(p)
	}
	return &InputError{Err: fmt.Errorf("cluster %q has no node %q", p.Cluster, word), Hint: hint}
}

func nodeNames(p *Plan) string {
	var out []string
	for _, n := range p.Nodes {
		out = append(out, fmt.Sprintf("%d (%s)", n.Index, n.Name))
	}
	return strings.Join(out, ", ")
}

// record reads the cluster's record. A damaged one is a *Failure; without one the error wraps ErrNoCluster.
func (f folder) record() (*cluster.Record, error) {
	rec, err := cluster.ReadRecord(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noCluster(f.name)
	}
	if err != nil {
		return nil, &Failure{Phase: fmt.Sprintf("look at cluster %q", f.name), Why: err.Error(),
			Hint: "`onemore down` ends and removes it, with its data; what you want to keep of " + f.dir + ", copy first"}
	}
	return rec, nil
}

// keeperID is the process that was last the cluster's keeper.
func (f folder) keeperID() (proc.ID, bool) {
	var id proc.ID
	err := state.ReadJSON(filepath.Join(f.dir, cluster.KeeperFile), &id)
	return id, err == nil
}
