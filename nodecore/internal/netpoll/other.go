//go:build !linux

package netpoll

import (
	"net"
	"syscall"
)

// Poller is not there on this system.
type Poller struct{}

// Open returns ErrUnsupported.
func Open() (*Poller, error) { return nil, ErrUnsupported }

// Listen is never called, nor is Close.
func (*Poller) Listen(syscall.Conn, func(*Conn), func(error, func())) error { return ErrUnsupported }

// Close does nothing.
func (*Poller) Close() error { return nil }

// Conn is never made on this system.
type Conn struct{ net.Conn }

// Start is never called.
func (*Conn) Start(func()) error { return ErrUnsupported }
