package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"onemore/launcher/internal/control"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/plan"
	"onemore/launcher/internal/ports"
	"onemore/launcher/internal/state"
)

// Leases are the cluster's leases of its ports. Its methods are for the holder of the operation lock.
type Leases struct {
	host  *node.Host
	lease *ports.Lease // nil while no port is leased
	addrs []ports.Addr // those that are
}

// Take makes the leases those of the plan: missing ones are taken, all or none, others given back. rec is the record in force,
// nil without one.
func (l *Leases) Take(ctx context.Context, rec *Record, p *plan.Plan) error {
	want := addresses(p)
	if l.lease == nil {
		l.host.NoteSockets() // nothing of the cluster runs before its ports are leased
		lease, err := ports.Acquire(ctx, ports.Want{Addrs: want}, p.Cluster)
		if err != nil {
			return leaseError(rec, p, err)
		}
		l.lease, l.addrs = lease, want
		l.host.Processes.OpenCgroup(p.ID)
		return nil
	}
	if err := l.lease.Add(ctx, ports.Want{Addrs: without(want, l.addrs)}); err != nil {
		return leaseError(rec, p, err)
	}
	err := l.lease.Release(ports.Want{Addrs: without(l.addrs, want)})
	l.addrs = want
	return err
}

// Held reports whether ports are leased.
func (l *Leases) Held() bool { return l.lease != nil }

// Close gives all leases back. It may be called without any.
func (l *Leases) Close() error {
	if l.lease == nil {
		return nil
	}
	err := l.lease.Close()
	l.lease, l.addrs = nil, nil
	return err
}

func without(all, drop []ports.Addr) []ports.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a ports.Addr) bool { return slices.Contains(drop, a) })
}

// addresses lists every port of a plan as the kernel counts them.
func addresses(p *plan.Plan) []ports.Addr {
	out := listenerAddresses(p.Shared)
	for _, n := range p.Nodes {
		out = append(out, listenerAddresses(n.Listeners)...)
	}
	return out
}

func listenerAddresses(ls []plan.Listener) []ports.Addr {
	var out []ports.Addr
	for _, l := range ls {
		for _, proto := range l.Protocols {
			out = append(out, ports.Addr{Proto: ports.Proto(proto), Host: cmp.Or(l.Bind, l.Host), Port: l.Port})
		}
	}
	return out
}

// leaseError says whose the port would have been and who has it.
func leaseError(rec *Record, p *plan.Plan, err error) error {
	clash, ok := errors.AsType[*ports.ClashError](err)
	if !ok {
		return err
	}
	why := err.Error()
	if clash.Owner != "" {
		why = fmt.Sprintf("port %v is in use by %s", clash.Addr, LeasedBy(filepath.Dir(p.Dir), ports.Leased{Addr: clash.Addr, Owner: clash.Owner, PID: clash.Process.PID}))
	}
	e := &control.Error{Phase: "lease ports", Why: why, Clash: true, Hint: "choose other ports with --base auto, --offset or --set LISTENER=PORT"}
	if rec != nil && rec.Formed && !adds(rec, p, clash.Addr.Port) {
		e.Hint = "the cluster keeps its ports: free this one"
	}
	e.Taken = plan.Port{Proto: string(clash.Addr.Proto), Host: clash.Addr.Host, Port: clash.Addr.Port}
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			if l.Port == clash.Addr.Port && slices.Contains(l.Protocols, string(clash.Addr.Proto)) {
				e.Node, e.Name = n.Index, n.Name
				e.Why = fmt.Sprintf("listener %q: %s", l.Name, why)
			}
		}
	}
	return e
}

// LeasedBy says in words whose a leased port is: the cluster, and its node where home has that cluster.
func LeasedBy(home string, l ports.Leased) string {
	who := fmt.Sprintf("cluster %q (keeper: pid %d)", l.Owner, l.PID)
	if state.ValidName(l.Owner) != nil {
		return who // whoever that is
	}
	dir := filepath.Join(home, l.Owner)
	rec, err := ReadRecord(dir)
	if err != nil {
		return who
	}
	if pid, ok := state.LockHolder(dir); !ok || pid != l.PID {
		return who // a cluster of the same name in another home
	}
	for _, n := range rec.Plan.Nodes {
		if slices.ContainsFunc(listenerAddresses(n.Listeners), func(a ports.Addr) bool { return ports.Conflict(a, l.Addr) }) {
			return fmt.Sprintf("node %d (%s) of %s", n.Index, n.Name, who)
		}
	}
	return who
}

// adds reports whether the port is one that the plan gives to a node that the cluster does not have yet.
func adds(rec *Record, p *plan.Plan, port int) bool {
	for _, n := range p.Nodes {
		for _, l := range n.Listeners {
			if l.Port == port {
				return !rec.HasJoined(n.Index)
			}
		}
	}
	return false
}
