package operation

import (
	"context"
	"time"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
)

// leastPatience is how long an operation without a time limit waits for something to move on, if no template wants more.
const leastPatience = time.Minute

// patient lets an operation that its request gives no time limit end when nothing moves on any more. The context that it returns is to
// be used in the place of ctx; cancel must be called.
func (o *Operation) patient(ctx context.Context, req control.Request) (_ context.Context, cancel func()) {
	o.limit = context.Background()
	if req.Timeout != 0 {
		return ctx, func() {}
	}
	plans := []*plan.Plan{req.Plan}
	if rec := o.Cluster.Record(); rec != nil {
		plans = append(plans, rec.Plan)
	}
	limit, moved, end := node.WithPatience(o.limit, patienceFor(plans), o.Cluster.All)
	emit := o.Emit
	o.limit, o.Emit = limit, func(e control.Event) { moved(); emit(e) }
	ctx, stop := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(limit, func() { stop(context.Cause(limit)) })
	return ctx, func() { unlink(); stop(nil); end() }
}

// patienceFor is how long the templates of the plans want to be waited for.
func patienceFor(plans []*plan.Plan) time.Duration {
	longest := leastPatience
	for _, p := range plans {
		if p == nil {
			continue
		}
		for _, c := range p.Seed {
			longest = max(longest, c.Timeout.Duration+c.Retry.Duration)
		}
		for _, n := range p.Nodes {
			longest = max(longest, n.Ready.Timeout.Duration, n.Members.Timeout.Duration, n.Stop.Grace.Duration+leastPatience/2)
			for c := range n.Calls() {
				longest = max(longest, c.Timeout.Duration+c.Retry.Duration)
			}
		}
	}
	return longest
}

// detached returns a context for steps that are finished also when the client goes: it ends with ctx's time, or when the
// operation is preempted.
func (o *Operation) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadlineCause(o.Preempt, at, control.TimeoutError("not done within the time given"))
	}
	ctx, cancel := context.WithCancelCause(o.Preempt)
	unlink := context.AfterFunc(o.limit, func() { cancel(context.Cause(o.limit)) })
	return ctx, func() { unlink(); cancel(nil) }
}

// detachedTimeout bounds steps that have to be finished, such as those after a node has left.
const detachedTimeout = 5 * time.Minute

// untimed is detached, with a time of its own in the place of the request's.
func (o *Operation) untimed() (context.Context, context.CancelFunc) {
	return context.WithTimeout(o.Preempt, detachedTimeout)
}
