package ports

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Socket states as the kernel numbers them.
const (
	stateEstablished   = 1
	stateClose         = 7 // also: a UDP socket that is not connected
	stateListen        = 10
	stateBoundInactive = 13 // since Linux 6.8: TCP, bound and nothing more
)

// Sockets returns every listening TCP socket and every UDP socket that has a port
// in this network namespace. The error wraps errors.ErrUnsupported where the
// system can't tell.
//
// It asks the kernel by netlink for just these: /proc/net/tcp walks the table of
// all connections, which takes milliseconds even when that is empty.
func Sockets() ([]Socket, error) { return list(1 << stateListen) }

// occupied is Sockets with the TCP sockets that are only bound, where the kernel
// shows them. It takes about three times as long.
func occupied() ([]Socket, error) { return list(1<<stateListen | 1<<stateBoundInactive) }

func list(tcpStates uint32) ([]Socket, error) {
	sockets, err := diagnose(tcpStates)
	if err == nil {
		return sockets, nil
	}
	sockets, procErr := readProcNet()
	if procErr != nil {
		return nil, fmt.Errorf("list sockets: %w", errors.Join(err, procErr))
	}
	return sockets, nil
}

func look() (sockets []Socket, blind bool, err error) {
	sockets, err = occupied()
	return sockets, false, err
}

// diagnose lists the sockets by the kernel's sock_diag protocol.
func diagnose(tcpStates uint32) ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	defer unix.Close(fd)
	var sockets []Socket
	buf := make([]byte, 64<<10)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, proto := range []Proto{TCP, UDP} {
			states := tcpStates
			if proto == UDP {
				states = 1<<stateClose | 1<<stateEstablished
			}
			if err := dump(fd, request(family, proto, states), proto, buf, &sockets); err != nil {
				return nil, fmt.Errorf("dump %s sockets: %w", proto, err)
			}
		}
	}
	return sockets, nil
}

const (
	sizeofRequest = unix.SizeofNlMsghdr + 56 // struct inet_diag_req_v2
	sizeofMessage = 72                       // struct inet_diag_msg
	attrV6Only    = 11                       // INET_DIAG_SKV6ONLY
)

func request(family uint8, proto Proto, states uint32) []byte {
	number := byte(unix.IPPROTO_TCP)
	if proto == UDP {
		number = unix.IPPROTO_UDP
	}
	b := make([]byte, sizeofRequest)
	native := binary.NativeEndian
	native.PutUint32(b[0:], sizeofRequest)
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[unix.SizeofNlMsghdr], b[unix.SizeofNlMsghdr+1] = family, number
	native.PutUint32(b[unix.SizeofNlMsghdr+4:], states)
	return b
}

func dump(fd int, request []byte, proto Proto, buf []byte, sockets *[]Socket) error {
	err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		done, err := messages(buf[:n], proto, sockets)
		if done || err != nil {
			return err
		}
	}
}

// messages takes one datagram apart; done means that the dump is complete.
func messages(b []byte, proto Proto, sockets *[]Socket) (done bool, err error) {
	native := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size, kind := int(native.Uint32(b)), native.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, errors.New("netlink message with a wrong length")
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch kind {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errors.New("short netlink error")
			}
			return true, unix.Errno(-int32(native.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			if s, ok := parseMessage(body, proto); ok {
				*sockets = append(*sockets, s)
			}
		}
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}

func parseMessage(b []byte, proto Proto) (Socket, bool) {
	if len(b) < sizeofMessage {
		return Socket{}, false
	}
	family, state := b[0], b[1]
	s := Socket{
		Proto:     proto,
		Port:      int(binary.BigEndian.Uint16(b[4:])),
		Inode:     uint64(binary.NativeEndian.Uint32(b[68:])),
		Listening: proto == TCP && state == stateListen,
	}
	if family == unix.AF_INET {
		s.Host = netip.AddrFrom4([4]byte(b[8:12]))
	} else {
		s.Host = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
		s.V6Only = s.Host.IsUnspecified() && v6Only(b[sizeofMessage:])
	}
	return s, s.Port != 0
}

// v6Only looks through a message's attributes.
func v6Only(b []byte) bool {
	const header = 4
	for len(b) >= header {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < header || size > len(b) {
			return false
		}
		if kind == attrV6Only && size > header {
			return b[header] != 0
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false
}

// readProcNet is the slow way, for kernels and sandboxes without sock_diag. It
// can't see TCP sockets that are only bound.
func readProcNet() ([]Socket, error) {
	var sockets []Socket
	for _, f := range []struct {
		name  string
		proto Proto
	}{{"tcp", TCP}, {"tcp6", TCP}, {"udp", UDP}, {"udp6", UDP}} {
		b, err := os.ReadFile("/proc/net/" + f.name)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, parseProcNet(string(b), f.proto)...)
	}
	return sockets, nil
}

func ephemeral() (low, high int) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return 0, 0
	}
	return low, high
}

func openSocket(family, kind int) (fd int, err error) {
	return unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
}
