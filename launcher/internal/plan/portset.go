package plan

import "net/netip"

const (
	tcp = iota
	udp
	protos
)

func protoIndex(name string) int {
	if name == "udp" {
		return udp
	}
	return tcp
}

func protoName(i int) string { return [...]string{"tcp", "udp"}[i] }

// bits is a set of ports of each protocol.
type bits [protos][1 << 16 / 64]uint64

func (b *bits) has(proto, port int) bool { return b[proto][port>>6]&(1<<(port&63)) != 0 }
func (b *bits) add(proto, port int)      { b[proto][port>>6] |= 1 << (port & 63) }
func (b *bits) remove(proto, port int)   { b[proto][port>>6] &^= 1 << (port & 63) }

// portSet is a set of ports with the addresses that they are bound to.
type portSet struct {
	every bits             // on some address
	any   bits             // on all addresses
	at    map[string]*bits // on one address
}

func (s *portSet) add(proto int, host string, port int) {
	if port < 0 || port > 65535 {
		return
	}
	s.every.add(proto, port)
	host, any := plainHost(host)
	if any {
		s.any.add(proto, port)
		return
	}
	if s.at == nil {
		s.at = make(map[string]*bits)
	}
	if s.at[host] == nil {
		s.at[host] = new(bits)
	}
	s.at[host].add(proto, port)
}

// blocks reports whether the set keeps a port from being bound on host, or on all addresses. The port is 0…65535.
func (s *portSet) blocks(proto int, host string, any bool, port int) bool {
	if !s.every.has(proto, port) {
		return false
	}
	if any || s.any.has(proto, port) {
		return true
	}
	at := s.at[host]
	return at != nil && at.has(proto, port)
}

// plainHost gives one form to an address, and reports whether it stands for all of them.
func plainHost(host string) (plain string, any bool) {
	if host == "" || host == DefaultHost {
		return host, host == ""
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host, host == "*"
	}
	addr = addr.Unmap().WithZone("")
	return addr.String(), addr.IsUnspecified()
}
