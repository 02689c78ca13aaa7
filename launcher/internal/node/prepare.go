package node

import (
	"context"
	"sync"

	"onemore/launcher/internal/control"
)

// Prepare makes the calls before the first start of a node that has just been made; what they print is in its log. Edits are made
// again then: a call may have made the file. It is part of making a node, so a node for which it has failed is to be removed.
func Prepare(ctx context.Context, n *Node, emit func(control.Event)) error {
	if len(n.Plan.Prepare) == 0 {
		return nil
	}
	emit(control.Event{Node: n.Plan.Index, Phase: "preparing"})
	start := logStartNow(n.Plan)
	n.update(func() { n.start, n.prepare = start, true })
	defer n.update(func() { n.prepare = false })
	_, err := handOver(n.Plan)
	if err == nil {
		err = makePrepareCalls(ctx, n)
	}
	if err != nil {
		return n.Failed("prepare", err)
	}
	if err := configure(n.Plan, n.Plan.Files); err != nil {
		return n.Failed("edit", err)
	}
	emit(control.Event{Node: n.Plan.Index, Phase: "prepared"})
	return nil
}

// makePrepareCalls makes the calls. Everything that they printed is in the log when it returns.
func makePrepareCalls(ctx context.Context, n *Node) error {
	log, err := openLog(n.Plan.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	var copying sync.WaitGroup
	defer copying.Wait()
	out, err := log.pipe(&copying)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, c := range n.Plan.Prepare {
		err := retry(ctx, c, func(ctx context.Context) error {
			_, err := callLogged(ctx, n, c, out)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
