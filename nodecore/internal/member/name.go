package member

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is the cluster port of a node whose address names none.
const DefaultPort = 7946

// maxName bounds a node name, so that every gossip message fits a packet.
const maxName = 128

// CheckName says what is wrong with a node name. A name is Name@Host: Name of
// letters, digits, _ and -; Host an IP address or a fully qualified domain name.
func CheckName(name string) error {
	part, host, found := strings.Cut(name, "@")
	switch {
	case !found:
		return fmt.Errorf("node name %q has no host: want Name@Host, for example %s@127.0.0.1", name, sample(part))
	case len(name) > maxName:
		return fmt.Errorf("node name %q is longer than %d bytes", name, maxName)
	case !isNamePart(part):
		return fmt.Errorf("node name %q: the part before @ must match ^[0-9A-Za-z_-]+$", name)
	case !IsHost(host):
		return fmt.Errorf("node name %q: %q is neither an IP address nor a fully qualified domain name", name, host)
	}
	return nil
}

// sample is a valid name part for the error's example, the user's own if possible.
func sample(part string) string {
	if isNamePart(part) && len(part) < maxName {
		return part
	}
	return "onemore1"
}

// isNamePart and IsHost are written out, without regular expressions, because
// they run for every member in every exchange.
func isNamePart(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// IsHost reports whether a host is an IP address or a fully qualified domain name.
func IsHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || strings.Trim(last, "0123456789") == "" {
		return false
	}
	for _, l := range labels {
		if !isLabel(l) {
			return false
		}
	}
	return true
}

// isLabel checks one part of a domain name.
func isLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := range len(l) {
		if !isAlnum(l[i]) && l[i] != '-' {
			return false
		}
	}
	return true
}

// Target is a node as a person names it: by name and, where the cluster port
// is not the default one, by port. As a seed it may have no name: then it is
// whichever nodes are at its address, or at all those that its host name has.
type Target struct {
	Name string // Name@Host; "" in @HOST
	Addr string // host:port of the cluster port
}

// ParseSeed reads NAME@HOST[:PORT] or @HOST[:PORT].
func ParseSeed(s string) (Target, error) {
	host, nameless := strings.CutPrefix(s, "@")
	if !nameless {
		return ParseTarget(s)
	}
	t, err := ParseTarget("any@" + host)
	if err != nil {
		return Target{}, fmt.Errorf("seed %q: the host is neither an IP address nor a fully qualified domain name, or the port is none", s)
	}
	return Target{Addr: t.Addr}, nil
}

// ParseTarget reads NAME@HOST[:PORT].
func ParseTarget(s string) (Target, error) {
	i := strings.LastIndexByte(s, ':')
	if _, host, _ := strings.Cut(s, "@"); i < 0 || IsHost(host) { // an IPv6 address may end like a port
		if err := CheckName(s); err != nil {
			return Target{}, err
		}
		return Target{Name: s, Addr: net.JoinHostPort(host, strconv.Itoa(DefaultPort))}, nil
	}
	name, port := s[:i], s[i+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Target{}, fmt.Errorf("node %q: port %q is not a number from 1 to 65535", s, port)
	}
	part, host, _ := strings.Cut(name, "@")
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	name = part + "@" + host
	if err := CheckName(name); err != nil {
		return Target{}, err
	}
	return Target{Name: name, Addr: net.JoinHostPort(host, port)}, nil
}

// gossipName is the name of one life of a node inside the gossip: it is
// never used again, so that late gossip about an earlier boot doesn't affect a
// later one.
func gossipName(m Member) string {
	return m.Name + "#" + m.ID + "." + strconv.FormatUint(m.Boot, 36)
}

// parseGossipName is the inverse of gossipName.
func parseGossipName(s string) (Member, error) {
	name, rest, ok := strings.Cut(s, "#")
	id, boot, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || id == "" {
		return Member{}, fmt.Errorf("parse gossip name %q: not name#id.boot", s)
	}
	n, err := strconv.ParseUint(boot, 36, 64)
	if err != nil {
		return Member{}, fmt.Errorf("parse gossip name %q: %w", s, err)
	}
	return Member{Name: name, ID: id, Boot: n}, nil
}
