package main

import (
	"net"
	"sync"
)

// acceptor runs one handler per connection of a port, and ends them all on close.
type acceptor struct {
	listener net.Listener
	handle   func(net.Conn)

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

// accept takes over an open listener; handle returns when its connection is closed.
func accept(listener net.Listener, handle func(net.Conn)) *acceptor {
	a := &acceptor{listener: listener, handle: handle, conns: map[net.Conn]bool{}}
	a.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if a.add(conn) {
				a.wg.Go(func() {
					defer a.remove(conn)
					handle(conn)
				})
			}
		}
	})
	return a
}

func (a *acceptor) add(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		conn.Close()
		return false
	}
	a.conns[conn] = true
	return true
}

func (a *acceptor) remove(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, conn)
	conn.Close()
}

// Close frees the port, ends every connection and waits for the handlers.
func (a *acceptor) Close() error {
	a.mu.Lock()
	a.closed = true
	for conn := range a.conns {
		conn.Close()
	}
	a.mu.Unlock()
	err := a.listener.Close()
	a.wg.Wait()
	return err
}
