package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"onemore/nodecore/internal/faults"

	"github.com/hashicorp/memberlist"
)

const (
	// maxStreams bounds the streams that others may have open on the cluster port.
	maxStreams = 512
	// packetBuffer is enough for any UDP packet.
	packetBuffer = 65536
	// udpBuffer is asked of the kernel, which gives what it allows.
	udpBuffer = 1 << 20
	// labelByte starts every packet and stream of memberlist that carries a cluster's label.
	labelByte = 244
)

// port owns the two sockets of the cluster port for the whole life of a node,
// through all the clusters that it enters and leaves. It separates gossip from
// control streams, and drops what is neither.
type port struct {
	tcp     net.Listener
	udp     net.PacketConn
	faults  *faults.Table
	log     *slog.Logger
	control func(net.Conn) // serves one control stream; closes nothing
	nameAt  func(netip.AddrPort) string

	gossip  atomic.Pointer[transport] // nil while the node is in no cluster
	garbage atomic.Uint64             // packets and streams dropped
	traffic struct{ sent, received, dialed, accepted atomic.Uint64 }
	slots   chan struct{}
	closing chan struct{}
	once    sync.Once
	wg      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newPort(cfg Config, control func(net.Conn), nameAt func(netip.AddrPort) string) *port {
	return &port{
		tcp: cfg.TCP, udp: cfg.UDP, faults: cfg.Faults, log: cfg.Logger, control: control, nameAt: nameAt,
		slots: make(chan struct{}, maxStreams), closing: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
}

// start lets traffic in; call it once.
func (p *port) start() {
	if c, ok := p.udp.(*net.UDPConn); ok {
		if err := c.SetReadBuffer(udpBuffer); err != nil {
			p.log.Debug("enlarge receive buffer", "error", err)
		}
	}
	p.wg.Go(p.accept)
	p.wg.Go(p.readPackets)
}

// close frees the port and ends every stream; it returns when all is over.
func (p *port) close() error {
	var err error
	p.once.Do(func() {
		close(p.closing)
		err = errors.Join(p.tcp.Close(), p.udp.Close())
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
	})
	p.wg.Wait()
	return err
}

func (p *port) accept() {
	for {
		conn, err := p.tcp.Accept()
		if err != nil {
			return
		}
		select {
		case p.slots <- struct{}{}:
		default:
			p.garbage.Add(1)
			conn.Close()
			continue
		}
		p.traffic.accepted.Add(1)
		s := &stream{Conn: conn, port: p}
		if p.track(s) {
			p.wg.Go(func() { p.route(s) })
		}
	}
}

// track records a stream so that close can end it; false if it came too late.
func (p *port) track(s *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing:
		s.Conn.Close()
		return false
	default:
	}
	p.conns[s.Conn] = struct{}{}
	return true
}

// route reads the first bytes of a stream and hands it on.
func (p *port) route(s *stream) {
	err := s.SetDeadline(time.Now().Add(handshakeTime))
	var kind [1]byte
	if err == nil {
		_, err = io.ReadFull(s.Conn, kind[:])
	}
	if err == nil && kind[0] == streamControl {
		p.control(s.Conn)
		s.Close()
		return
	}
	if err == nil && kind[0] == streamGossip {
		err = p.routeGossip(s)
		if err == nil {
			return // memberlist closes it
		}
	}
	p.garbage.Add(1)
	s.Close()
}

func (p *port) routeGossip(s *stream) error {
	var size [1]byte
	if _, err := io.ReadFull(s.Conn, size[:]); err != nil {
		return fmt.Errorf("read dialer's name: %w", err)
	}
	name := make([]byte, size[0])
	if _, err := io.ReadFull(s.Conn, name); err != nil {
		return fmt.Errorf("read dialer's name: %w", err)
	}
	m, err := parseGossipName(string(name))
	if err != nil {
		return err
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("route gossip stream: %w", err)
	}
	t := p.gossip.Load()
	if t == nil {
		return errors.New("route gossip stream: in no cluster")
	}
	return t.take(&faultyConn{Conn: s, peer: m.Name, t: t})
}

// readPackets feeds the current cluster's gossip. What carries another label
// than its own is a stranger's and goes no further.
func (p *port) readPackets() {
	buf := make([]byte, packetBuffer)
	for {
		n, from, err := p.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Debug("read packet", "error", err)
			continue
		}
		p.traffic.received.Add(1)
		t := p.gossip.Load()
		if t == nil || !t.owns(buf[:n]) {
			p.garbage.Add(1)
			continue
		}
		addr, ok := from.(*net.UDPAddr)
		if ok && p.faults.Active() {
			if p.faults.From(p.nameAt(addr.AddrPort())).Lose() {
				continue
			}
		}
		t.deliver(&memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()})
	}
}

// stream is an accepted connection that gives its place back when it is closed.
type stream struct {
	net.Conn
	port *port
	once sync.Once
	err  error
}

// Close may be called twice.
func (s *stream) Close() error {
	s.once.Do(func() {
		s.err = s.Conn.Close()
		s.port.mu.Lock()
		delete(s.port.conns, s.Conn)
		s.port.mu.Unlock()
		<-s.port.slots
	})
	return s.err
}

// dial opens a stream to a member, unless a fault cuts the way there or back.
func (p *port) dial(ctx context.Context, peer, addr string) (net.Conn, error) {
	if p.faults.To(peer).Block || p.faults.From(peer).Block {
		return nil, fmt.Errorf("dial %q: %w", peer, faults.ErrBlocked)
	}
	p.traffic.dialed.Add(1)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", peer, err)
	}
	return conn, nil
}
