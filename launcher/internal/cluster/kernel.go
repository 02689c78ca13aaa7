package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// Faults in the kernel: all nodes are on the loopback interface, mostly on one address, so packets are distinguished by who
// sends them: every node's processes have a group id of their own from their start, which nftables sees on the way out. There,
// each connection between two nodes is labelled with who opened it; on the way in, what a fault hits is dropped. Labels are
// set before anything is dropped, since a connection may have been there before the fault: it is known from the first
// packet of the side that opened it.

const (
	// groupBase plus its number is the group id of a node. Other clusters may use the same ones: rules name ports as well.
	groupBase = 0x4f4d0000
	// labelBase is the label of connections: plus the number of the node that opened one, times labelStep, plus the other's.
	labelBase = 0x4f000000
	labelStep = 1 << 12
	// faultsFile holds the rules that are in the kernel. While it is there, they may be.
	faultsFile  = "faults.nft"
	nftProgram  = "nft"
	nftDeadline = 10 * time.Second
)

// Kernel makes faults by rules of the kernel's packet filter. Its methods are for the holder of the operation lock.
type Kernel struct {
	dir     string // where the rules are written
	run     func(context.Context, proc.Spec) (proc.Output, error)
	cutting atomic.Bool // there are rules of the cluster
}

// CanCut says why the kernel can't make faults here, nil if it can.
func (k *Kernel) CanCut() error {
	if err := proc.CanGroup(groupBase + labelStep - 1); err != nil {
		return err
	}
	if _, err := proc.LookPath(nftProgram); err != nil {
		return errors.New("it takes the program nft (package nftables)")
	}
	return nil
}

// group is the group id that a node's processes get, so that the kernel can recognize its packets; 0 where they keep the keeper's.
func (k *Kernel) group(rec *Record, n *node.Node) int {
	if !rec.Groups || n.Plan.Index <= 0 || k.CanCut() != nil {
		return 0
	}
	return groupBase + n.Plan.Index
}

// Cut makes the kernel treat the traffic between the nodes as links say; none: as if there never had been faults.
func (k *Kernel) Cut(ctx context.Context, rec *Record, nodes []*node.Node, links []plan.Link) error {
	if len(links) == 0 {
		return k.Heal(ctx, rec.Plan.ID)
	}
	if err := k.refuse(rec, nodes, links); err != nil {
		return err
	}
	if err := nodedir.WriteFile(k.dir, faultsFile, []byte(rules(rec.Plan.ID, nodes, links)), 0o600); err != nil {
		return err
	}
	k.cutting.Store(true)
	return k.nft(ctx, "-f", filepath.Join(k.dir, faultsFile))
}

// refuse says why the kernel can't make these faults, nil if it can.
func (k *Kernel) refuse(rec *Record, nodes []*node.Node, links []plan.Link) error {
	refuse := func(why, hint string) error { return &control.Error{Phase: "set faults", Why: why, Hint: hint} }
	if err := k.CanCut(); err != nil {
		return refuse(fmt.Sprintf("the template %q has no [fault], and the kernel can't break its network here: %v", rec.Plan.Template, err),
			"kill, pause and restart work on any server")
	}
	if slices.ContainsFunc(links, func(l plan.Link) bool { return l.Delay.Duration > 0 }) {
		return refuse("the kernel's filter can drop packets, not delay them", "use partition, one-way or drop; pause stands for a node that answers late")
	}
	for _, n := range nodes {
		if n.HasProcess() && !n.HasGroup() {
			return refuse(fmt.Sprintf("node %s was started in no group of its own, so its packets can't be told from others'", n.Plan.Name),
				"restart it")
		}
	}
	return nil
}

// Heal takes the rules of the cluster with the id out of the kernel. It may be called when there are none.
func (k *Kernel) Heal(ctx context.Context, id string) error {
	file := filepath.Join(k.dir, faultsFile)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) && !k.cutting.Load() {
		return nil // where the folder was removed by somebody else, only cutting reports it
	}
	if err := k.nft(ctx, noRules(id)); err != nil {
		return err
	}
	k.cutting.Store(false)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// nft runs commands of the packet filter, all or none.
func (k *Kernel) nft(ctx context.Context, commands ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nftDeadline, errors.New("nft does not come to its end"))
	defer cancel()
	out, err := k.run(ctx, proc.Spec{Args: append([]string{nftProgram}, commands...), Dir: "/", Env: os.Environ()})
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("nft: exit code %d: %s", out.Code, strings.TrimSpace(string(out.Stderr)))
	}
	if err != nil {
		return &control.Error{Phase: "set faults", Why: err.Error(), Hint: "the rules are in " + filepath.Join(k.dir, faultsFile)}
	}
	return nil
}
