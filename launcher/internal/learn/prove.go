package learn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strconv"
	"time"

	"onemore/launcher/internal/ports"
)

// The block that moved ports are taken from: below what the kernel gives to clients, with room for ports that a server
// derives by adding 10000 to another.
const (
	lowPort  = 11000
	highPort = 22000
)

// listeners are the ports of a trial, in order.
func listeners(seen map[socket]bool) []Listener {
	byPort := map[int]*Listener{}
	for s := range seen {
		l := byPort[s.port]
		if l == nil {
			l = &Listener{Port: s.port}
			byPort[s.port] = l
		}
		if !slices.Contains(l.Protocols, string(s.proto)) {
			l.Protocols = append(l.Protocols, string(s.proto))
			slices.Sort(l.Protocols)
		}
		if ip := net.ParseIP(s.host); ip != nil && ip.IsUnspecified() && l.Any != "0.0.0.0" {
			l.Any = s.host
		}
	}
	out := make([]Listener, 0, len(byPort))
	for _, l := range byPort {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Listener) int { return cmp.Compare(a.Port, b.Port) })
	return out
}

// proof is what a trial with other ports showed.
type proof struct {
	occurrences occurrences
	listeners   []Listener
	failed      error // the node did not live with other ports
	proven      int
	took        time.Duration
}

// prove starts nodes with every port moved, until one shows that all move: first as the keys say that speak of addresses, then
// as all that have the number; then so in files that the server changed as well, and last with files of an unknown format
// written as a whole.
func (l *learner) prove(ctx context.Context, found []Listener, c changes) (*proof, error) {
	tokens := l.pathTokens()
	for _, f := range found {
		tokens = append(tokens, token{strconv.Itoa(f.Port), f.Port})
	}
	slices.SortStableFunc(tokens, func(a, b token) int { return len(b.text) - len(a.text) })
	var best *proof
	var tried []occurrences
	for _, s := range l.searches(c) {
		p := s.tree.find(l.command, tokens, s.finder)
		p.move(l.places)
		if slices.ContainsFunc(tried, func(o occurrences) bool { return reflect.DeepEqual(o.files, p.files) }) {
			continue
		}
		tried = append(tried, p)
		l.o.Log("start another with every port moved")
		got, err := l.try(ctx, p, found, setup{})
		if err != nil {
			return nil, err
		}
		if best == nil || got.proven > best.proven || got.proven == best.proven && best.failed != nil && got.failed == nil {
			best = got
		}
		if got.proven == len(found) {
			break
		}
	}
	return best, nil
}

// search is where, and how, ports are looked for in files.
type search struct {
	tree *tree
	finder
}

// searches are those of prove, the most careful one first.
func (l *learner) searches(c changes) []search {
	kept := &tree{files: map[string]file{}, dirs: l.tree.dirs}
	for name, f := range l.tree.files {
		if !c.touched[name] {
			kept.files[name] = f
		}
	}
	var out []search
	for _, whole := range []bool{false, true} {
		for _, t := range []*tree{kept, l.tree} {
			for _, takes := range []keyFilter{likeAPort, anyKey} {
				out = append(out, search{t, finder{takes: takes, whole: whole}})
			}
		}
	}
	return out
}

// try runs a node with other ports, otherwise as the setup says.
func (l *learner) try(ctx context.Context, p occurrences, found []Listener, with setup) (*proof, error) {
	out := &proof{occurrences: p, listeners: slices.Clone(found)}
	for i := range out.listeners {
		out.listeners[i].Where = p.of(out.listeners[i].Port)
	}
	to, lease, err := choose(ctx, out.listeners)
	if err != nil {
		return nil, err
	}
	defer lease.Close()
	want := len(found)
	there := func(seen map[socket]bool) bool {
		now := listeners(seen)
		for _, f := range out.listeners {
			if len(f.Where) > 0 && !has(now, to[f.Port], f.Protocols) {
				return false
			}
		}
		return len(now) >= want
	}
	with.port = func(port int) string { return strconv.Itoa(to[port]) }
	began := time.Now()
	second, err := l.run(ctx, p, with, there)
	out.took = time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			return nil, err
		}
		out.failed = err
	} else {
		out.judge(to, listeners(second.sockets))
	}
	for i := range out.listeners {
		f := &out.listeners[i]
		if f.Proven {
			out.proven++
		} else if out.failed != nil && len(f.Where) > 0 {
			f.Why = "the node that was told other ports did not live"
		} else if f.Why == "" {
			f.Why = "no place that names it was found"
		}
	}
	return out, nil
}

func has(all []Listener, port int, protocols []string) bool {
	i := slices.IndexFunc(all, func(l Listener) bool { return l.Port == port })
	return i >= 0 && !slices.ContainsFunc(protocols, func(p string) bool { return !slices.Contains(all[i].Protocols, p) })
}

// judge compares where the node listened with where it was told to.
func (p *proof) judge(to map[int]int, now []Listener) {
	for i := range p.listeners {
		f := &p.listeners[i]
		switch {
		case len(f.Where) > 0 && has(now, to[f.Port], f.Protocols):
			f.Proven = true
		case len(f.Where) > 0 && has(now, f.Port, f.Protocols):
			f.Why = fmt.Sprintf("the node was told %d and stayed at %d", to[f.Port], f.Port)
		case len(f.Where) > 0:
			f.Why = fmt.Sprintf("the node was told %d and listened at neither", to[f.Port])
		case has(now, f.Port, f.Protocols):
			f.Why = "it stays where it is, and nothing in the directory, the command or the environment names it"
		}
	}
	for i := range p.listeners {
		f := &p.listeners[i]
		if len(f.Where) > 0 || has(now, f.Port, f.Protocols) {
			continue
		}
		for _, of := range p.listeners {
			if by := f.Port - of.Port; of.Proven && len(of.Where) > 0 && has(now, to[of.Port]+by, f.Protocols) {
				f.Derive, f.Proven = fmt.Sprintf("%d%+d", of.Port, by), true
				break
			}
		}
		if !f.Proven {
			f.Why = "another node had it elsewhere: the server takes any port, or only now and then"
		}
	}
}

// choose takes a free port for each listener that can be told one, each moved by another distance, so that what moves
// along shows with whom; they are leased until the lease is closed. The map has all.
func choose(ctx context.Context, found []Listener) (map[int]int, *ports.Lease, error) {
	var err error
	for range 20 {
		to, want := map[int]int{}, ports.Want{}
		by := lowPort + rand.IntN(highPort-lowPort)
		for i, f := range found {
			to[f.Port] = by + i*7 + i*i
			for _, proto := range []ports.Proto{ports.TCP, ports.UDP} {
				want.Addrs = append(want.Addrs, ports.Addr{Proto: proto, Port: to[f.Port]})
				for _, other := range found {
					if p := to[f.Port] + other.Port - f.Port; len(other.Where) == 0 && p > 0 && p < 65536 {
						want.Addrs = append(want.Addrs, ports.Addr{Proto: proto, Port: p})
					}
				}
			}
		}
		slices.SortFunc(want.Addrs, func(a, b ports.Addr) int {
			return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
		})
		want.Addrs = slices.Compact(want.Addrs)
		var lease *ports.Lease
		if lease, err = ports.Acquire(ctx, want, "onemore learn"); err == nil {
			return to, lease, nil
		}
	}
	return nil, nil, fmt.Errorf("find free ports: %w", err)
}
