package operation

import (
	"context"

	"onemore/launcher/internal/control"
)

// refreshNeedy makes the nodes take in what has changed of another cluster of the stack.
func refreshNeedy(ctx context.Context, o *Operation, req control.Request) error {
	if err := checkNext(o.Cluster.Record(), req); err != nil {
		return err
	}
	if err := membersOf(o, req.Next).announce(ctx, nil); err != nil {
		return err
	}
	return o.Cluster.Settle(ctx, o.Emit)
}
