package operation

import (
	"fmt"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// phaseIdle is the phase of an operation that finds everything as it should become.
const phaseIdle = "nothing to do"

// nothingToDo is the event that there is nothing to do for the nodes, as none of them is as the condition says.
func nothingToDo(nodes []*node.Node, condition string) control.Event {
	if len(nodes) == 1 {
		return control.Event{Phase: phaseIdle, Text: fmt.Sprintf("as node %d is %s", nodes[0].Plan.Index, nodes[0].State())}
	}
	return control.Event{Phase: phaseIdle, Text: fmt.Sprintf("as none of the %d nodes %s", len(nodes), condition)}
}

// checkFolders refuses to stop or start nodes one of whose folders has been deleted: it could not be started again.
func checkFolders(nodes []*node.Node, phase string) error {
	for _, n := range nodes {
		if gone := n.Deleted(phase); gone != nil {
			return gone
		}
	}
	return nil
}

// checkRunning refuses to work with nodes that have no process. Of all of the cluster's nodes, one that has is enough.
func checkRunning(c *cluster.Cluster, nodes []*node.Node, phase string) error {
	var off []*node.Node
	for _, n := range nodes {
		if !n.HasProcess() {
			off = append(off, n)
		}
	}
	if len(off) == 0 || len(off) < len(nodes) && len(nodes) == len(c.All()) {
		return nil
	}
	n := off[0]
	e := &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: phase, Why: fmt.Sprintf("it does not run, it is %s", n.State()),
		Hint: fmt.Sprintf("`onemore start %d` starts it", n.Plan.Index)}
	if n.Is(control.Absent) {
		e.Hint = "`onemore up` makes it"
	}
	return e
}

// pausedError is the refusal to work with a node that is paused.
func pausedError(n *node.Node, phase string) error {
	return &control.Error{Node: n.Plan.Index, Name: n.Plan.Name, Phase: phase, Why: "it is paused", Hint: fmt.Sprintf("`onemore resume %d` lets it go on", n.Plan.Index)}
}

// checkRevision refuses a request whose plan was made from another state of the cluster than rec (nil: no cluster), or from another
// cluster of its name: two `up` of the same moment. A restore brings a plan of its own.
func checkRevision(rec *cluster.Record, req control.Request) error {
	have, same := 0, true
	if rec != nil {
		have, same = rec.Revision, req.Op == control.OpRestore || req.Plan == nil || req.Plan.ID == rec.Plan.ID
	}
	if req.Revision != have || !same {
		return StaleError()
	}
	return nil
}

// checkNext is checkRevision for a request that has no plan but Next, or not even that.
func checkNext(rec *cluster.Record, req control.Request) error {
	if req.Next == nil {
		return nil
	}
	req.Plan = req.Next
	return checkRevision(rec, req)
}

// StaleError is the refusal of a plan that was made from another state of the cluster.
func StaleError() error {
	return &control.Error{Why: "the cluster was changed by somebody else meanwhile", Stale: true}
}

// silent takes events that nobody is to hear of.
func silent(control.Event) {}
