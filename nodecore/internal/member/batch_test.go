package member

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"onemore/nodecore/internal/faults"
)

// seeded starts nodes that find each other by their seeds, all at once.
func seeded(t *testing.T, n int, change func(i int, c *Config)) []*testNode {
	t.Helper()
	var nodes []*testNode
	var seeds []Target
	for i := range n {
		nodes = append(nodes, reserve(t, fmt.Sprintf("n%02d", i+1)))
		seeds = append(seeds, nodes[i].target())
	}
	for i, node := range nodes {
		node.cfg.Seeds = seeds
		if change != nil {
			change(i, &node.cfg)
		}
		node.start(t)
	}
	return nodes
}

// formed waits until every node sees all, and is done with joining: until then it lets nobody in.
func formed(t *testing.T, nodes []*testNode) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, func() error {
			if got := len(n.View().Running); got != len(nodes) {
				return fmt.Errorf("%s sees %d of %d nodes", n.cfg.Name, got, len(nodes))
			}
			n.membership.mu.Lock()
			defer n.membership.mu.Unlock()
			if n.busy {
				return fmt.Errorf("%s is still joining", n.cfg.Name)
			}
			return nil
		})
	}
}

// introduced waits until the gossip of every node knows all.
func introduced(t *testing.T, nodes []*testNode) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, func() error {
			gs, _ := n.current()
			if unmet := gs.unmet(); len(unmet) > 0 {
				return fmt.Errorf("the gossip of %s does not know %s", n.cfg.Name, short(unmet))
			}
			return nil
		})
	}
}

// What a node does until the cluster has formed does not grow with the size: a stream to a seed (and perhaps one to a neighbour, if it
// takes long), and next to no packets.
func TestFormingCostsOneStream(t *testing.T) {
	for _, size := range []int{3, 24} {
		nodes := seeded(t, size, nil)
		formed(t, nodes)
		var sum Traffic
		for _, n := range nodes {
			tr := n.Traffic()
			sum.PacketsSent += tr.PacketsSent
			sum.StreamsDialed += tr.StreamsDialed
		}
		if limit := uint64(2 * size); sum.StreamsDialed > limit || sum.PacketsSent > limit {
			t.Errorf("%d nodes: %+v in all", size, sum)
		}
		introduced(t, nodes)
		formed(t, nodes)
	}
}

// A node that hangs as soon as it is in, before any gossip knows it, is noticed.
func TestHangsBeforeItIsIntroduced(t *testing.T) {
	nodes := seeded(t, 3, nil)
	formed(t, nodes)
	last := nodes[2]
	for _, n := range nodes[:2] {
		if err := n.faults.Set(last.cfg.Name, faults.Both, faults.Rule{Block: true}); err != nil {
			t.Fatal(err)
		}
	}
	allSee(t, nodes[:2], "n01 n02", "n03")
	for _, n := range nodes[:2] {
		n.faults.Clear("")
	}
	formed(t, nodes)
	introduced(t, nodes)
}

// Nodes of this version and of the one before it form one cluster, whoever lets whom in.
func TestVersionBefore(t *testing.T) {
	for _, old := range []int{0, 1} {
		nodes := seeded(t, 4, func(i int, c *Config) {
			if i%2 == old {
				c.version = protocolVersion - 1
			}
		})
		formed(t, nodes)
		introduced(t, nodes)
		late := reserve(t, "n99")
		late.cfg.version = protocolVersion - 1 + old
		late.start(t).join(t, nodes[1])
		nodes = append(nodes, late)
		formed(t, nodes)
		for _, n := range nodes {
			if err := n.Close(); err != nil && !errors.Is(err, errLeftCluster) {
				t.Error(err)
			}
		}
	}
}

// byAddress reserves nodes, sorted by their addresses, that know nothing but where all of them may be.
func byAddress(t *testing.T, n int) []*testNode {
	t.Helper()
	var nodes []*testNode
	var seeds []Target
	for i := range n {
		nodes = append(nodes, reserve(t, fmt.Sprintf("n%02d", i+1)))
		seeds = append(seeds, Target{Addr: nodes[i].target().Addr})
	}
	slices.SortFunc(nodes, func(a, b *testNode) int { return a.addr.Compare(b.addr) })
	for _, n := range nodes {
		n.cfg.Seeds = seeds
	}
	return nodes
}

// Nodes that know nothing but the addresses where others may be form one cluster, founded by the lowest that answers; a later one finds it,
// whichever it is.
func TestNamelessSeeds(t *testing.T) {
	for late := range 4 {
		t.Run(fmt.Sprint("late ", late), func(t *testing.T) {
			t.Parallel()
			nodes := byAddress(t, 4)
			early := without(nodes, late)
			for _, n := range early {
				n.start(t)
			}
			formed(t, early)
			nodes[late].start(t)
			formed(t, nodes)
		})
	}
}

// A node whose seeds are silent, as behind a cut network, founds no cluster beside theirs; where no process listens at them, it does.
func TestNamelessSeedsThatDoNotAnswer(t *testing.T) {
	nodes := byAddress(t, 3)
	var log logBuffer
	nodes[0].cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	nodes[0].start(t)
	eventually(t, func() error {
		if !log.has("2 of the 3 do not answer") {
			return errors.New("no warning of the seeds that do not answer")
		}
		return nil
	})
	if v := nodes[0].View(); v.Cluster != "" {
		t.Errorf("in a cluster alone: %+v", v)
	}
	for _, n := range nodes[1:] {
		n.cfg.TCP.Close()
	}
	eventually(t, func() error {
		if nodes[0].View().Cluster == "" {
			return errors.New("founds no cluster though nobody listens at the other seeds")
		}
		return nil
	})
}

func TestParseSeed(t *testing.T) {
	tests := map[string]Target{
		"a@127.0.0.1:1": {"a@127.0.0.1", "127.0.0.1:1"}, "@10.0.0.1": {"", "10.0.0.1:7946"}, "@nodes.example.com:5": {"", "nodes.example.com:5"},
		"@[::1]:5": {"", "[::1]:5"}, "@": {}, "@host": {}, "@10.0.0.1:x": {}, "a": {},
	}
	for s, want := range tests {
		got, err := ParseSeed(s)
		if got != want || (err != nil) != (want == Target{}) {
			t.Errorf("%q: got %+v, %v", s, got, err)
		}
	}
}
