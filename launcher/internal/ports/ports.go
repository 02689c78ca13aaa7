package ports

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Proto is a transport protocol.
type Proto string

const (
	TCP Proto = "tcp"
	UDP Proto = "udp"
)

// Addr is one port as a server will bind it.
type Addr struct {
	Proto Proto
	// Host is an IP address. "" and "*" mean every address, IPv4 and IPv6;
	// "localhost" means 127.0.0.1. Any other name counts as every address.
	Host string
	Port int
}

// String is "tcp 127.0.0.1:1883".
func (a Addr) String() string {
	host := a.Host
	if host == "" {
		host = "*"
	}
	return string(a.Proto) + " " + net.JoinHostPort(host, strconv.Itoa(a.Port))
}

func (a Addr) ip() netip.Addr {
	if a.Host == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, err := netip.ParseAddr(strings.Trim(a.Host, "[]"))
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return ip.Unmap().WithZone("")
}

func (a Addr) check() error {
	if a.Proto != TCP && a.Proto != UDP {
		return fmt.Errorf("port %v: unknown protocol %q", a, a.Proto)
	}
	if a.Port < 1 || a.Port > 65535 {
		return fmt.Errorf("port %v: not between 1 and 65535", a)
	}
	return nil
}

// Socket is a socket that occupies a port: a TCP socket that listens or is bound
// without listening (where the kernel shows those), or a UDP socket.
type Socket struct {
	Proto Proto
	Host  netip.Addr // unspecified: every address
	Port  int
	Inode uint64 // identifies the socket in /proc/PID/fd
	// Listening is false for a TCP socket that is only bound.
	Listening bool
	// V6Only is set for an IPv6 socket on every address that leaves IPv4 alone.
	V6Only bool
}

// Addr is the socket's port and address.
func (s Socket) Addr() Addr { return Addr{Proto: s.Proto, Host: s.Host.String(), Port: s.Port} }

// Conflicts reports whether a server could not bind the address because of this
// socket: same protocol and port, and one of both addresses covers the other.
func (s Socket) Conflicts(a Addr) bool {
	return s.Proto == a.Proto && s.Port == a.Port && overlap(s.Host, s.V6Only, a.ip(), false)
}

// Conflict reports whether two servers could not bind both.
func Conflict(a, b Addr) bool {
	return a.Proto == b.Proto && a.Port == b.Port && overlap(a.ip(), false, b.ip(), false)
}

// overlap reports whether two bound addresses cover a common one. An unspecified
// IPv6 address covers IPv4 too, unless it is for IPv6 only.
func overlap(a netip.Addr, aV6Only bool, b netip.Addr, bV6Only bool) bool {
	switch {
	case a == b:
		return true
	case a.IsUnspecified():
		return a.Is4() == b.Is4() || a.Is6() && !aV6Only || b.Is6() && b.IsUnspecified() && !bV6Only
	case b.IsUnspecified():
		return overlap(b, bV6Only, a, aV6Only)
	default:
		return false
	}
}

// View is what of the host matters to a plan, at one moment.
type View struct {
	// Sockets are the ports in use.
	Sockets []Socket
	// Leases are the ports and names that clusters hold, bound or not.
	Leases []Leased
	// EphemeralLow and EphemeralHigh bound the range that the kernel gives to
	// outgoing connections, both included; 0 and 0 if unknown.
	EphemeralLow, EphemeralHigh int
	// Blind is set where the system can't list sockets: Sockets is empty then,
	// and Busy has to be asked about the ports in question.
	Blind bool
}

// Observe returns the View of this moment.
func Observe() (View, error) {
	var v View
	var err error
	if v.Sockets, v.Blind, err = look(); err != nil {
		return View{}, fmt.Errorf("look at ports in use: %w", err)
	}
	if v.Leases, err = Leases(); err != nil {
		return View{}, err
	}
	v.EphemeralLow, v.EphemeralHigh = ephemeral()
	return v, nil
}

// Used reports whether the address can't be bound, or is another cluster's, and
// says why in words: "in use", "leased by cluster a".
func (v View) Used(a Addr) (why string, used bool) {
	for _, l := range v.Leases {
		if l.Name == "" && Conflict(l.Addr, a) {
			return "leased by " + l.Owner, true
		}
	}
	for _, s := range v.Sockets {
		if s.Conflicts(a) {
			return "in use", true
		}
	}
	return "", false
}

// NameUsed reports whether another cluster holds the name.
func (v View) NameUsed(name string) bool {
	key := Leased{Name: name}.nameKey()
	return slices.ContainsFunc(v.Leases, func(l Leased) bool { return l.Name != "" && l.nameKey() == key })
}

// Process names who holds a port.
type Process struct {
	PID  int
	Name string
}

func (p Process) String() string {
	if p.Name == "" {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
}

// Holder returns the process that occupies the address, if the system lets us
// see it: other users' processes are often hidden. It reads the descriptors of
// every process, so it is for error messages.
func Holder(a Addr) (Process, bool) {
	sockets, err := occupied()
	if err != nil {
		return Process{}, false
	}
	for _, s := range sockets {
		if !s.Conflicts(a) || s.Inode == 0 {
			continue
		}
		if p, ok := inodeHolder(s.Inode); ok {
			return p, true
		}
	}
	return Process{}, false
}
