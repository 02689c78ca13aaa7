package member

import (
	"context"
	"sync"
	"time"
)

const (
	// quietFor is how long no new node must have come before the members are
	// told of those that came; everybody known being there ends the wait.
	quietFor = 50 * time.Millisecond
	// seedsFor is the same while seeds are still expected: a pass that has to be
	// repeated costs all members more than the wait.
	seedsFor = 200 * time.Millisecond
	// spreadBy is when they are told at the latest.
	spreadBy = 2 * time.Second
)

// spreadOrder is one wish to have the members told of each other.
type spreadOrder struct {
	done chan struct{} // closed after a pass that began later than the order
}

// orderSpread returns after all members that are alive were told of all
// others that were alive when it was called.
func (g *Group) orderSpread(ctx context.Context) error {
	o := &spreadOrder{done: make(chan struct{})}
	select {
	case g.wanted <- o:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spreadOnDemand runs the passes, one for all the orders that come together:
// nodes that are started at once arrive within milliseconds of each other.
func (g *Group) spreadOnDemand() {
	for {
		var orders []*spreadOrder
		select {
		case o := <-g.wanted:
			orders = g.collect(o)
		case <-g.ctx.Done():
			return
		}
		if gs, _ := g.current(); gs != nil {
			begin := time.Now()
			gs.spread(g.ctx)
			g.log.Debug("spread members", "orders", len(orders), "took", time.Since(begin))
		}
		for _, o := range orders {
			close(o.done)
		}
	}
}

// collect takes orders until everybody who is known is there, or nobody new
// has come for a while and nobody is on the way in.
func (g *Group) collect(first *spreadOrder) []*spreadOrder {
	orders := []*spreadOrder{first}
	latest := time.NewTimer(spreadBy)
	defer latest.Stop()
	quiet := time.NewTimer(g.patience())
	defer quiet.Stop()
	for !g.complete() {
		select {
		case o := <-g.wanted:
			orders = append(orders, o)
		case <-g.coming:
		case <-quiet.C:
			if g.underWay.Load() == 0 {
				return orders
			}
		case <-latest.C:
			return orders
		case <-g.ctx.Done():
			return orders
		}
		quiet.Reset(g.patience())
	}
	for { // those that wait already need no pass of their own
		select {
		case o := <-g.wanted:
			orders = append(orders, o)
		default:
			return orders
		}
	}
}

// patience is how long to wait for the next node.
func (g *Group) patience() time.Duration {
	if g.seedsHere.Load() {
		return quietFor
	}
	return seedsFor
}

// arriving notes that a node was let in, and is to be heard of again when it is
// in the gossip; the returned function says that it was, or that it never will.
func (g *Group) arriving() (arrived func()) {
	g.underWay.Add(1)
	select {
	case g.coming <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { g.underWay.Add(-1) })
}

// complete tells whether every seed and every known member is running.
func (g *Group) complete() bool {
	v := g.View()
	if len(v.Stopped) > 0 {
		return false
	}
	there := make(map[string]bool, len(v.Running))
	for _, m := range v.Running {
		there[m.Name] = true
	}
	for _, s := range g.cfg.Seeds {
		if !there[s.Name] {
			return false
		}
	}
	g.seedsHere.Store(true)
	return true
}
