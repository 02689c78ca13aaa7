package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// StackOptions are how a stack is brought up. What it is made of, its members say.
type StackOptions struct {
	Base     string // "": each member's own
	Timeout  time.Duration
	Keep     bool
	Progress func(cluster string, e Event) // may be nil; called from one goroutine at a time for each cluster
}

// Up brings up all clusters of the stack, each as soon as those that it needs have formed. When one fails, all that this call made
// is undone, and the error names the one.
func (s *Stack) Up(ctx context.Context, o StackOptions) ([]*Status, error) {
	u, err := s.up(ctx, o)
	if err != nil {
		return nil, err
	}
	return u.statuses(), u.disown(ctx)
}

// UpOwned is Up that makes this process the owner of the clusters that it made; those that were there before stay as they are.
func (s *Stack) UpOwned(ctx context.Context, o StackOptions) ([]*Status, *StackOwnership, error) {
	u, err := s.up(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	own := &StackOwnership{}
	for _, m := range u.members {
		if m.owner != nil {
			own.clusters = append(own.clusters, ownedCluster{m.c, owned(m.owner)})
		}
	}
	return u.statuses(), own, nil
}

// StackOwnership ties the life of those clusters of a stack to this process which an `up` made.
type StackOwnership struct{ clusters []ownedCluster }

type ownedCluster struct {
	c   *Cluster
	own *Ownership
}

// Down takes the clusters down that are owned, in reverse order.
func (o *StackOwnership) Down(ctx context.Context) error {
	var errs []error
	for _, one := range slices.Backward(o.clusters) {
		if err := one.c.Down(ctx, false); err != nil && !errors.Is(err, ErrNoCluster) {
			errs = append(errs, fmt.Errorf("cluster %q: %w", one.c.name, err))
		}
		one.own.Release()
	}
	return errors.Join(errs...)
}

// lost are the names of the clusters whose keeper has ended.
func (o *StackOwnership) lost() []string {
	var out []string
	for _, one := range o.clusters {
		if one.own.lost() {
			out = append(out, one.c.name)
		}
	}
	return out
}

// stackUp is one `up` of a stack. Its members are changed by a goroutine each, and read when all have ended.
type stackUp struct {
	s       *Stack
	o       StackOptions
	members map[string]*memberUp

	mu sync.Mutex // guards the plans of members: those that start at the same time keep off each other's ports
}

// memberUp is one cluster of it.
type memberUp struct {
	c       *Cluster
	options Options
	planned *resolved // what is asked of the keeper, resolved when all members were planned together
	plan    *plan.Plan
	moved   bool            // the plan is not the one of planned
	before  []int           // nodes that it had before, of a cluster that was formed
	ran     []int           // those of them that ran
	owner   *control.Client // the connection that owns what was made; nil: the cluster was there before
	status  *Status
}

func (s *Stack) up(ctx context.Context, o StackOptions) (_ *stackUp, err error) {
	if s.opened {
		return nil, &InputError{Err: fmt.Errorf("stack %q can be brought up from its file only", s.Name), Hint: "give the file with --project"}
	}
	u := &stackUp{s: s, o: o, members: map[string]*memberUp{}}
	defer u.dismissPrestarted()
	if err := u.plan(ctx); err != nil {
		return nil, err
	}
	err = s.each(ctx, false, true, u.bring)
	if err == nil {
		err = u.check(ctx)
	}
	if err == nil {
		return u, nil
	}
	if o.Keep && ctx.Err() == nil {
		return nil, errors.Join(err, u.disown(ctx))
	}
	if undone := u.rollback(context.WithoutCancel(ctx)); undone != nil {
		return nil, errors.Join(err, fmt.Errorf("undo: %w", undone))
	}
	return nil, err
}

// plan builds what is built, and plans all members together, so that what can't work is refused before anything is made.
func (u *stackUp) plan(ctx context.Context) error {
	for i := range u.s.Clusters {
		m := &u.s.Clusters[i]
		one, err := u.locate(m)
		if err != nil {
			return inCluster(m.Name, err)
		}
		u.members[m.Name] = one
	}
	for i := range u.s.Clusters {
		m := &u.s.Clusters[i]
		one := u.members[m.Name]
		if err := build(ctx, one.options); err != nil {
			return inCluster(m.Name, err)
		}
		err := one.recall(ctx)
		if err == nil {
			one.planned, err = u.resolve(ctx, m, one)
		}
		if err != nil {
			return inCluster(m.Name, err)
		}
		one.plan = one.planned.request.Plan
	}
	return nil
}

// locate finds the place of a member, and starts its keeper.
func (u *stackUp) locate(m *StackMember) (*memberUp, error) {
	o := m.Options
	o.Cluster = u.s.Full(m.Name)
	o.Keep = u.o.Keep
	if u.o.Base != "" {
		o.Base = u.o.Base
	}
	if u.o.Timeout != 0 {
		o.Timeout = u.o.Timeout
	}
	if u.o.Progress != nil {
		o.Progress = func(e Event) { u.o.Progress(m.Name, e) }
	}
	c, err := locate(o.Cluster, o)
	if err != nil {
		return nil, err
	}
	c.prestart()
	return &memberUp{c: c, options: o}, nil
}

// recall notes what a cluster that is there has, so that it can be as it was.
func (m *memberUp) recall(ctx context.Context) error {
	rec, err := m.c.record()
	if errors.Is(err, ErrNoCluster) || err == nil && !rec.Formed {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := m.c.Status(ctx)
	if err != nil {
		return err
	}
	m.before, m.ran = indices(rec.Plan), running(st)
	return nil
}

// resolve plans one member beside the others. One of a default that the ports of another member stand in the way of is moved: where
// depends on nothing but the stack and the host.
func (u *stackUp) resolve(ctx context.Context, m *StackMember, one *memberUp) (*resolved, error) {
	on := target{needs: u.needsOf(m), taken: u.portsBeside(m.Name)}
	r, err := one.c.resolveUp(ctx, one.options, on)
	if err == nil || one.options.Base != "" || !u.inTheWay(err) {
		return r, err
	}
	one.options.Base = "auto"
	return one.c.resolveUp(ctx, one.options, on)
}

// inTheWay reports whether an error is about a port of another member.
func (u *stackUp) inTheWay(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Taken.Port == 0 {
		return false
	}
	return slices.ContainsFunc(u.portsBeside(""), func(p plan.Port) bool { return p.Proto == f.Taken.Proto && p.Port == f.Taken.Port })
}

// needsOf are the clusters that a member needs, as they are planned.
func (u *stackUp) needsOf(m *StackMember) map[string]plan.Needed {
	u.mu.Lock()
	defer u.mu.Unlock()
	needs := map[string]plan.Needed{}
	for _, name := range m.Needs {
		needs[name] = u.members[name].plan.AsNeeded()
	}
	return needs
}

// portsBeside are the ports that all other members are planned to have.
func (u *stackUp) portsBeside(name string) []plan.Port {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []plan.Port
	for other, m := range u.members {
		if other != name && m.plan != nil {
			out = append(out, m.plan.Ports()...)
		}
	}
	return out
}

// bring brings up one member. What it needs has formed.
func (u *stackUp) bring(ctx context.Context, m *StackMember) error {
	one := u.members[m.Name]
	call := upCall{own: true, needs: u.needsOf(m), avoid: u.portsBeside(m.Name), first: one.planned}
	for _, need := range m.Needs {
		if u.members[need].moved {
			call.first = nil // its texts have the ports that were planned first
		}
	}
	one.c.began = time.Now()
	bounded, cancel := one.c.bounded(ctx, 0)
	defer cancel()
	cl, st, _, err := bringOne(ctx, bounded, one.c, one.options, call)
	one.owner, one.status = cl, st
	if err != nil {
		return err
	}
	now, err := one.c.Plan()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	one.moved = call.first == nil || !samePorts(now, one.plan)
	one.plan = now
	return nil
}

func samePorts(a, b *plan.Plan) bool { return slices.Equal(a.Ports(), b.Ports()) }

// check refuses a stack of which a cluster that had formed does not run any more, as another one took longer.
func (u *stackUp) check(ctx context.Context) error {
	return u.s.each(ctx, false, true, func(ctx context.Context, m *StackMember) error {
		st, err := u.members[m.Name].c.Status(ctx)
		if err != nil {
			return err
		}
		for _, n := range st.Nodes {
			if n.State != control.Running {
				return &Failure{Node: n.Index, Name: n.Name, Phase: "run until the stack is up", Why: fmt.Sprintf("it is %s; %s", n.State, n.Exit)}
			}
		}
		return nil
	})
}

// rollback takes down what was made, in reverse order, and lets clusters that were there have the nodes that they had.
func (u *stackUp) rollback(ctx context.Context) error {
	return u.s.each(ctx, true, false, func(ctx context.Context, m *StackMember) error {
		one := u.members[m.Name]
		if one.owner != nil {
			defer one.owner.Close()
			err := one.c.Down(ctx, false)
			if errors.Is(err, ErrNoCluster) {
				return nil
			}
			return err
		}
		if one.before == nil || one.status == nil {
			return nil // it failed, and is undone
		}
		return one.restore(ctx)
	})
}

// restore takes away the nodes that a cluster did not have before, and stops those that did not run.
func (m *memberUp) restore(ctx context.Context) error {
	var added, started []int
	for _, n := range m.status.Nodes {
		switch {
		case !slices.Contains(m.before, n.Index):
			added = append(added, n.Index)
		case !slices.Contains(m.ran, n.Index):
			started = append(started, n.Index)
		}
	}
	var errs []error
	if len(added) > 0 {
		_, err := m.c.Remove(ctx, added...)
		errs = append(errs, err)
	}
	if len(started) > 0 {
		_, err := m.c.Stop(ctx, started...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// disown leaves the clusters to themselves: they stay when this process ends.
func (u *stackUp) disown(ctx context.Context) error {
	var errs []error
	for name, m := range u.members {
		if m.owner == nil {
			continue
		}
		if _, err := m.owner.Do(context.WithoutCancel(ctx), control.Request{Op: control.OpDisown}, nil); err != nil {
			errs = append(errs, inCluster(name, err))
		}
		m.owner.Close()
	}
	return errors.Join(errs...)
}

func (u *stackUp) dismissPrestarted() {
	for _, m := range u.members {
		m.c.dismissPrestarted()
	}
}

// statuses are those of the members, in their order.
func (u *stackUp) statuses() []*Status {
	var out []*Status
	for _, m := range u.s.Clusters {
		out = append(out, u.members[m.Name].status)
	}
	return out
}
