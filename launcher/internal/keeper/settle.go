package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/probe"
)

// settle waits until every running node itself says that it sees all running ones: as many, and, where it says whom, the
// same as the others. Two that see two each need not see each other.
func (k *Keeper) settle(ctx context.Context, emit func(control.Event)) error {
	if t := k.faultTable(); t.Cut() {
		emit(control.Event{Phase: "not waiting", Text: "for all to see each other: a fault keeps them apart"})
		return nil
	}
	nodes := k.all()
	want := k.expected(nodes)
	var odd *view
	err := probe.Until(ctx, nil, func(ctx context.Context) error {
		views := k.views(ctx, nodes, want, emit)
		if err := k.blame(views, want); err != nil {
			if odd != nil && ctx.Err() != nil {
				return odd.err // the time was over while they were asked once more
			}
			return probe.Permanent(err)
		}
		emit = func(control.Event) {} // each is told once
		if odd = atOdds(views); odd == nil {
			return nil
		}
		return odd.err
	})
	if err != nil && odd != nil {
		return k.failed(odd.n, odd.phase, err)
	}
	return err
}

// views waits until every running node sees as many as it should and serves, or one of them never will.
func (k *Keeper) views(ctx context.Context, nodes []*node, want int, emit func(control.Event)) []view {
	asked := required(nodes)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	views := make([]view, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		views[i] = view{n: n, seen: -1}
		if !n.is(control.Running) {
			continue
		}
		wg.Go(func() {
			v := &views[i]
			v.phase = fmt.Sprintf("wait until it sees %d members", want)
			if v.err = k.sees(wait, v, want); v.err == nil {
				v.phase = "wait until the cluster serves"
				v.err = k.holds(wait, n, asked)
			}
			if v.err == nil {
				emit(control.Event{Node: n.plan.Index, Phase: "members", Members: want, Of: want})
			} else if ctx.Err() == nil {
				cancel() // the others wait for it in vain
			}
		})
	}
	wg.Wait()
	return views
}

// atOdds returns a view of other members than the first one's, with its error; nil if all that say whom they see, agree.
func atOdds(views []view) *view {
	var first *view
	for i := range views {
		v := &views[i]
		switch {
		case v.whom == nil:
		case first == nil:
			first = v
		case !slices.Equal(v.whom, first.whom):
			v.phase = fmt.Sprintf("wait until it sees the %d members that the others see", v.seen)
			v.err = fmt.Errorf("it sees %s, and %s sees %s",
				strings.Join(v.whom, ", "), first.n.plan.Name, strings.Join(first.whom, ", "))
			return v
		}
	}
	return nil
}

// settleWith is settle for nodes that were brought up: it fails when one of them has ended meanwhile, which settle alone takes
// for a smaller cluster.
func (k *Keeper) settleWith(ctx context.Context, up []*node, emit func(control.Event)) error {
	ended := func() error {
		for _, n := range up {
			if !n.is(control.Running) {
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
	seen  int      // members; -1 if it was not asked or did not say
	whom  []string // them, sorted; nil where the template does not tell one from another
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
	case errors.Is(v.err, context.Canceled) && !errors.Is(v.err, control.ErrInterrupted):
		return -1 // cancelled for another's sake
	case v.seen < 0:
		return far
	}
	return max(v.seen-want, want-v.seen)
}

// expected is how many members a settled node reports: those that run, and the others too where the server counts them.
func (k *Keeper) expected(nodes []*node) int {
	count := 0
	for _, n := range nodes {
		if n.is(control.Running) || n.plan.Members.IncludesStopped && k.rec.joined(n.plan.Index) {
			count++
		}
	}
	return count
}

// required are the calls that must hold on each running node: none while half of the nodes or more are stopped, and not all
// while one is.
func required(nodes []*node) func(plan.Call) bool {
	running := 0
	for _, n := range nodes {
		if n.is(control.Running) {
			running++
		}
	}
	return func(c plan.Call) bool { return running == len(nodes) || 2*running > len(nodes) && !c.Full }
}

// holds waits until what a node requires of its cluster is so.
func (k *Keeper) holds(ctx context.Context, n *node, asked func(plan.Call) bool) error {
	life, cancel := n.withLife(ctx)
	defer cancel()
	for _, c := range n.plan.Members.Require {
		if !asked(c) {
			continue
		}
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

// sees waits until one node reports want members: by its notifications where it sends them, else by asking. What it saw
// last goes into the view.
func (k *Keeper) sees(ctx context.Context, v *view, want int) error {
	n := v.n
	life, cancel := n.withLife(ctx)
	defer cancel()
	m := n.plan.Members
	if m.Notify {
		err := n.await(life, func() bool {
			if n.run != nil {
				v.seen = n.run.members
			}
			return v.seen == want
		})
		if err != nil {
			return fmt.Errorf("it sees %d: %w", v.seen, err)
		}
		return nil
	}
	if m.Call == nil {
		return nil
	}
	return probe.Until(life, nil, func(ctx context.Context) error {
		a, err := k.call(ctx, n, *m.Call)
		if err != nil {
			return err
		}
		v.seen, v.whom = a.Number, a.Texts
		switch {
		case v.seen == want:
			return nil
		case v.seen > len(k.all()):
			return fmt.Errorf("it sees %d, more than there are: it has joined another cluster", v.seen)
		}
		return fmt.Errorf("it sees %d", v.seen)
	})
}
