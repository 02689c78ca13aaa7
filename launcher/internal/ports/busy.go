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
	t, err := newTester()
	if err != nil {
		return nil, err
	}
	taken := make([]bool, len(addrs))
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for part := range workers {
		wg.Go(func() {
			for i, a := range addrs {
				// One worker has all of a port, so that tests don't meet each other.
				if a.Port%workers != part {
					continue
				}
				if taken[i], errs[i] = t.busy(a); errs[i] != nil {
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

// tester tests ports against one snapshot of the kernel's tables.
type tester struct {
	blind    bool // no tables here
	sockets  map[slot][]Socket
	occupied func() ([]Socket, error) // taken once, when it is needed
	testing  sync.RWMutex             // read-held while a test has a port: what is occupied must not show our own tests
}

func newTester() (*tester, error) {
	all, err := Sockets()
	t := &tester{blind: errors.Is(err, errors.ErrUnsupported), sockets: make(map[slot][]Socket, len(all))}
	t.occupied = sync.OnceValues(func() ([]Socket, error) {
		t.testing.Lock()
		defer t.testing.Unlock()
		return occupied()
	})
	if err != nil && !t.blind {
		return nil, err
	}
	for _, s := range all {
		t.sockets[slot{s.Proto, s.Port}] = append(t.sockets[slot{s.Proto, s.Port}], s)
	}
	return t, nil
}

func (t *tester) busy(a Addr) (bool, error) {
	conflicts := func(s Socket) bool { return s.Conflicts(a) }
	if slices.ContainsFunc(t.sockets[slot{a.Proto, a.Port}], conflicts) {
		return true, nil
	}
	err := t.bind(a, false)
	if a.Proto == TCP && errors.Is(err, unix.EADDRINUSE) {
		// Perhaps it is only connections in TIME_WAIT, which SO_REUSEADDR, as
		// servers set it, passes over. But it passes over more: on Linux a socket
		// that is bound with it, too, elsewhere even a listener.
		if t.blind && answers(a) {
			return true, nil
		}
		if err = t.bind(a, true); err == nil && !t.blind {
			all, err := t.occupied()
			return slices.ContainsFunc(all, conflicts), err
		}
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return true, nil
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return false, fmt.Errorf("%q is not an address of this host", a.Host)
	}
	return false, err
}

// bind tries an address for a moment.
func (t *tester) bind(a Addr, reuse bool) error {
	t.testing.RLock()
	defer t.testing.RUnlock()
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
