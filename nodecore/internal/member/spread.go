package member

import (
	"context"
	"time"
)

const (
	// quietFor is how long no new node must have come before the members are
	// told of those that came; everybody known being there ends the wait.
	quietFor = 50 * time.Millisecond
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
			gs.spread(g.ctx)
		}
		for _, o := range orders {
			close(o.done)
		}
	}
}

// collect takes orders until everybody who is known is there, or nobody new
// has come for a while.
func (g *Group) collect(first *spreadOrder) []*spreadOrder {
	orders := []*spreadOrder{first}
	latest := time.NewTimer(spreadBy)
	defer latest.Stop()
	quiet := time.NewTimer(quietFor)
	defer quiet.Stop()
	for !g.complete() {
		select {
		case o := <-g.wanted:
			orders = append(orders, o)
			quiet.Reset(quietFor)
		case <-quiet.C:
			return orders
		case <-latest.C:
			return orders
		case <-g.ctx.Done():
			return orders
		}
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
	return true
}
