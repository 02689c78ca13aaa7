// Package netpoll accepts TCP connections that need no goroutine while nothing comes: one goroutine waits for all of them, and says of
// each that it can be read, in the order in which their data came. It knows nothing of what is said on them.
//
// It is there on Linux (epoll). Start at Open; elsewhere Open returns ErrUnsupported, and a connection needs a goroutine that reads.
package netpoll

import "errors"

// ErrUnsupported is Open's where there is no poller.
var ErrUnsupported = errors.New("polling of connections is not supported on this system")

// ErrAgain is what Conn.Read returns when nothing has come; the function that Conn.Start was given is called when there is something.
var ErrAgain = errors.New("nothing to read")
