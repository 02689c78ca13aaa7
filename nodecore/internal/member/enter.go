package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	joinTime   = 20 * time.Second // for a join as a whole
	removeTime = 3 * time.Second  // for telling the members of a removal
	listPause  = 5 * time.Millisecond
	seedFirst  = time.Millisecond       // pause after the first round of seeds that answered nothing
	seedMost   = 500 * time.Millisecond // longest pause between rounds
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
			if err == nil {
				err = check(m, a)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errs
}

// Leave takes this node out of its cluster, everywhere, and makes it the only
// member of a new one. Its data is dropped.
func (g *Group) Leave(ctx context.Context) error {
	release, err := g.takeOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := g.View()
	if len(v.Running)+len(v.Stopped) < 2 {
		return refuse(CodeUnknown, "node_not_in_cluster: %s is the only member", g.cfg.Name)
	}
	ctx, cancel := g.during(ctx, joinTime)
	defer cancel()
	if err := g.depart(ctx); err != nil {
		return err
	}
	return g.moveTo(ctx, reply{Cluster: newID()}, newID(), true)
}

// depart tells the members of the present cluster, if there are any, that this
// node is none of them any more. Those that can't be told will hear it from
// others, or from this node when they look for it.
func (g *Group) depart(ctx context.Context) error {
	v := g.View()
	if len(v.Running)+len(v.Stopped) < 2 {
		return nil
	}
	g.tellRemoved(ctx, v, v.Self.ID)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.st.Departed = append(g.st.Departed, departed{Cluster: v.Cluster, ID: v.Self.ID})
	if n := len(g.st.Departed); n > maxDeparted {
		g.st.Departed = g.st.Departed[n-maxDeparted:]
	}
	return nil
}

// tellRemoved tells all running members that an id is out.
func (g *Group) tellRemoved(ctx context.Context, v View, id string) {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	r := request{Op: opRemove, From: v.Self, Cluster: v.Cluster, Known: notes{Removed: []string{id}}}
	errs := g.askAll(ctx, v, r, func(Member, reply) error { return nil })
	if err := errors.Join(errs...); err != nil {
		g.log.Warn("tell members of a removal", "error", err)
	}
}

// ForceLeave removes another member, running or not, for good: it can come
// back only by joining again.
func (g *Group) ForceLeave(ctx context.Context, name string) error {
	if name == g.cfg.Name {
		return refuse(CodeSelf, "%s is this node: use leave", name)
	}
	release, err := g.takeOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := g.during(ctx, joinTime)
	defer cancel()
	_, ros := g.current()
	m := ros.byName(name)
	if m == nil {
		return refuse(CodeUnknown, "node_not_in_cluster: %s is not a member", name)
	}
	v := g.View() // with the member still in it: it is told too
	ros.remove(m.ID)
	g.changed()
	if err := g.save(true); err != nil {
		return err
	}
	g.tellRemoved(ctx, v, m.ID)
	g.log.Info("removed member", "member", name)
	return nil
}

// selfRemoved tells whether the cluster has removed this node.
func (g *Group) selfRemoved() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gossip != nil && g.roster.isRemoved(g.st.ID)
}

// startAnew makes a node that was removed the only member of a new cluster.
func (g *Group) startAnew() {
	ctx, cancel := g.during(g.ctx, joinTime)
	defer cancel()
	release, err := g.takeOp(ctx)
	if err != nil {
		return
	}
	defer release()
	if !g.selfRemoved() {
		return // it has left or joined meanwhile
	}
	g.log.Warn("removed from the cluster by another member: this node is now alone in a cluster of its own")
	if err := g.moveTo(ctx, reply{Cluster: newID()}, newID(), true); err != nil {
		g.log.Error("start anew after being removed", "error", err)
	}
}

// askSeeds asks the seeds, in their order, until one lets this node in.
func (g *Group) askSeeds() {
	pause := seedFirst
	warned := time.Now()
	for g.pending() {
		err := g.trySeeds()
		if err == nil {
			return
		}
		if time.Since(warned) > 2*time.Second {
			g.log.Warn("no seed lets this node in yet", "error", err)
			warned = time.Now()
		}
		if wait(g.ctx, pause) != nil {
			return
		}
		pause = min(2*pause, seedMost)
	}
}

// trySeeds asks every seed once.
func (g *Group) trySeeds() error {
	var errs []error
	for _, t := range g.cfg.Seeds {
		if t.Name == g.cfg.Name {
			continue
		}
		err := g.trySeed(t)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (g *Group) trySeed(t Target) error {
	ctx, cancel := g.during(g.ctx, joinTime)
	defer cancel()
	release, err := g.takeOp(ctx)
	if err != nil {
		return err
	}
	defer release()
	if !g.pending() {
		return nil // joined by hand meanwhile
	}
	l, err := g.talk(ctx, t.Name, t.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	a, id, err := g.askIn(l, t)
	if err != nil {
		return err
	}
	if err := g.moveTo(ctx, a, id, false); err != nil {
		return err
	}
	g.log.Info("joined cluster", "cluster", a.Cluster, "by", t.Name)
	if err := g.arrive(l, a); err != nil {
		g.log.Warn("meet the seed", "seed", t.Name, "error", err) // heal goes on from here
	}
	return nil
}
