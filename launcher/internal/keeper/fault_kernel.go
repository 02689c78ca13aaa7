package keeper

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

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/proc"
)

// Faults in the kernel. All nodes are on the loopback interface, mostly on one address, so packets are told apart by who
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

// groupOf is the group id that a node's processes get, 0 where they keep ours.
func (k *Keeper) groupOf(n *node) int {
	if !k.rec.Groups || n.plan.Index == 0 || k.canGroup() != nil {
		return 0
	}
	return groupBase + n.plan.Index
}

// canGroup says why the kernel can't break the network here.
func (k *Keeper) canGroup() error {
	if err := proc.CanGroup(groupBase + labelStep - 1); err != nil {
		return err
	}
	if _, err := proc.LookPath(nftProgram); err != nil {
		return errors.New("it takes the program nft (package nftables)")
	}
	return nil
}

// cutInKernel makes the kernel treat the traffic between the nodes as links say.
func (k *Keeper) cutInKernel(ctx context.Context, links []plan.Link) error {
	const phase = "set faults"
	refuse := func(why, hint string) error { return &control.Error{Phase: phase, Why: why, Hint: hint} }
	if len(links) == 0 {
		return k.healKernel(ctx, k.id())
	}
	if err := k.canGroup(); err != nil {
		return refuse(fmt.Sprintf("the template %q has no [fault], and the kernel can't break its network here: %v", k.rec.Plan.Template, err),
			"kill, pause and restart work on any server")
	}
	if slices.ContainsFunc(links, func(l plan.Link) bool { return l.Delay.Duration > 0 }) {
		return refuse("the kernel's filter can drop packets, not delay them", "use partition, one-way or drop; pause stands for a node that answers late")
	}
	for _, n := range k.all() {
		if r := n.current(); r != nil && r.group == 0 {
			return refuse(fmt.Sprintf("node %s was started in no group of its own, so its packets can't be told from others'", n.plan.Name),
				"restart it")
		}
	}
	file := filepath.Join(k.dir, faultsFile)
	if err := nodedir.WriteFile(k.dir, faultsFile, []byte(k.rules(links)), 0o600); err != nil {
		return err
	}
	k.cutting.Store(true)
	return k.nft(ctx, "-f", file)
}

// healKernel takes the rules of the cluster with the id out of the kernel. It may be called when there are none.
func (k *Keeper) healKernel(ctx context.Context, id string) error {
	file := filepath.Join(k.dir, faultsFile)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) && !k.cutting.Load() {
		return nil // of a folder that was removed under us, only cutting tells
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

// nft gives orders to the kernel, all or none.
func (k *Keeper) nft(ctx context.Context, orders ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nftDeadline, errors.New("nft does not come to its end"))
	defer cancel()
	out, err := k.spawner.Run(ctx, proc.Spec{Args: append([]string{nftProgram}, orders...), Dir: "/", Env: os.Environ()})
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("nft: exit code %d: %s", out.Code, strings.TrimSpace(string(out.Stderr)))
	}
	if err != nil {
		return &control.Error{Phase: "set faults", Why: err.Error(), Hint: "the rules are in " + filepath.Join(k.dir, faultsFile)}
	}
	return nil
}

// noRules removes a cluster's table, also where there is none.
func noRules(id string) string {
	return fmt.Sprintf("add table inet %[1]s; delete table inet %[1]s\n", tableOf(id))
}

func tableOf(id string) string { return "onemore_" + id }

// rules is the whole of our table for links.
func (k *Keeper) rules(links []plan.Link) string {
	ports := map[int]string{}
	for _, n := range k.all() {
		ports[n.plan.Index] = portSet(n.plan.Listeners)
	}
	var label, cut strings.Builder
	seen := map[[2]int]bool{}
	for _, l := range links {
		for _, pair := range [][2]int{{l.From, l.To}, {l.To, l.From}} {
			if opener, other := pair[0], pair[1]; !seen[pair] {
				seen[pair] = true
				fmt.Fprintf(&label, "\t\tmeta skgid %d meta l4proto { tcp, udp } th dport %s ct mark set %#x\n",
					groupBase+opener, ports[other], labelOf(opener, other))
			}
		}
		what := "drop"
		if share := max(1, int(l.Drop*10000+0.5)); !l.Block && share < 10000 {
			what = fmt.Sprintf("numgen random mod 10000 < %d drop", share)
		}
		fmt.Fprintf(&cut, "\t\tct mark %#x th dport %s %s\n", labelOf(l.From, l.To), ports[l.To], what)
		fmt.Fprintf(&cut, "\t\tct mark %#x th sport %s %s\n", labelOf(l.To, l.From), ports[l.From], what)
	}
	return fmt.Sprintf("%stable inet %s {\n"+
		"\tchain label {\n\t\ttype filter hook output priority 0; policy accept;\n\t\toifname != \"lo\" accept\n%s\t}\n"+
		"\tchain cut {\n\t\ttype filter hook input priority 0; policy accept;\n\t\tiifname != \"lo\" accept\n%s\t}\n}\n",
		noRules(k.id()), tableOf(k.id()), label.String(), cut.String())
}

func labelOf(opener, other int) int { return labelBase + opener*labelStep + other }

// portSet is a node's ports as nftables writes a set.
func portSet(ls []plan.Listener) string {
	var words []string
	for _, l := range ls {
		if s := strconv.Itoa(l.Port); !slices.Contains(words, s) {
			words = append(words, s)
		}
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
