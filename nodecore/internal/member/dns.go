package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// dnsSettle is how long the addresses of nameless seeds, and which one is the lowest of
// those where a node answers, must have been the same before that node founds the cluster.
const dnsSettle = time.Second

// foundBy is what a node without a cluster knows of who founds it, by nameless seeds.
type foundBy struct {
	addrs []netip.AddrPort // of the last look-up, sorted; nil without nameless seeds
	first netip.AddrPort   // the lowest of those where a node answers, this one among them
	since time.Time        // since when both have been these; zero before the first round
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
		bs.dns = foundBy{addrs: addrs}
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

// finding is what a node without a cluster finds at a seed.
type finding struct {
	answers bool  // a node with this node's secret is there
	member  bool  // it is in a cluster
	err     error // why there is no answer
}

// joinOrFound asks the nodes at all seeds at once what they are, and joins one that
// is in a cluster. If there is none, the lowest of those that answer founds one. err
// is what went wrong when the seeds were looked up.
func (bs *bootstrap) joinOrFound(ctx context.Context, seeds []Target, err error) error {
	began := time.Now()
	found := make(map[string]finding, len(seeds))
	var members []Target
	for i, f := range bs.survey(ctx, seeds) {
		found[seeds[i].Addr] = f
		if f.member {
			members = append(members, seeds[i])
		}
	}
	if len(members) > 0 {
		return bs.tryEach(members, err)
	}
	if err == nil {
		err = bs.mayFound(found, began)
	}
	if err != nil {
		return err
	}
	return bs.found(ctx)
}

// survey asks all seeds at once.
func (bs *bootstrap) survey(ctx context.Context, seeds []Target) []finding {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	found := make([]finding, len(seeds))
	var wg sync.WaitGroup
	for i, t := range seeds {
		wg.Go(func() {
			a, err := bs.askOnce(ctx, Member{Name: t.Name, Addr: t.Addr}, bs.request(opList))
			found[i] = finding{answers: err == nil, member: a.Cluster != "", err: err}
		})
	}
	wg.Wait()
	return found
}

// mayFound returns nil if this node is the one that founds the cluster of its nameless
// seeds, in a round of questions that began at began and found nobody in a cluster:
// its address is the lowest of those where a node answers, and has been for a while.
// Seeds that don't answer may be nodes behind a cut network, which found a cluster
// there: unless no process listens at any of them, those that answer must be more
// than half of all.
func (bs *bootstrap) mayFound(found map[string]finding, began time.Time) error {
	var first netip.AddrPort
	var silent error
	answer, refused := 0, 0
	for _, a := range bs.dns.addrs {
		f, asked := found[a.String()]
		switch {
		case f.answers || !asked: // the one that was not asked is this node
			answer++
			if !first.IsValid() {
				first = a
			}
		case connectionRefused(f.err):
			refused++
		default:
			silent = f.err
		}
	}
	if first != bs.dns.first || bs.dns.since.IsZero() {
		bs.dns.first, bs.dns.since = first, time.Now()
	}
	all := len(bs.dns.addrs)
	switch {
	case first != bs.cfg.Advertise:
		return fmt.Errorf("no node at the seeds is in a cluster; the one at %s is to found it", first)
	case answer+refused < all && 2*answer <= all:
		return fmt.Errorf("no node at the seeds is in a cluster, and %d of the %d do not answer: %w", all-answer-refused, all, silent)
	case began.Sub(bs.dns.since) < dnsSettle:
		return errors.New("no node at the seeds is in a cluster")
	}
	return nil
}
