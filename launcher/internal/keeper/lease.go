package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
)

// leaseFor makes the keeper's leases those of the plan: missing ones are taken, all or none, others given back.
func (k *Keeper) leaseFor(ctx context.Context, p *plan.Plan) error {
	want := addresses(p)
	if k.lease == nil {
		k.audit.noteOthers() // nothing of ours runs before its ports are leased
		l, err := ports.Acquire(ctx, ports.Want{Addrs: want}, p.Cluster)
		if err != nil {
			return k.leaseError(p, err)
		}
		k.lease, k.leased = l, want
		return nil
	}
	if err := k.lease.Add(ctx, ports.Want{Addrs: without(want, k.leased)}); err != nil {
		return k.leaseError(p, err)
	}
	err := k.lease.Release(ports.Want{Addrs: without(k.leased, want)})
	k.leased = want
	return err
}

func without(all, drop []ports.Addr) []ports.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a ports.Addr) bool { return slices.Contains(drop, a) })
}

// addresses lists every port of a plan as the kernel counts them.
func addresses(p *plan.Plan) []ports.Addr {
	var out []ports.Addr
	add := func(ls []plan.Listener) {
		for _, l := range ls {
			for _, proto := range l.Protocols {
				out = append(out, ports.Addr{Proto: ports.Proto(proto), Host: cmp.Or(l.Bind, l.Host), Port: l.Port})
			}
		}
	}
	add(p.Shared)
	for _, n := range p.Nodes {
		add(n.Listeners)
	}
	return out
}

// leaseError says whose the port would have been and who has it.
func (k *Keeper) leaseError(p *plan.Plan, err error) error {
	c, ok := errors.AsType[*ports.ClashError](err)
	if !ok {
		return err
	}
	e := &control.Error{Phase: "lease ports", Why: err.Error(), Clash: true, Hint: "choose other ports with --base auto, --offset or --set LISTENER=PORT"}
	if k.rec != nil && k.rec.Formed && !k.adds(p, c.Addr.Port) {
		e.Hint = "the cluster keeps its ports: free this one"
	}
	e.Taken = plan.Port{Proto: string(c.Addr.Proto), Host: c.Addr.Host, Port: c.Addr.Port}
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			if l.Port == c.Addr.Port && slices.Contains(l.Protocols, string(c.Addr.Proto)) {
				e.Node, e.Name = n.Index, n.Name
				e.Why = fmt.Sprintf("listener %q: %v", l.Name, err)
			}
		}
	}
	return e
}

// adds tells whether the port is one that the plan gives to a node that the cluster does not have yet.
func (k *Keeper) adds(p *plan.Plan, port int) bool {
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			if l.Port == port {
				return !k.rec.joined(n.Index)
			}
		}
	}
	return false
}
