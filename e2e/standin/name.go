package main

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

const (
	distBase = 4370
	rpcBase  = 5370
)

var shortNamePattern = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

// spoken is an error in EMQX's own words, which its users see as they are.
type spoken string

func (s spoken) Error() string { return string(s) }

// nodeName is NAME@HOST.
type nodeName string

func (n nodeName) short() string {
	short, _, _ := strings.Cut(string(n), "@")
	return short
}

func (n nodeName) host() string {
	_, host, _ := strings.Cut(string(n), "@")
	return host
}

// checkShort tells whether the part before the @ may be used.
func (n nodeName) checkShort() error {
	if !shortNamePattern.MatchString(n.short()) {
		return spoken(fmt.Sprintf("Invalid node name, should be of format '%s'.", shortNamePattern))
	}
	return nil
}

// reachable tells whether Erlang's long names allow the host: an IP address or a dotted name. A node with another host
// runs, but nobody can talk to it.
func (n nodeName) reachable() bool {
	host := n.host()
	return net.ParseIP(host) != nil || strings.Contains(strings.Trim(host, "."), ".")
}

// number is made of the digits just before the @; a name without any has number 0. The node's dist and rpc ports hang
// on it, whatever the configuration says.
func (n nodeName) number() (int, error) {
	short := n.short()
	digits := short[len(strings.TrimRight(short, "0123456789")):]
	if digits == "" {
		return 0, nil
	}
	number, err := strconv.Atoi(digits)
	if err != nil || rpcBase+number > 65535 {
		return 0, fmt.Errorf("port of node '%s' is above 65535", n)
	}
	return number, nil
}
