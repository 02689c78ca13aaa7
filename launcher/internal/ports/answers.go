package ports

import (
	"net"
	"strconv"
	"time"
)

// answers reports whether a server accepts connections at the address.
func answers(a Addr) bool {
	host := a.ip().String()
	if a.ip().IsUnspecified() {
		host = "127.0.0.1"
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(a.Port)), time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}
