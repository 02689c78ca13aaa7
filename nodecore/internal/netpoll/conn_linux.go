package netpoll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is an accepted TCP connection. It is a net.Conn whose Read doesn't wait.
type Conn struct {
	p     *Poller
	fd    int
	ready func() // see Start

	events   atomic.Uint64 // that have come
	spent    atomic.Uint64 // events, plus one, at a Read that took all there was
	ending   atomic.Bool   // the peer has said that it sends no more, or the connection is broken
	uses     atomic.Int32  // calls that use fd, in steps of 2; the lowest bit says that the connection is closed
	readEnd  atomic.Int64  // read deadline, Unix nanoseconds; 0 none
	writeEnd atomic.Int64  // write deadline, likewise
	late     *time.Timer   // fires at a read deadline, or before; guarded by mu
	mu       sync.Mutex    // nothing is taken inside
	room     chan struct{} // signalled when more can be written, capacity 1; nil until that was waited for once; guarded by mu
}

const closed = 1 // bit of uses

// Start has ready called when there may be something to read, the end and the read deadline included: from the poller's goroutine, in
// the order in which data came, or from that of Close or a timer. It must not block, and may be called for nothing.
func (c *Conn) Start(ready func()) error {
	c.ready = ready
	c.p.set(c.fd, c)
	return c.p.watch(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN|unix.EPOLLRDHUP)
}

func (c *Conn) event(flags uint32) {
	if flags&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		c.wakeWriter()
	}
	if flags&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		c.ending.Store(true)
	}
	if flags&^unix.EPOLLOUT != 0 {
		c.events.Add(1)
		c.ready()
	}
}

func (c *Conn) wakeWriter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == nil {
		return
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// acquire keeps the descriptor open until release; false if the connection is closed.
func (c *Conn) acquire() bool {
	for {
		n := c.uses.Load()
		if n&closed != 0 {
			return false
		}
		if c.uses.CompareAndSwap(n, n+2) {
			return true
		}
	}
}

func (c *Conn) release() {
	if c.uses.Add(-2) == closed {
		c.destroy()
	}
}

// destroy gives the descriptor back.
func (c *Conn) destroy() {
	c.p.set(c.fd, nil)
	unix.Close(c.fd) // there is nothing left to be lost
}

// Close implements net.Conn. It may be called more than once.
func (c *Conn) Close() error {
	for {
		n := c.uses.Load()
		if n&closed != 0 {
			return nil
		}
		if c.uses.CompareAndSwap(n, n|closed) {
			if n == 0 {
				c.destroy()
			}
			break
		}
	}
	c.mu.Lock()
	if c.late != nil {
		c.late.Stop()
	}
	c.mu.Unlock()
	c.wakeWriter()
	if c.ready != nil {
		c.ready()
	}
	return nil
}

// Read implements io.Reader, but that it returns ErrAgain in place of waiting.
func (c *Conn) Read(b []byte) (int, error) {
	if end := c.readEnd.Load(); end != 0 && time.Now().UnixNano() >= end {
		return 0, os.ErrDeadlineExceeded
	}
	if !c.acquire() {
		return 0, net.ErrClosed
	}
	defer c.release()
	events := c.events.Load() + 1
	if c.spent.Load() == events && !c.ending.Load() { // it would be in vain
		return 0, ErrAgain
	}
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			if n < len(b) {
				c.spent.Store(events)
			}
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrAgain
		case !errors.Is(err, unix.EINTR):
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (written int, err error) {
	if !c.acquire() {
		return 0, net.ErrClosed
	}
	defer c.release()
	for written < len(b) {
		n, err := unix.Write(c.fd, b[written:])
		switch {
		case err == nil:
			written += n
		case errors.Is(err, unix.EAGAIN):
			if err := c.awaitRoom(); err != nil {
				return written, err
			}
		case !errors.Is(err, unix.EINTR):
			return written, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", err)}
		}
	}
	return written, nil
}

// awaitRoom returns when more can be written, perhaps.
func (c *Conn) awaitRoom() error {
	c.mu.Lock()
	first := c.room == nil
	if first {
		c.room = make(chan struct{}, 1)
	}
	room := c.room
	c.mu.Unlock()
	if c.uses.Load()&closed != 0 {
		return net.ErrClosed
	}
	if first {
		if err := c.p.watch(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLOUT); err != nil {
			return err
		}
	}
	end := c.writeEnd.Load()
	if end == 0 {
		<-room
		return nil
	}
	left := time.Until(time.Unix(0, end))
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-room:
		return nil
	case <-t.C:
		return nil // the deadline may have been moved
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. It costs little to move a deadline back again and again.
func (c *Conn) SetReadDeadline(t time.Time) error {
	end := nanos(t)
	was := c.readEnd.Swap(end)
	if end == 0 || was != 0 && was <= end { // the timer that runs will see
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late == nil {
		c.late = time.AfterFunc(time.Until(t), c.expire)
	} else {
		c.late.Reset(time.Until(t))
	}
	return nil
}

// expire is called when a read deadline is over that may have been moved since.
func (c *Conn) expire() {
	end := c.readEnd.Load()
	if c.uses.Load()&closed != 0 || end == 0 {
		return
	}
	if left := time.Until(time.Unix(0, end)); left > 0 {
		c.mu.Lock()
		c.late.Reset(left)
		c.mu.Unlock()
		return
	}
	c.ready()
}

// SetWriteDeadline implements net.Conn. A Write that waits sees an earlier deadline when it is woken.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeEnd.Store(nanos(t))
	c.wakeWriter()
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.addr(unix.Getsockname) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.addr(unix.Getpeername) }

func (c *Conn) addr(of func(int) (unix.Sockaddr, error)) net.Addr {
	if !c.acquire() {
		return &net.TCPAddr{}
	}
	defer c.release()
	sa, err := of(c.fd)
	if err != nil {
		return &net.TCPAddr{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)))
	}
	return &net.TCPAddr{}
}
