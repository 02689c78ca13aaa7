package launcher

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/control"
)

// Down stops all clusters of the stack that are on this host, those first that no other needs, and removes them. It returns the names
// of those that were there.
func (s *Stack) Down(ctx context.Context, timeout time.Duration, keepData bool, progress func(string, Event)) ([]string, error) {
	all := *s
	if err := all.addPresent(); err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards down
	var down []string
	err := all.each(ctx, true, false, func(ctx context.Context, m *StackMember) error {
		c, err := Open(s.Full(m.Name), Options{Timeout: timeout, Progress: func(e Event) { progress(m.Name, e) }})
		if err == nil {
			err = c.Down(ctx, keepData)
		}
		if errors.Is(err, ErrNoCluster) {
			return nil
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			down = append(down, c.name)
		}
		return err
	})
	return down, err
}

// Status observes all clusters of the stack that are on this host.
func (s *Stack) Status(ctx context.Context) ([]*Status, error) {
	return s.ask(ctx, func(ctx context.Context, c *Cluster) (*Status, error) { return c.Status(ctx) }, false, Options{}, nil)
}

// Do carries out one operation on every cluster of the stack that is on this host: on each after those that it needs or, in reverse,
// after those that need it.
func (s *Stack) Do(ctx context.Context, reverse bool, timeout time.Duration, progress func(string, Event),
	op func(context.Context, *Cluster) (*Status, error)) ([]*Status, error) {
	return s.ask(ctx, op, reverse, Options{Timeout: timeout}, progress)
}

func (s *Stack) ask(ctx context.Context, op func(context.Context, *Cluster) (*Status, error), reverse bool, o Options,
	progress func(string, Event)) ([]*Status, error) {
	clusters, err := s.open(o, progress)
	if err != nil {
		return nil, err
	}
	byName := map[string]*Cluster{}
	for _, c := range clusters {
		_, member := splitStacked(c.name)
		byName[member] = c
	}
	var mu sync.Mutex // guards got
	got := map[string]*Status{}
	err = s.each(ctx, reverse, true, func(ctx context.Context, m *StackMember) error {
		c := byName[m.Name]
		if c == nil {
			return nil
		}
		st, err := op(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		got[m.Name] = st
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []*Status
	for _, m := range s.Clusters {
		if got[m.Name] != nil {
			out = append(out, got[m.Name])
		}
	}
	return out, nil
}

// refreshNeedy lets the clusters that need the named one take in which nodes it has now.
func refreshNeedy(ctx context.Context, name string, o Options) error {
	names, err := Names()
	if err != nil {
		return err
	}
	home, err := homeDir()
	if err != nil {
		return err
	}
	stack, member := splitStacked(name)
	for _, other := range names {
		if s, _ := splitStacked(other); s != stack || stack == "" || other == name {
			continue
		}
		rec, err := cluster.ReadRecord(filepath.Join(home, other))
		if err != nil || !rec.Formed || rec.Plan.Options.Needs[member].Cluster != name {
			continue // one whose record can't be read says so when it is used
		}
		c, err := Open(other, o)
		if err == nil {
			err = refreshCluster(ctx, c)
		}
		if err != nil && !errors.Is(err, ErrNoCluster) {
			return inCluster(other, err)
		}
	}
	return nil
}

// refreshCluster lets the cluster's nodes take in what has changed of those that it needs.
func refreshCluster(ctx context.Context, c *Cluster) error {
	_, err := retryStale(func() (*Status, error) {
		rec, err := c.record()
		if err != nil {
			return nil, err
		}
		next := c.membersNow(ctx, rec, rec.Plan)
		if next == nil || sameTexts(rec.Plan, next) {
			return nil, nil
		}
		return c.do(ctx, control.Request{Op: control.OpRefresh, Next: next, Revision: rec.Revision})
	})
	return err
}

// sameTexts reports whether nothing that nodes are told differs.
func sameTexts(was, next *Plan) bool {
	for i, n := range next.Nodes {
		if i >= len(was.Nodes) || !was.Nodes[i].Same(n) {
			return false
		}
	}
	return true
}
