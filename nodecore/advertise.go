package nodecore

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"onemore/nodecore/internal/member"
)

// splitAdvertise reads HOST or HOST:PORT; port is 0 if none is given.
func splitAdvertise(s string) (host string, port uint16, err error) {
	host = s
	if h, p, serr := net.SplitHostPort(s); serr == nil {
		n, perr := strconv.ParseUint(p, 10, 16)
		if perr != nil || n == 0 {
			return "", 0, fmt.Errorf("%q: port %q is not a number from 1 to 65535", s, p)
		}
		host, port = h, uint16(n)
	}
	if !member.IsHost(host) {
		return "", 0, fmt.Errorf("%q is neither HOST nor HOST:PORT: the host is an IP address or a fully qualified domain name", s)
	}
	return host, port, nil
}

func checkAdvertise(s string) error {
	if s == "" {
		return nil
	}
	_, _, err := splitAdvertise(s)
	return err
}

// advertised is where other nodes reach what is bound to addr: configured, or the
// address itself, or, if that is no particular one, the host of the node's name.
func (c *Config) advertised(configured string, addr net.Addr) (host string, port uint16, err error) {
	bound, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return "", 0, fmt.Errorf("read own address %q: %w", addr, err)
	}
	if configured == "" {
		host = bound.Addr().Unmap().String()
		if bound.Addr().IsUnspecified() {
			_, host, _ = strings.Cut(c.Node.Name, "@")
		}
		return host, bound.Port(), nil
	}
	if host, port, err = splitAdvertise(configured); err == nil && port == 0 {
		port = bound.Port()
	}
	return host, port, err
}

// advertiseCluster is the address of the cluster port for others: gossip has no
// names, so it is looked up.
func (c *Config) advertiseCluster(addr net.Addr) (netip.AddrPort, error) {
	host, port, err := c.advertised(c.Cluster.Advertise, addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), port), nil
	}
	ips, err := net.LookupIP(host)
	if err == nil && len(ips) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find address of %q: %w", host, err)
	}
	ip, _ := netip.AddrFromSlice(ips[0])
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}

// advertiseForward is the same for the port for links, which is looked up by
// whoever connects.
func (c *Config) advertiseForward(addr net.Addr) (string, error) {
	host, port, err := c.advertised(c.Cluster.AdvertiseForward, addr)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}
