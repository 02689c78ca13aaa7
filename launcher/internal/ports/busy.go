package ports

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// workers is how many ports are tested at the same time: each test is four
// calls of the kernel, and a large cluster has hundreds.
const workers = 4

// Busy returns those of the addresses that a server could not bind now, leases
// aside. It binds each for a moment, without listening, so it also sees what the
// tables of the kernel don't show: a socket that is bound and nothing more, or
// the local end of a connection. A port whose former connections are still in
// TIME_WAIT is free.
func Busy(addrs []Addr) ([]Addr, error) {
	sockets, err := occupied()
	blind := errors.Is(err, errors.ErrUnsupported)
	if err != nil && !blind {
		return nil, err
	}
	used := make(map[slot][]Socket, len(sockets))
	for _, s := range sockets {
		used[slot{s.Proto, s.Port}] = append(used[slot{s.Proto, s.Port}], s)
	}
	taken := make([]bool, len(addrs))
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for part := range workers {
		wg.Go(func() {
			for i := part; i < len(addrs); i += workers {
				a := addrs[i]
				taken[i] = slices.ContainsFunc(used[slot{a.Proto, a.Port}], func(s Socket) bool { return s.Conflicts(a) })
				if taken[i] {
					continue
				}
				if taken[i], errs[i] = bindFails(a, blind); errs[i] != nil {
					errs[i] = fmt.Errorf("test port %v: %w", a, errs[i])
				}
			}
		})
	}
	wg.Wait()
	var busy []Addr
	for i, a := range addrs {
		if taken[i] {
			busy = append(busy, a)
		}
	}
	return busy, errors.Join(errs...)
}

// bindFails tries to bind the address. On TCP a first failure may be due to
// connections in TIME_WAIT only, which SO_REUSEADDR, as servers set it, passes
// over. Where sockets can't be listed, a port that something answers on is taken
// even so: outside Linux the option lets one bind beside a listener.
func bindFails(a Addr, blind bool) (bool, error) {
	err := bind(a, false)
	if a.Proto == TCP && errors.Is(err, unix.EADDRINUSE) {
		if blind && answers(a) {
			return true, nil
		}
		err = bind(a, true)
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return true, nil
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return false, fmt.Errorf("%q is not an address of this host", a.Host)
	}
	return false, err
}

func bind(a Addr, reuse bool) error {
	kind := unix.SOCK_STREAM
	if a.Proto == UDP {
		kind = unix.SOCK_DGRAM
	}
	ip := a.ip()
	family := unix.AF_INET6
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16()}
	if ip.Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}
	}
	fd, err := openSocket(family, kind)
	if errors.Is(err, unix.EAFNOSUPPORT) && ip.Is6() && ip.IsUnspecified() {
		sa = &unix.SockaddrInet4{Port: a.Port} // a host without IPv6
		fd, err = openSocket(unix.AF_INET, kind)
	}
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	if reuse {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("set SO_REUSEADDR: %w", err)
		}
	}
	if family == unix.AF_INET6 {
		// Hosts may default to IPv6 only; a server that binds every address is
		// taken at its word.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	return unix.Bind(fd, sa)
}
