package launcher

import (
	"cmp"
	"context"
	"errors"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
)

// Up brings the cluster to o.Count running nodes that all see each other: it creates the cluster, starts its stopped
// nodes, or adds the missing ones, and returns when every node itself says so. When it fails, what it did is undone; the
// error is an *InputError or a *Failure.
func Up(ctx context.Context, o Options) (*Cluster, *Status, error) {
	c, st, _, err := up(ctx, o, upCall{})
	return c, st, err
}

// UpOwned is Up that makes this process the owner of what it made. A cluster that was there before is not: it stays as it is when
// this process ends, and own is nil.
func UpOwned(ctx context.Context, o Options) (c *Cluster, st *Status, own *Ownership, err error) {
	return up(ctx, o, upCall{own: true})
}

// DryRun returns the plan that Up would carry out; nothing is touched.
func DryRun(ctx context.Context, o Options) (*Plan, error) {
	c, err := locate(cmp.Or(o.Cluster, defaultCluster), o)
	if err != nil {
		return nil, err
	}
	r, err := c.resolveUp(ctx, o, target{dryRun: true})
	if err != nil {
		return nil, err
	}
	return r.request.Plan, nil
}

// upCall is what a call that ends in an `up` says besides the caller's options.
type upCall struct {
	own   bool                   // this process is to own the cluster, unless it was there before
	add   int                    // see target
	stamp string                 // see target
	needs map[string]plan.Needed // see target
	avoid []plan.Port            // see target.taken
	first *resolved              // what the first try asks for; nil: it is resolved
}

// up brings up one cluster. Others of its stack that need it see the nodes that it has then.
func up(ctx context.Context, o Options, call upCall) (*Cluster, *Status, *Ownership, error) {
	c, err := locate(cmp.Or(o.Cluster, defaultCluster), o)
	if err != nil {
		return nil, nil, nil, err
	}
	c.began = time.Now()
	defer func() { c.began = time.Time{} }() // what follows on this cluster has a time of its own
	bounded, cancel := c.bounded(ctx, 0)
	defer cancel()
	if err := build(bounded, o); err != nil {
		return nil, nil, nil, timedOut(bounded, err)
	}
	c.prestart()
	defer c.dismissPrestarted()
	cl, st, formed, err := bringOne(ctx, bounded, c, o, call)
	if err != nil {
		return nil, nil, nil, err
	}
	if call.add > 0 || formed {
		if err := refreshNeedy(ctx, c.name, o); err != nil {
			return c, st, nil, err
		}
	}
	if cl != nil {
		return c, st, owned(cl), nil
	}
	return c, st, nil, nil
}

// bringOne resolves the options and sends the request to the keeper; again when the cluster has changed in between, or when a port that
// the plan could have chosen otherwise turned out to be taken. Where the call is to own what it makes, the connection is returned that
// owns it. formed tells that the cluster was there before.
func bringOne(ctx, bounded context.Context, c *Cluster, o Options, call upCall) (cl *control.Client, st *Status, formed bool, err error) {
	taken := call.avoid
	for try := 1; ; try++ {
		r := call.first
		if r == nil || try > 1 {
			if r, err = c.resolveUp(bounded, o, target{add: call.add, stamp: call.stamp, needs: call.needs, taken: taken}); err != nil {
				return nil, nil, false, timedOut(bounded, err)
			}
		}
		if call.own && !r.formed {
			r.request.Own = true
			cl, st, err = c.send(ctx, r.request)
		} else {
			st, err = c.do(ctx, r.request)
		}
		fail, ok := errors.AsType[*Failure](err)
		if again := ok && (fail.Stale || fail.Clash && !r.fixedPorts); !again || try == maxTries {
			return cl, st, r.formed, err
		}
		if fail.Clash { // not all that keeps a port from being bound is listed, such as a client's end of a connection
			taken = append(taken, fail.Taken)
		}
	}
}

// resolveUp resolves the options of an `up` for the cluster as it is at present.
func (l *keeperLink) resolveUp(ctx context.Context, o Options, on target) (*resolved, error) {
	rec, err := l.record()
	if err != nil && (!errors.Is(err, ErrNoCluster) || on.add > 0) {
		return nil, err
	}
	o.Cluster, on.dir, on.record = l.name, l.dir, rec
	if on.needs == nil && on.formed() == nil {
		if on.needs, err = neededNow(l.folder, o.needs); err != nil {
			return nil, err
		}
	}
	return resolve(ctx, o, on)
}
