package keeper

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// settle waits until every running node itself says that it sees all running ones.
func (k *Keeper) settle(ctx context.Context, emit func(Event)) error {
	nodes := k.all()
	want, voting := expected(nodes), majority(nodes)
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		if !n.is(Running) {
			continue
		}
		g.Go(func() error {
			if err := k.sees(gctx, n, want); err != nil {
				return k.failed(n, fmt.Sprintf("wait until it sees %d members", want), err)
			}
			if err := k.holds(gctx, n, voting); err != nil {
				return k.failed(n, "wait until the cluster serves", err)
			}
			emit(Event{Node: n.plan.Index, Phase: "members", Members: want, Of: want})
			return nil
		})
	}
	return g.Wait()
}

// expected is how many members a settled node reports: those that run, or all where the server counts stopped ones too.
func expected(nodes []*node) int {
	count := 0
	for _, n := range nodes {
		if n.plan.Members.IncludesStopped || n.is(Running) {
			count++
		}
	}
	return count
}

// majority tells whether more than half of the nodes run.
func majority(nodes []*node) bool {
	running := 0
	for _, n := range nodes {
		if n.is(Running) {
			running++
		}
	}
	return 2*running > len(nodes)
}

// holds waits until what a node requires of its cluster is so; a minority is not asked.
func (k *Keeper) holds(ctx context.Context, n *node, voting bool) error {
	if !voting {
		return nil
	}
	life, cancel := n.withLife(ctx)
	defer cancel()
	for _, c := range n.plan.Members.Require {
		err := probe.Until(life, nil, func(ctx context.Context) error {
			_, err := k.call(ctx, n, c)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sees waits until one node reports want members: by its notifications where it sends them, else by asking.
func (k *Keeper) sees(ctx context.Context, n *node, want int) error {
	life, cancel := n.withLife(ctx)
	defer cancel()
	m := n.plan.Members
	if m.Notify {
		last := 0
		err := n.await(life, func() bool {
			if n.run != nil {
				last = n.run.members
			}
			return last == want
		})
		if err != nil {
			return fmt.Errorf("it sees %d: %w", last, err)
		}
		return nil
	}
	if m.Call == nil {
		return nil
	}
	return probe.Until(life, nil, func(ctx context.Context) error {
		got, err := k.members(ctx, n, *m.Call)
		if err == nil && got != want {
			err = fmt.Errorf("it sees %d", got)
		}
		return err
	})
}

// members asks a node for the number of members that it sees.
func (k *Keeper) members(ctx context.Context, n *node, c plan.Call) (int, error) {
	a, err := k.call(ctx, n, c)
	if err != nil {
		return 0, err
	}
	return a.Number, nil
}
