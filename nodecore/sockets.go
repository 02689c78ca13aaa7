package nodecore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
)

// portTries is how often a free port is asked for that UDP has free too.
const portTries = 20

// sockets are a node's listeners while nobody has taken them over. All are
// opened before anything is started, so that a port in use stops the node
// before it has done anything.
type sockets struct {
	open    map[string]net.Listener // by name; taken ones are gone from it
	addrs   map[string]net.Addr     // of all, taken or not
	cluster net.Listener
	packets net.PacketConn
}

// openSockets opens the cluster port and every listener that is on; the error
// names all that can't be opened.
func openSockets(ctx context.Context, cfg *Config, log *slog.Logger) (_ *sockets, err error) {
	s := &sockets{open: make(map[string]net.Listener), addrs: make(map[string]net.Addr)}
	var errs []error
	if err := s.openCluster(ctx, cfg.Cluster.Bind); err != nil {
		errs = append(errs, err)
	}
	lc := plainTCP()
	listeners := cfg.listeners()
	for _, name := range sortedKeys(listeners) {
		l := listeners[name]
		if !l.on() {
			continue
		}
		ln, err := lc.Listen(ctx, "tcp", l.Bind)
		if err != nil {
			errs = append(errs, fmt.Errorf("open listener %q: %w", name, err))
			continue
		}
		s.open[name], s.addrs[name] = newSteadyListener(ln, name, log), ln.Addr()
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.cluster = newSteadyListener(s.cluster, "cluster", log)
	return s, nil
}

// plainTCP listens without Multipath TCP, which Go would ask for: on one host it
// brings nothing, and such a socket costs more to open and to use.
func plainTCP() *net.ListenConfig {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	return &lc
}

// openCluster opens TCP and UDP on the same port.
func (s *sockets) openCluster(ctx context.Context, bind string) error {
	lc := plainTCP()
	var err error
	for range portTries {
		if s.cluster, err = lc.Listen(ctx, "tcp", bind); err != nil {
			s.cluster = nil
			return fmt.Errorf("open cluster port: %w", err)
		}
		s.packets, err = lc.ListenPacket(ctx, "udp", s.cluster.Addr().String())
		if err == nil {
			s.addrs["cluster"] = s.cluster.Addr()
			return nil
		}
		s.packets = nil
		err = errors.Join(err, s.cluster.Close())
		s.cluster = nil
		if !strings.HasSuffix(bind, ":0") {
			break
		}
	}
	return fmt.Errorf("open cluster port: %w", err)
}

// take hands a listener over; nil if it is off.
func (s *sockets) take(name string) net.Listener {
	l, ok := s.open[name]
	if !ok {
		return nil
	}
	delete(s.open, name)
	return l
}

// takeCluster hands the cluster port over.
func (s *sockets) takeCluster() (net.Listener, net.PacketConn) {
	tcp, udp := s.cluster, s.packets
	s.cluster, s.packets = nil, nil
	return tcp, udp
}

// addr is the address of a listener, or nil.
func (s *sockets) addr(name string) net.Addr { return s.addrs[name] }

// close closes what nobody has taken.
func (s *sockets) close() error {
	var errs []error
	for _, l := range s.open {
		errs = append(errs, l.Close())
	}
	clear(s.open)
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	if s.packets != nil {
		errs = append(errs, s.packets.Close())
	}
	s.cluster, s.packets = nil, nil
	return errors.Join(errs...)
}
