package launcher

import (
	"context"
	"errors"
	"fmt"
)

// SaveSnapshot saves every cluster of the stack, each under the name and its own: NAME.CLUSTER.
func (s *Stack) SaveSnapshot(ctx context.Context, name string, o Options) ([]*Snapshot, error) {
	clusters, err := s.open(o, nil)
	if err != nil {
		return nil, err
	}
	var out []*Snapshot
	for _, c := range clusters {
		_, member := splitStacked(c.name)
		saved, err := c.SaveSnapshot(ctx, name+stackSeparator+member)
		if err != nil {
			for _, before := range out {
				err = errors.Join(err, RemoveSnapshot(before.Name))
			}
			return nil, inCluster(member, err)
		}
		out = append(out, saved)
	}
	return out, nil
}

// Restore brings back every cluster of the stack from what SaveSnapshot saved, each after those that it needs. When one fails, those that
// it brought back are taken down.
func (s *Stack) Restore(ctx context.Context, name string, o StackOptions) ([]*Status, error) {
	var out []*Status
	var back []*Cluster
	for _, m := range s.Clusters {
		one := Options{Cluster: s.Full(m.Name), Timeout: o.Timeout, Keep: o.Keep}
		if o.Progress != nil {
			one.Progress = func(e Event) { o.Progress(m.Name, e) }
		}
		c, st, err := Restore(ctx, name+stackSeparator+m.Name, one)
		if err != nil {
			errs := []error{inCluster(m.Name, err)}
			for _, c := range back {
				if err := c.Down(context.WithoutCancel(ctx), false); err != nil {
					errs = append(errs, fmt.Errorf("undo: cluster %q: %w", c.name, err))
				}
			}
			return nil, errors.Join(errs...)
		}
		out, back = append(out, st), append(back, c)
	}
	return out, nil
}
