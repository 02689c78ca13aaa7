package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"onemore/nodecore/internal/faults"

	"github.com/hashicorp/memberlist"
)

// retransmitDelay is how late the bytes of a "dropped" write on a stream arrive: TCP
// would send them again after about that time.
const retransmitDelay = 200 * time.Millisecond

// errLeftCluster ends what was under way when a node left the cluster.
var errLeftCluster = errors.New("the node left this cluster")

// transport lends the port to memberlist for the time in one cluster. It is
// memberlist's NodeAwareTransport: shutting it down leaves the port open.
type transport struct {
	port  *port
	self  string // gossip name of this life, announced on every stream
	label string
	ip    net.IP
	num   int // advertised port

	packets chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context // ends with the transport
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu    sync.Mutex
	conns map[*faultyConn]struct{}
}

func newTransport(p *port, self, label string, advertise netip.AddrPort) *transport {
	t := &transport{
		port: p, self: self, label: label,
		ip: net.IP(advertise.Addr().AsSlice()), num: int(advertise.Port()),
		packets: make(chan *memberlist.Packet, 256),
		streams: make(chan net.Conn),
		conns:   make(map[*faultyConn]struct{}),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// owns reports whether a packet carries this cluster's label.
func (t *transport) owns(b []byte) bool {
	return len(b) > 2 && b[0] == labelByte && int(b[1]) == len(t.label) && bytes.HasPrefix(b[2:], []byte(t.label))
}

func (t *transport) deliver(pkt *memberlist.Packet) {
	select {
	case t.packets <- pkt:
	case <-t.ctx.Done():
	}
}

// take hands an accepted stream to memberlist, which closes it.
func (t *transport) take(c *faultyConn) error {
	if !t.track(c) {
		return errLeftCluster
	}
	select {
	case t.streams <- c:
		return nil
	case <-t.ctx.Done():
		t.forget(c)
		return errLeftCluster
	}
}

func (t *transport) track(c *faultyConn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.conns[c] = struct{}{}
	return true
}

func (t *transport) forget(c *faultyConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return t.ip, t.num, nil }

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("send packet: %w", err)
	}
	if t.port.faults.Active() {
		rule := t.port.faults.To(t.peer(a.Name, to))
		if rule.Lose() {
			return time.Now(), nil // like a lost packet: no error
		}
		if rule.Delay > 0 {
			t.sendLater(rule.Delay, b, to)
			return time.Now(), nil
		}
	}
	return t.write(b, to)
}

func (t *transport) write(b []byte, to netip.AddrPort) (time.Time, error) {
	t.port.traffic.sent.Add(1)
	_, err := t.port.udp.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// sendLater sends a copy of a packet when the delay of a fault is over.
func (t *transport) sendLater(d time.Duration, b []byte, to netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return
	}
	b = bytes.Clone(b)
	t.wg.Go(func() {
		if wait(t.ctx, d) == nil {
			if _, err := t.write(b, to); err != nil {
				t.port.log.Debug("send delayed packet", "error", err)
			}
		}
	})
}

// peer is the node name behind an address of memberlist's.
func (t *transport) peer(gossipName string, addr netip.AddrPort) string {
	if m, err := parseGossipName(gossipName); err == nil {
		return m.Name
	}
	return t.port.nameAt(addr)
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, d time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, d)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial member: %w", err)
	}
	ctx, cancel := context.WithTimeout(t.ctx, d)
	defer cancel()
	peer := t.peer(a.Name, to)
	conn, err := t.port.dial(ctx, peer, a.Addr)
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: conn, peer: peer, t: t}
	if !t.track(c) {
		conn.Close()
		return nil, errLeftCluster
	}
	if _, err := c.Write(append([]byte{streamGossip, byte(len(t.self))}, t.self...)); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial member %q: %w", peer, err)
	}
	return c, nil
}

// Shutdown implements memberlist.Transport: it ends the streams of this
// cluster and leaves the port to the next.
func (t *transport) Shutdown() error {
	t.port.gossip.CompareAndSwap(t, nil)
	t.mu.Lock()
	t.cancel()
	for c := range t.conns {
		c.Conn.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}

// faultyConn is a gossip stream with one peer, subject to the node's faults.
type faultyConn struct {
	net.Conn
	peer string
	t    *transport
}

// Write passes the bytes on, late or not at all where a fault says so.
func (c *faultyConn) Write(b []byte) (int, error) {
	if c.t.port.faults.Active() {
		rule := c.t.port.faults.To(c.peer)
		if rule.Block {
			return 0, fmt.Errorf("write to %q: %w", c.peer, faults.ErrBlocked)
		}
		delay := rule.Delay
		if rule.Lose() {
			delay += retransmitDelay
		}
		if err := wait(c.t.ctx, delay); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// Read refuses what a fault cuts.
func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.t.port.faults.Active() && c.t.port.faults.From(c.peer).Block {
		return 0, fmt.Errorf("read from %q: %w", c.peer, faults.ErrBlocked)
	}
	return n, err
}

// Close implements net.Conn.
func (c *faultyConn) Close() error {
	c.t.forget(c)
	return c.Conn.Close()
}

// wait lets time pass unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
