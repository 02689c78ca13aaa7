package operation

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
)

// Do carries out a request. ctx ends when its client goes, when its time is over, and when it is preempted.
func (o *Operation) Do(ctx context.Context, req control.Request) error {
	ctx, cancel := o.patient(ctx, req)
	defer cancel()
	if req.Op == control.OpDown {
		return o.down(ctx, req)
	}
	if err := putBackInterrupted(o.Cluster); err != nil {
		return err
	}
	switch req.Op {
	case control.OpUp:
		return o.up(ctx, req)
	case control.OpRestore:
		return o.restore(ctx, req)
	}
	nodes, err := o.Cluster.Pick(req.Nodes)
	if err != nil {
		return err
	}
	return o.blamePaused(o.doWith(ctx, req, nodes))
}

// blamePaused adds to the error of an operation which nodes are paused, as others may have waited for them. Errors about a paused
// node itself say so already.
func (o *Operation) blamePaused(err error) error {
	if err == nil {
		return nil
	}
	var paused []string
	for _, n := range o.Cluster.All() {
		if n.Is(control.Paused) {
			paused = append(paused, strconv.Itoa(n.Plan.Index))
		}
	}
	e := control.AsError(err)
	if len(paused) == 0 || e.Stale || strings.Contains(e.Hint, "resume") {
		return err
	}
	list := strings.Join(paused, " ")
	e.Hint = fmt.Sprintf("node %s paused, and others may wait for it: `onemore resume %s` lets it go on", list+" is", list)
	return e
}

// doWith carries out a request to a cluster that is there.
func (o *Operation) doWith(ctx context.Context, req control.Request, nodes []*node.Node) error {
	switch req.Op {
	case control.OpRemove:
		return o.remove(ctx, req, nodes)
	case control.OpStop:
		return o.stop(ctx, nodes)
	case control.OpStart:
		if err := checkNext(o.Cluster.Record(), req); err != nil {
			return err
		}
		return o.start(ctx, nodes, req.Next)
	case control.OpRestart:
		return o.restart(ctx, req, nodes)
	case control.OpKill:
		return o.kill(ctx, nodes)
	case control.OpPause:
		return o.pause(nodes)
	case control.OpResume:
		return o.resume(ctx, nodes)
	case control.OpRefresh:
		return refreshNeedy(ctx, o, req)
	case control.OpSettle:
		return o.Cluster.Settle(ctx, o.Emit)
	case control.OpUpgrade:
		return o.upgrade(ctx, req, nodes)
	case control.OpFault:
		return o.fault(ctx, req)
	case control.OpSnapshot:
		return o.snapshot(ctx, req)
	}
	return fmt.Errorf("this keeper does not know %q: it is of another onemore version; `onemore down` and `up` again", req.Op)
}
