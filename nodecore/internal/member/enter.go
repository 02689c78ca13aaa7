package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	joinTime  = 20 * time.Second // for a join as a whole
	listPause = 5 * time.Millisecond
)

// transition changes the cluster that this node is in, or the members of it; one
// change at a time.
type transition struct {
	*membership
	op chan struct{} // holds the token of the change that is under way
}

// lock waits for the right to change clusters; the returned function gives it back.
func (tr *transition) lock(ctx context.Context) (release func(), err error) {
	select {
	case tr.op <- struct{}{}:
		if tr.ctx.Err() != nil {
			<-tr.op
			return nil, errors.New("the node is stopping")
		}
		tr.setBusy(true)
		return func() { tr.setBusy(false); <-tr.op }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of cluster: %w", ctx.Err())
	case <-tr.ctx.Done():
		return nil, errors.New("the node is stopping")
	}
}

func (tr *transition) setBusy(b bool) {
	tr.mu.Lock()
	tr.busy = b
	tr.mu.Unlock()
	if !b {
		tr.changed()
	}
}

// Join makes this node a member of the target's cluster. Its own data is
// dropped (Config.Reset); a cluster that it is in is left first. It returns
// when every running member lists this node. If it fails before the target
// has agreed, nothing has changed.
func (tr *transition) Join(ctx context.Context, t Target) error {
	if t.Name == tr.cfg.Name {
		return refuse(CodeSelf, "Ignore. %s can't join itself", t.Name)
	}
	release, err := tr.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := tr.bounded(ctx, joinTime)
	defer cancel()
	l, err := tr.talk(ctx, t.Name, t.Addr)
	if err != nil {
		return err
	}
	defer l.done()
	a, id, err := tr.requestAdmission(l, t)
	if err != nil {
		return err
	}
	if err := tr.leaveCurrent(ctx); err != nil {
		return err
	}
	if err := tr.switchCluster(ctx, a, id, true); err != nil {
		return err
	}
	tr.arrived(Arrival{Joined: true, Holders: a.Holders})
	if err := tr.announce(l, a); err != nil {
		return err
	}
	return tr.awaitListed(ctx)
}

// requestAdmission asks the node behind l for admission under a new id.
func (tr *transition) requestAdmission(l *peerLink, t Target) (reply, string, error) {
	r := tr.request(opJoin)
	id := newID()
	// A node that already is a member must be recognised as one, so it asks as what it is.
	a, err := l.ask(r)
	if a.From.Name != "" && t.Name != "" && a.From.Name != t.Name {
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

// switchCluster drops what this node has and makes it a member of the cluster in a.
func (tr *transition) switchCluster(ctx context.Context, a reply, id string, sync bool) error {
	tr.mu.Lock()
	gs := tr.gossip
	tr.gossip = nil
	tr.mu.Unlock()
	if gs != nil {
		if err := gs.close(false); err != nil {
			tr.log.Warn("leave gossip", "error", err)
		}
	}
	if tr.cfg.Reset != nil {
		if err := tr.cfg.Reset(ctx, a.Cluster); err != nil {
			return errors.Join(fmt.Errorf("drop the node's own data: %w", err), tr.enter(false))
		}
	}
	tr.mu.Lock()
	tr.st.ID, tr.st.Cluster, tr.st.Boot = id, a.Cluster, 0
	tr.roster = newRoster(a.Known)
	tr.mu.Unlock()
	if a.From.ID != "" {
		tr.roster.put(a.From)
	}
	return tr.enter(sync)
}

// announce asks the member that admitted this node to tell the others, and learns
// from it who runs.
func (tr *transition) announce(l *peerLink, a reply) error {
	gs, ros := tr.current()
	if min(a.Version, tr.cfg.version) < 2 {
		if err := gs.pushPull(a.From); err != nil {
			return err
		}
	}
	r, err := l.ask(tr.request(opReady))
	if err != nil {
		return err
	}
	ros.merge(rosterData{Removed: r.Known.Removed, Ended: r.Known.Ended})
	running := make(map[string]bool, len(r.Running))
	for _, id := range r.Running {
		running[id] = true
	}
	gs.learn(slices.DeleteFunc(r.Known.Members, func(m Member) bool { return !running[m.ID] }))
	return nil
}

// awaitListed waits until every member that this node sees lists it.
func (tr *transition) awaitListed(ctx context.Context) error {
	var last error
	for {
		last = tr.checkListed(ctx)
		if last == nil {
			return nil
		}
		if wait(ctx, listPause) != nil {
			return fmt.Errorf("joined, but not every member lists this node: %w", last)
		}
	}
}

// checkListed asks all running members at once whether they list this node.
func (tr *transition) checkListed(ctx context.Context) error {
	v := tr.View()
	errs := tr.askAll(ctx, v, request{Op: opList, From: v.Self, Cluster: v.Cluster}, func(m Member, a reply) error {
		for _, id := range a.Running {
			if id == v.Self.ID {
				return nil
			}
		}
		return fmt.Errorf("member %q does not list this node", m.Name)
	})
	return errors.Join(errs...)
}
