package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	joinTime  = 20 * time.Second // for a join as a whole
	listPause = 5 * time.Millisecond
)

// takeOp waits for the right to change clusters; the returned function gives it back.
func (g *Group) takeOp(ctx context.Context) (release func(), err error) {
	select {
	case g.op <- struct{}{}:
		if g.ctx.Err() != nil {
			<-g.op
			return nil, errors.New("the node is stopping")
		}
		g.setBusy(true)
		return func() { g.setBusy(false); <-g.op }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of cluster: %w", ctx.Err())
	case <-g.ctx.Done():
		return nil, errors.New("the node is stopping")
	}
}

func (g *Group) setBusy(b bool) {
	g.mu.Lock()
	g.busy = b
	g.mu.Unlock()
	if !b {
		g.changed()
	}
}

// during bounds an operation by its caller, a time, and the life of the group.
func (g *Group) during(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(g.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Join makes this node a member of the target's cluster. Its own data is
// dropped (Config.Reset); a cluster that it is in is left first. It returns
// when every running member lists this node. If it fails before the target
// has agreed, nothing has changed.
func (g *Group) Join(ctx context.Context, t Target) error {
	if t.Name == g.cfg.Name {
		return refuse(CodeSelf, "Ignore. %s can't join itself", t.Name)
	}
	release, err := g.takeOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := g.during(ctx, joinTime)
	defer cancel()
	l, err := g.talk(ctx, t.Name, t.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	a, id, err := g.askIn(l, t)
	if err != nil {
		return err
	}
	if err := g.depart(ctx); err != nil {
		return err
	}
	if err := g.moveTo(ctx, a, id, true); err != nil {
		return err
	}
	if err := g.arrive(l, a); err != nil {
		return err
	}
	return g.listedByAll(ctx)
}

// askIn asks the node behind l for admission under a new id.
func (g *Group) askIn(l *peerLink, t Target) (reply, string, error) {
	r := g.request(opJoin)
	id := newID()
	// A node that already is a member must be recognised as one, so it asks as what it is.
	a, err := l.ask(r)
	if a.From.Name != "" && a.From.Name != t.Name {
		return a, "", refuse(CodeName, "the node at %s is %s, not %s", t.Addr, a.From.Name, t.Name)
	}
	if err != nil {
		return a, "", err
	}
	if a.Cluster == "" || a.From.ID == "" {
		return a, "", fmt.Errorf("ask %q to join: it named no cluster", t.Name)
	}
	return a, id, nil
}

// moveTo drops what this node has and makes it a member of the cluster in a.
func (g *Group) moveTo(ctx context.Context, a reply, id string, sync bool) error {
	g.mu.Lock()
	gs := g.gossip
	g.gossip = nil
	g.mu.Unlock()
	if gs != nil {
		if err := gs.close(false); err != nil {
			g.log.Warn("leave gossip", "error", err)
		}
	}
	if g.cfg.Reset != nil {
		if err := g.cfg.Reset(ctx, a.Cluster); err != nil {
			return errors.Join(fmt.Errorf("drop the node's own data: %w", err), g.enter(false))
		}
	}
	g.mu.Lock()
	g.st.ID, g.st.Cluster, g.st.Boot = id, a.Cluster, 0
	g.roster = newRoster(a.Known)
	g.mu.Unlock()
	if a.From.ID != "" {
		g.roster.put(a.From)
	}
	return g.enter(sync)
}

// arrive meets the member that let this node in, and has it tell the others.
func (g *Group) arrive(l *peerLink, a reply) error {
	gs, _ := g.current()
	if err := gs.meet(a.From); err != nil {
		return err
	}
	_, err := l.ask(g.request(opReady))
	return err
}

// listedByAll waits until every member that this node sees lists it.
func (g *Group) listedByAll(ctx context.Context) error {
	var last error
	for {
		last = g.whoMissesUs(ctx)
		if last == nil {
			return nil
		}
		if wait(ctx, listPause) != nil {
			return fmt.Errorf("joined, but not every member lists this node: %w", last)
		}
	}
}

// whoMissesUs asks all running members at once whether they list this node.
func (g *Group) whoMissesUs(ctx context.Context) error {
	v := g.View()
	errs := g.askAll(ctx, v, request{Op: opList, From: v.Self, Cluster: v.Cluster}, func(m Member, a reply) error {
		for _, id := range a.Running {
			if id == v.Self.ID {
				return nil
			}
		}
		return fmt.Errorf("member %q does not list this node", m.Name)
	})
	return errors.Join(errs...)
}

// askAll asks every other running member the same, and returns one error per
// member that failed or that check rejects.
func (g *Group) askAll(ctx context.Context, v View, r request, check func(Member, reply) error) []error {
	var wg sync.WaitGroup
	errs := make([]error, len(v.Running))
	slots := make(chan struct{}, 2*spreaders)
	for i, m := range v.Running {
		if m.ID == v.Self.ID {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			a, err := g.askOnce(ctx, m, r)
			if nobodyThere(err) {
				if gs, _ := g.current(); gs != nil {
					gs.ended(m) // so it is not running, and won't be asked again
				}
			}
			if err == nil {
				err = check(m, a)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}
