package member

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	removeTime = 3 * time.Second  // bounds the announcement of a removal
	retryTime  = 10 * time.Minute // likewise to members that hang; later their own gossip tells them
)

// Leave takes this node out of its cluster, everywhere, and makes it the only
// member of a new one. Its data is dropped.
func (tr *transition) Leave(ctx context.Context) error {
	release, err := tr.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := tr.View()
	if len(v.Running)+len(v.Stopped) < 2 {
		return refuse(CodeUnknown, "node_not_in_cluster: %s is the only member", tr.cfg.Name)
	}
	ctx, cancel := tr.bounded(ctx, joinTime)
	defer cancel()
	if err := tr.leaveCurrent(ctx); err != nil {
		return err
	}
	return tr.formNew(ctx)
}

// formNew makes this node the only member of a new cluster.
func (tr *transition) formNew(ctx context.Context) error {
	if err := tr.switchCluster(ctx, reply{Cluster: newID()}, newID(), true); err != nil {
		return err
	}
	tr.arrived(Arrival{})
	return nil
}

// leaveCurrent tells the members of the present cluster, if there are any, that this
// node is no longer one of them. Those that can't be told will hear it from
// others, or from this node when they look for it.
func (tr *transition) leaveCurrent(ctx context.Context) error {
	v := tr.View()
	if len(v.Running)+len(v.Stopped) < 2 {
		return nil
	}
	tr.broadcastRemoval(ctx, v, v.Self.ID)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.st.Departed = append(tr.st.Departed, departed{Cluster: v.Cluster, ID: v.Self.ID})
	if n := len(tr.st.Departed); n > maxDeparted {
		tr.st.Departed = tr.st.Departed[n-maxDeparted:]
	}
	return nil
}

// broadcastRemoval tells all running members that an id is out, and returns who may
// not have heard it.
func (tr *transition) broadcastRemoval(ctx context.Context, v View, id string) (unreached []Member) {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	errs := tr.askAll(ctx, v, removal(v, id), func(Member, reply) error { return nil })
	for i, err := range errs {
		if !acknowledged(err) {
			unreached = append(unreached, v.Running[i])
		}
	}
	if err := errors.Join(errs...); err != nil {
		tr.log.Warn("announce removal", "error", err)
	}
	return unreached
}

func removal(v View, id string) request {
	return request{Op: opRemove, From: v.Self, Cluster: v.Cluster, Known: rosterData{Removed: []string{id}}}
}

// acknowledged reports, by the result of a removal request, whether the member
// knows of the removal, or doesn't run any more.
func acknowledged(err error) bool {
	_, refused := errors.AsType[*Refusal](err)
	return err == nil || refused || connectionRefused(err)
}

// retryRemoval tells a member of a removal until it has heard it. One that hangs is
// told as soon as it goes on; by itself it would find out when its gossip takes
// the others for dead.
func (tr *transition) retryRemoval(m Member, r request) {
	ctx, cancel := context.WithTimeout(tr.ctx, retryTime)
	defer cancel()
	for pause := healMin; wait(ctx, pause) == nil; pause = min(2*pause, healMax) {
		actx, done := context.WithTimeout(ctx, removeTime)
		_, err := tr.askOnce(actx, m, r)
		done()
		if acknowledged(err) {
			return
		}
	}
}

// ForceLeave removes another member, running or not, for good: it can come
// back only by joining again.
func (tr *transition) ForceLeave(ctx context.Context, name string) error {
	if name == tr.cfg.Name {
		return refuse(CodeSelf, "%s is this node: use leave", name)
	}
	release, err := tr.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := tr.bounded(ctx, joinTime)
	defer cancel()
	_, ros := tr.current()
	m := ros.byName(name)
	if m == nil {
		return refuse(CodeUnknown, "node_not_in_cluster: %s is not a member", name)
	}
	v := tr.View() // with the member still in it: it is told too
	ros.remove(m.ID)
	tr.changed()
	if err := tr.save(true); err != nil {
		return err
	}
	unreached := tr.broadcastRemoval(ctx, v, m.ID)
	if slices.ContainsFunc(v.Stopped, func(o Member) bool { return o.ID == m.ID }) {
		unreached = append(unreached, *m) // it may only hang
	}
	for _, d := range unreached {
		tr.wg.Go(func() { tr.retryRemoval(d, removal(v, m.ID)) })
	}
	tr.log.Info("removed member", "member", name)
	return nil
}

// restartAlone makes a node that was removed the only member of a new cluster.
func (tr *transition) restartAlone() {
	ctx, cancel := tr.bounded(tr.ctx, joinTime)
	defer cancel()
	release, err := tr.lock(ctx)
	if err != nil {
		return
	}
	defer release()
	if !tr.selfRemoved() {
		return // it has left or joined meanwhile
	}
	tr.log.Warn("removed from the cluster by another member: this node is now alone in a cluster of its own")
	if err := tr.formNew(ctx); err != nil {
		tr.log.Error("form a cluster of one after removal", "error", err)
	}
}

// rejoin enters the gossip again under a new boot number, since the others take the old one for dead.
func (tr *transition) rejoin() {
	ctx, cancel := tr.bounded(tr.ctx, joinTime)
	defer cancel()
	release, err := tr.lock(ctx)
	if err != nil {
		return
	}
	defer release()
	if !tr.selfDeclaredDead() {
		return
	}
	tr.log.Warn("the other members took this node for stopped: rejoining")
	gs, _ := tr.current()
	if err := errors.Join(gs.close(false), tr.enter(false)); err != nil {
		tr.log.Error("rejoin", "error", err)
	}
}
