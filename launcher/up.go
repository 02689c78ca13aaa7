package launcher

import (
	"cmp"
	"context"
	"errors"
	"time"

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
	own   bool   // this process is to own the cluster, unless it was there before
	add   int    // see target
	stamp string // see target
}

// up resolves the options and sends the request to the keeper; again when the cluster has changed in between, or when a port
// that the plan could have chosen otherwise turned out to be taken.
func up(ctx context.Context, o Options, call upCall) (*Cluster, *Status, *Ownership, error) {
	c, err := locate(cmp.Or(o.Cluster, defaultCluster), o)
	if err != nil {
		return nil, nil, nil, err
	}
	c.began = time.Now()
	bounded, cancel := c.bounded(ctx, 0)
	defer cancel()
	c.prestart()
	defer c.dismissPrestarted()
	var taken []plan.Port
	for try := 1; ; try++ {
		r, err := c.resolveUp(bounded, o, target{add: call.add, stamp: call.stamp, taken: taken})
		if err != nil {
			return nil, nil, nil, err
		}
		var own *Ownership
		var st *Status
		if call.own && !r.formed {
			own, st, err = c.hold(ctx, r.request)
		} else {
			st, err = c.do(ctx, r.request)
		}
		fail, ok := errors.AsType[*Failure](err)
		if again := ok && (fail.Stale || fail.Clash && !r.fixedPorts); !again || try == maxTries {
			return c, st, own, err
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
	return resolve(ctx, o, on)
}
