package ports

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// parseProcNet reads the text of /proc/net/{tcp,tcp6,udp,udp6}. Lines that are
// not as expected are left out, and so is what occupies no port.
func parseProcNet(text string, proto Proto) []Socket {
	var sockets []Socket
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || !strings.HasSuffix(f[0], ":") {
			continue
		}
		state, err := strconv.ParseUint(f[3], 16, 8)
		if err != nil || proto == TCP && state != stateListen {
			continue
		}
		host, port, ok := parseHexAddr(f[1])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if !ok || err != nil || port == 0 {
			continue
		}
		sockets = append(sockets, Socket{Proto: proto, Host: host, Port: port, Inode: inode, Listening: proto == TCP})
	}
	return sockets
}

// parseHexAddr reads "0100007F:075B": words in the machine's byte order.
func parseHexAddr(s string) (host netip.Addr, port int, ok bool) {
	hexHost, hexPort, _ := strings.Cut(s, ":")
	p, err := strconv.ParseUint(hexPort, 16, 16)
	if err != nil || len(hexHost) != 8 && len(hexHost) != 32 {
		return netip.Addr{}, 0, false
	}
	var b [16]byte
	for i := 0; i < len(hexHost); i += 8 {
		n, err := strconv.ParseUint(hexHost[i:i+8], 16, 32)
		if err != nil {
			return netip.Addr{}, 0, false
		}
		binary.NativeEndian.PutUint32(b[i/2:], uint32(n))
	}
	if len(hexHost) == 8 {
		return netip.AddrFrom4([4]byte(b[:4])), int(p), true
	}
	return netip.AddrFrom16(b).Unmap(), int(p), true
}
