package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// report is what one node has said while it was waited for the cluster to settle.
type report struct {
	n       *node.Node
	members node.Members
	phase   string // what it was waited for last
	err     error  // why that did not come about
}

// awaitReports waits until every running node sees as many as it should and serves, or one of them never will.
func awaitReports(ctx context.Context, rec *Record, nodes []*node.Node, want node.Expected, emit func(control.Event)) []report {
	asked := required(rec, nodes)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	reports := make([]report, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		reports[i] = report{n: n, members: node.Members{Count: -1}}
		if !n.Is(control.Running) {
			continue
		}
		wg.Go(func() {
			r := &reports[i]
			r.phase = fmt.Sprintf("wait until it sees %s members", want)
			if r.members, r.err = n.AwaitMembers(wait, want); r.err == nil {
				r.phase = "wait until the cluster serves"
				r.err = n.AwaitRequired(wait, asked)
			}
			if r.err == nil {
				emit(settled(n, r.members, want.Most))
			} else if ctx.Err() == nil {
				cancel() // the others wait for it in vain
			}
		})
	}
	wg.Wait()
	return reports
}

// settled is the event that a node sees all members, or, where its template has no way to ask it, that it serves.
func settled(n *node.Node, said node.Members, want int) control.Event {
	if said.Count < 0 {
		return control.Event{Node: n.Plan.Index, Phase: "serves"}
	}
	return control.Event{Node: n.Plan.Index, Phase: "members", Members: said.Count, Of: want}
}

// disagreement returns a report of other members than the first one's, with its error; nil if all that say whom they see, agree.
func disagreement(reports []report) *report {
	var first *report
	for i := range reports {
		r := &reports[i]
		switch {
		case r.members.Names == nil:
		case first == nil:
			first = r
		case !slices.Equal(r.members.Names, first.members.Names):
			r.phase = fmt.Sprintf("wait until it sees the %d members that the others see", r.members.Count)
			r.err = fmt.Errorf("it sees %s, and %s sees %s",
				strings.Join(r.members.Names, ", "), first.n.Plan.Name, strings.Join(first.members.Names, ", "))
			return r
		}
	}
	return nil
}

// blame returns the error of the node that is to blame when the cluster did not settle, nil when it did: the one that ended,
// the one that serves nothing, or the one that is farthest from the number of members that it should see.
func blame(reports []report, want node.Expected) error {
	var worst *report
	for i := range reports {
		r := &reports[i]
		if r.err != nil && (worst == nil || r.rank(want) > worst.rank(want)) {
			worst = r
		}
	}
	if worst == nil {
		return nil
	}
	err := worst.err
	var others []string
	for _, r := range reports {
		if r.n != worst.n && r.members.Count >= 0 {
			others = append(others, fmt.Sprintf("%s sees %d", r.n.Plan.Name, r.members.Count))
		}
	}
	const most = 10
	if len(others) > most {
		others = append(others[:most], "…")
	}
	if len(others) > 0 {
		err = fmt.Errorf("%w (%s)", err, strings.Join(others, ", "))
	}
	return worst.n.Failed(worst.phase, err)
}

// rank orders failures by how much they explain.
func (r *report) rank(want node.Expected) int {
	const far = 1 << 30
	switch {
	case errors.Is(r.err, node.ErrExited):
		return far + 1
	case errors.Is(r.err, context.Canceled) && !errors.Is(r.err, control.ErrInterrupted):
		return -1 // cancelled since another failed
	case r.members.Count < 0:
		return far
	}
	return max(r.members.Count-want.Most, want.Least-r.members.Count)
}

// required are the calls that must hold on each running node: none while half of the members or more are stopped, and not all
// while one is. A node that is yet to be made is no member.
func required(rec *Record, nodes []*node.Node) func(plan.Call) bool {
	running, members := 0, 0
	for _, n := range nodes {
		if n.Is(control.Running) {
			running++
		}
		if !n.Is(control.Absent) || rec.HasJoined(n.Plan.Index) {
			members++
		}
	}
	return func(c plan.Call) bool { return running == members || 2*running > members && !c.Full }
}
