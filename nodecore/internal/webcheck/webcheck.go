// Package webcheck decides whether an HTTP request may be answered, by its Host
// and Origin: a page from anywhere on the web, in the browser of somebody who
// can reach the node, must neither read nor publish (cross-site requests, DNS
// rebinding).
//
// It is no authentication: programs can say what they like in both headers.
// Start at New.
package webcheck

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Checker knows which hosts a node is called by. Its zero value allows the names
// and addresses of loopback, and the address that a request has reached.
type Checker struct {
	hosts []string // lower case; *.x is all below x, * is everything
}

// New makes a Checker that allows more hosts: names, addresses, *.NAME for all
// names below, or * for everything.
func New(hosts ...string) *Checker {
	c := &Checker{}
	for _, h := range hosts {
		c.hosts = append(c.hosts, strings.ToLower(h))
	}
	return c
}

// DeniedError is why a request may not be answered.
type DeniedError struct {
	Header, Value string // Host or Origin, and what it says
}

func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s %q is not allowed: add its host to web.hosts of the node's configuration", e.Header, e.Value)
}

// Check returns a *DeniedError if a request may not be answered.
func (c *Checker) Check(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if r.Host != "" && !c.allows(hostname(r.Host), local) { // only clients of HTTP/1.0 say none, and they are no browsers
		return &DeniedError{"Host", r.Host}
	}
	for _, o := range r.Header.Values("Origin") {
		u, err := url.Parse(o)
		if err != nil || !c.allows(u.Hostname(), local) { // "null" has no host
			return &DeniedError{"Origin", o}
		}
	}
	return nil
}

// Handler answers requests that are not allowed with 403, and passes the others on.
func (c *Checker) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host header without its port.
func hostname(host string) string {
	return (&url.URL{Host: host}).Hostname()
}

// allows tells whether a node may be called by this name or address, on a
// connection to the address local.
func (c *Checker) allows(host string, local net.Addr) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if ip.IsLoopback() || local != nil && sameIP(ip, local) {
			return true
		}
	}
	for _, h := range c.hosts {
		suffix, below := strings.CutPrefix(h, "*")
		if h == "*" || h == host || below && host != "" && strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

func sameIP(ip netip.Addr, local net.Addr) bool {
	ap, err := netip.ParseAddrPort(local.String())
	return err == nil && ap.Addr().Unmap().WithZone("") == ip.WithZone("")
}
