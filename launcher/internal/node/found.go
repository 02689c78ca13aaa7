package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/nodedir"
	"onemore/launcher/internal/plan"
)

// endFile is in the folder of a node that may found its cluster again: when its last process ended. Without it, it ran until its
// keeper was gone.
const endFile = "ended"

func writeEnd(p plan.Node) error {
	if p.Bootstrap == nil {
		return nil
	}
	err := nodedir.WriteFile(p.Folder, endFile, []byte(time.Now().UTC().Format(time.RFC3339Nano)), 0o600)
	if errors.Is(err, fs.ErrNotExist) { // the node is being removed
		return nil
	}
	return err
}

func removeEnd(p plan.Node) {
	if p.Bootstrap != nil {
		_ = os.Remove(filepath.Join(p.Folder, endFile))
	}
}

// ended is when the node's last process ended; true: it is known.
func ended(p plan.Node) (time.Time, bool) {
	text, err := os.ReadFile(filepath.Join(p.Folder, endFile))
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	return at, err == nil
}

// Founder returns which of the nodes, none of which runs, brings their cluster back: the one for which the template's call holds,
// or the one that ended last. It is nil where the template knows none, or the call holds for none.
func Founder(ctx context.Context, nodes []*Node) (*Node, error) {
	var may []*Node
	for _, n := range nodes {
		b := n.Plan.Bootstrap
		if b == nil || !n.Is(control.Stopped, control.Exited) {
			continue
		}
		if b.Call != nil {
			_, err := n.Call(ctx, *b.Call)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil { // it says no
				continue
			}
		}
		may = append(may, n)
	}
	if len(may) == 0 {
		return nil, nil
	}
	return slices.MaxFunc(may, func(a, b *Node) int {
		at, known := ended(a.Plan)
		bt, other := ended(b.Plan)
		switch {
		case known && other:
			return at.Compare(bt)
		case known:
			return -1
		case other:
			return 1
		}
		return 0
	}), nil
}

// AwaitFounder waits until the node serves that founds the cluster of which others are to become members.
func AwaitFounder(ctx context.Context, n *Node) error {
	return n.await(ctx, func() bool { return n.state == control.Running })
}
