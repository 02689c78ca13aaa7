package member

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	removeTime = 3 * time.Second  // bounds the telling of the members of a removal
	insistTime = 10 * time.Minute // likewise of those who hang; later they find out by themselves, after a while
)

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

// tellRemoved tells all running members that an id is out, and returns who may
// not have heard it.
func (g *Group) tellRemoved(ctx context.Context, v View, id string) (deaf []Member) {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	errs := g.askAll(ctx, v, removal(v, id), func(Member, reply) error { return nil })
	for i, err := range errs {
		if !heard(err) {
			deaf = append(deaf, v.Running[i])
		}
	}
	if err := errors.Join(errs...); err != nil {
		g.log.Warn("tell members of a removal", "error", err)
	}
	return deaf
}

func removal(v View, id string) request {
	return request{Op: opRemove, From: v.Self, Cluster: v.Cluster, Known: notes{Removed: []string{id}}}
}

// heard tells whether a member that was asked with this result knows now, or
// has nothing to know any more.
func heard(err error) bool {
	_, refused := errors.AsType[*Refusal](err)
	return err == nil || refused || nobodyThere(err)
}

// insist tells a member of a removal until it has heard it. One that hangs is
// told as soon as it goes on; by itself it would find out when its gossip takes
// the others for dead.
func (g *Group) insist(m Member, r request) {
	ctx, cancel := context.WithTimeout(g.ctx, insistTime)
	defer cancel()
	for pause := healFirst; wait(ctx, pause) == nil; pause = min(2*pause, healMost) {
		actx, done := context.WithTimeout(ctx, removeTime)
		_, err := g.askOnce(actx, m, r)
		done()
		if heard(err) {
			return
		}
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
	deaf := g.tellRemoved(ctx, v, m.ID)
	if slices.ContainsFunc(v.Stopped, func(o Member) bool { return o.ID == m.ID }) {
		deaf = append(deaf, *m) // it may only hang
	}
	for _, d := range deaf {
		g.wg.Go(func() { g.insist(d, removal(v, m.ID)) })
	}
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
