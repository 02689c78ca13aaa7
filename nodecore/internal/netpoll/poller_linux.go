package netpoll

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxEvents is how many events are taken from the kernel at once.
const maxEvents = 128

// Poller waits for its connections and listeners.
type Poller struct {
	file *os.File // the epoll instance; the runtime waits for it as for any other descriptor, so that no thread is blocked
	raw  syscall.RawConn
	wg   sync.WaitGroup

	mu   sync.RWMutex // guards what follows; nothing is called inside
	byFD []source     // what a descriptor belongs to; nil: nobody
}

// source is what an event is for. Its event is called from one goroutine, in order, and must not block.
type source interface {
	event(flags uint32)
}

// Open makes a poller and begins to wait.
func Open() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open poller: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("open poller: %w", err), unix.Close(fd))
	}
	p := &Poller{file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("open poller: %w", err), p.file.Close())
	}
	p.wg.Go(p.run)
	return p, nil
}

// Close ends the waiting. Connections and listeners are to be closed before.
func (p *Poller) Close() error {
	err := p.file.Close()
	p.wg.Wait()
	return err
}

// run reports events until the poller is closed. The runtime waits for the epoll instance between two calls.
func (p *Poller) run() {
	var events [maxEvents]unix.EpollEvent
	_ = p.raw.Read(func(epfd uintptr) bool { // its error says that the poller is closed
		for {
			n, err := unix.EpollWait(int(epfd), events[:], 0)
			for i := range max(0, n) {
				if s := p.source(int(events[i].Fd)); s != nil {
					s.event(events[i].Events)
				}
			}
			if n < maxEvents && err != unix.EINTR {
				return false
			}
		}
	})
}

func (p *Poller) source(fd int) source {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if fd < len(p.byFD) {
		return p.byFD[fd]
	}
	return nil
}

// set notes what a descriptor belongs to.
func (p *Poller) set(fd int, s source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.byFD) {
		p.byFD = slices.Grow(p.byFD, fd+1-len(p.byFD))
		p.byFD = p.byFD[:cap(p.byFD)]
	}
	p.byFD[fd] = s
}

// watch asks for the events of a descriptor, each once.
func (p *Poller) watch(op, fd int, flags uint32) error {
	var err error
	cerr := p.raw.Control(func(epfd uintptr) {
		err = unix.EpollCtl(int(epfd), op, fd, &unix.EpollEvent{Events: flags | unix.EPOLLET, Fd: int32(fd)})
	})
	return errors.Join(cerr, err)
}

// listener is a listening socket whose connections are accepted by the poller.
type listener struct {
	p        *Poller
	raw      syscall.RawConn
	accepted func(*Conn)
	failed   func(err error, again func())
}

// Listen accepts the connections of a TCP listener until it is closed by its owner. accepted and failed are called from the poller's
// goroutine, and must not block; after failed, nothing is accepted until again is called.
func (p *Poller) Listen(l syscall.Conn, accepted func(*Conn), failed func(err error, again func())) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return fmt.Errorf("poll listener: %w", err)
	}
	s := &listener{p: p, raw: raw, accepted: accepted, failed: failed}
	cerr := raw.Control(func(fd uintptr) {
		inherit(int(fd))
		p.set(int(fd), s)
		err = p.watch(unix.EPOLL_CTL_ADD, int(fd), unix.EPOLLIN)
	})
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("poll listener: %w", err)
	}
	return nil
}

// keepAlive is after how many seconds without a word a peer's host is asked whether it is there, as Go does it.
const keepAlive = 15

// inherit sets what accepted connections have from their listener. Where it can't be set, they work without.
func inherit(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAlive)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAlive)
}

func (s *listener) event(uint32) {
	for {
		fd, err := s.accept()
		switch {
		case err == nil:
			s.accepted(&Conn{p: s.p, fd: fd})
		case errors.Is(err, unix.EAGAIN), errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
		default:
			s.failed(err, func() { s.event(0) })
			return
		}
	}
}

// accept takes one connection; net.ErrClosed once the listener is closed.
func (s *listener) accept() (fd int, err error) {
	cerr := s.raw.Control(func(lfd uintptr) {
		fd, _, err = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	})
	if cerr != nil {
		return -1, net.ErrClosed
	}
	return fd, err
}
