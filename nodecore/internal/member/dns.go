package member

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// dnsSettle is how long the addresses of nameless seeds must have been the same
// before the node with the lowest of them founds the cluster.
const dnsSettle = time.Second

// foundBy is what a node without a cluster knows of who founds it, by nameless seeds.
type foundBy struct {
	addrs []netip.AddrPort // of the last look-up, sorted; nil without nameless seeds
	since time.Time        // since when they have been these
}

// resolve returns the seeds, with the nodes that nameless ones stand for; without
// this node itself.
func (bs *bootstrap) resolve(ctx context.Context) ([]Target, error) {
	var list []Target
	var addrs []netip.AddrPort
	var errs []error
	for _, t := range bs.cfg.Seeds {
		if t.Name != "" {
			list = append(list, t)
			continue
		}
		found, err := lookUp(ctx, t.Addr)
		errs = append(errs, err)
		addrs = append(addrs, found...)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	addrs = slices.Compact(addrs)
	if !slices.Equal(addrs, bs.dns.addrs) {
		bs.dns = foundBy{addrs: addrs, since: time.Now()}
	}
	for _, a := range addrs {
		if a != bs.cfg.Advertise {
			list = append(list, Target{Addr: a.String()})
		}
	}
	return list, errors.Join(errs...)
}

// lookUp returns all addresses of a host.
func lookUp(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(n)))
	}
	return addrs, nil
}

// founds reports whether this node is the one that founds the cluster of its
// nameless seeds: its address is the lowest of theirs, and nobody there has been
// found to be in a cluster, in a round of questions that began at began.
func (bs *bootstrap) founds(began time.Time) bool {
	return len(bs.dns.addrs) > 0 && bs.dns.addrs[0] == bs.cfg.Advertise && began.Sub(bs.dns.since) >= dnsSettle
}
