package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// settle waits until every running node itself says that it sees all running ones.
func (k *Keeper) settle(ctx context.Context, emit func(Event)) error {
	if t := k.faultTable(); t.cut() {
		emit(Event{Phase: "not waiting", Text: "for all to see each other: a fault keeps them apart"})
		return nil
	}
	nodes := k.all()
	want, voting := expected(nodes), majority(nodes)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	views := make([]view, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		views[i] = view{n: n, seen: -1}
		if !n.is(Running) {
			continue
		}
		wg.Go(func() {
			v := &views[i]
			v.phase = fmt.Sprintf("wait until it sees %d members", want)
			if v.seen, v.err = k.sees(wait, n, want); v.err == nil {
				v.phase = "wait until the cluster serves"
				v.err = k.holds(wait, n, voting)
			}
			if v.err == nil {
				emit(Event{Node: n.plan.Index, Phase: "members", Members: want, Of: want})
			} else if ctx.Err() == nil {
				cancel() // the others wait for it in vain
			}
		})
	}
	wg.Wait()
	return k.blame(views, want)
}

// settleWith is settle for nodes that were brought up: it fails when one of them has ended meanwhile, which settle alone takes
// for a smaller cluster.
func (k *Keeper) settleWith(ctx context.Context, up []*node, emit func(Event)) error {
	ended := func() error {
		for _, n := range up {
			if !n.is(Running) {
				n.mu.Lock()
				exit := n.exit
				n.mu.Unlock()
				return k.failed(n, "run as a member", fmt.Errorf("%w: %s", errExited, exit))
			}
		}
		return nil
	}
	if err := ended(); err != nil {
		return err
	}
	if err := k.settle(ctx, emit); err != nil {
		return err
	}
	return ended()
}

// view is what one node has made of its wait for the cluster.
type view struct {
	n     *node
	seen  int // members; -1 if it was not asked or did not say
	phase string
	err   error
}

// blame returns the error of the node that is to blame when the cluster did not settle, nil when it did: the one that ended,
// the one that serves nothing, or the one that is farthest from the number of members that it should see.
func (k *Keeper) blame(views []view, want int) error {
	var worst *view
	for i := range views {
		v := &views[i]
		if v.err == nil {
			continue
		}
		if worst == nil || v.rank(want) > worst.rank(want) {
			worst = v
		}
	}
	if worst == nil {
		return nil
	}
	err := worst.err
	var others []string
	for _, v := range views {
		if v.n != worst.n && v.seen >= 0 {
			others = append(others, fmt.Sprintf("%s sees %d", v.n.plan.Name, v.seen))
		}
	}
	const most = 10
	if len(others) > most {
		others = append(others[:most], "…")
	}
	if len(others) > 0 {
		err = fmt.Errorf("%w (%s)", err, strings.Join(others, ", "))
	}
	return k.failed(worst.n, worst.phase, err)
}

// rank orders failures by how much they tell.
func (v *view) rank(want int) int {
	const far = 1 << 30
	switch {
	case errors.Is(v.err, errExited):
		return far + 1
	case errors.Is(v.err, context.Canceled) && !errors.Is(v.err, errGone):
		return -1 // cancelled for another's sake
	case v.seen < 0:
		return far
	}
	return max(v.seen-want, want-v.seen)
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

// sees waits until one node reports want members: by its notifications where it sends them, else by asking. It returns
// how many it saw last, -1 if it never said.
func (k *Keeper) sees(ctx context.Context, n *node, want int) (last int, err error) {
	life, cancel := n.withLife(ctx)
	defer cancel()
	m := n.plan.Members
	last = -1
	if m.Notify {
		err := n.await(life, func() bool {
			if n.run != nil {
				last = n.run.members
			}
			return last == want
		})
		if err != nil {
			return last, fmt.Errorf("it sees %d: %w", last, err)
		}
		return last, nil
	}
	if m.Call == nil {
		return last, nil
	}
	err = probe.Until(life, nil, func(ctx context.Context) error {
		got, err := k.members(ctx, n, *m.Call)
		if err != nil {
			return err
		}
		last = got
		switch {
		case got == want:
			return nil
		case got > len(k.all()):
			return fmt.Errorf("it sees %d, more than there are: it has joined another cluster", got)
		}
		return fmt.Errorf("it sees %d", got)
	})
	return last, err
}

// members asks a node for the number of members that it sees.
func (k *Keeper) members(ctx context.Context, n *node, c plan.Call) (int, error) {
	a, err := k.call(ctx, n, c)
	if err != nil {
		return 0, err
	}
	return a.Number, nil
}
