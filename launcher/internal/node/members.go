package node

import (
	"context"
	"fmt"
	"strconv"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// Members is what a node says about the members of its cluster.
type Members struct {
	Count int      // -1 if it was not asked or did not say
	Names []string // sorted; nil where the template can't distinguish members
}

// Expected is how many members a node of a settled cluster reports: from Least to Most. They differ while nodes are paused, which
// the others may have given up or not. Nodes is how many there are in all.
type Expected struct{ Least, Most, Nodes int }

func (e Expected) has(count int) bool { return e.Least <= count && count <= e.Most }

func (e Expected) String() string {
	if e.Least == e.Most {
		return strconv.Itoa(e.Least)
	}
	return fmt.Sprintf("%d to %d", e.Least, e.Most)
}

// AwaitMembers waits until the node reports as many members as it should: by its notifications where it sends them, else by asking.
// What it reported last is returned in any case.
func (n *Node) AwaitMembers(ctx context.Context, want Expected) (Members, error) {
	seen := Members{Count: -1}
	life, cancel := n.withLife(ctx)
	defer cancel()
	m := n.Plan.Members
	if m.Notify {
		err := n.await(life, func() bool {
			if n.run != nil {
				seen.Count = n.run.members
			}
			return want.has(seen.Count)
		})
		if err != nil {
			err = fmt.Errorf("it sees %d: %w", seen.Count, err)
		}
		return seen, err
	}
	if m.Call == nil {
		return seen, nil
	}
	err := probe.Until(life, nil, func(ctx context.Context) error {
		a, err := n.Call(ctx, *m.Call)
		if err != nil {
			return err
		}
		seen = Members{Count: a.Number, Names: a.Texts}
		switch {
		case want.has(seen.Count):
			return nil
		case seen.Count > want.Nodes:
			return fmt.Errorf("it sees %d, more than there are: it has joined another cluster", seen.Count)
		}
		return fmt.Errorf("it sees %d", seen.Count)
	})
	return seen, err
}

// AwaitRequired waits until those calls hold that the node requires of its cluster and that are asked for.
func (n *Node) AwaitRequired(ctx context.Context, asked func(plan.Call) bool) error {
	life, cancel := n.withLife(ctx)
	defer cancel()
	for _, c := range n.Plan.Members.Require {
		if !asked(c) {
			continue
		}
		if err := awaitCall(life, n, c); err != nil {
			return err
		}
	}
	return nil
}
