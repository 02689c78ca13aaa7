package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func hostNamespace() namespace { return abstractNames{prefix: "onemore"} }

// abstractNames keeps a lease as a unix socket bound to an abstract name: nothing
// on disk, seen by every user of the network namespace (as ports are), gone with
// its process. The name has the rest:
//
//	onemore/lease/<pid>/<lease>/port/tcp/1883/127.0.0.1/<owner>
//	onemore/lease/<pid>/<lease>/name/<name>/<owner>
type abstractNames struct{ prefix string }

// lock listens on one name, which only one process can; the others connect to
// it, and are woken when the kernel closes their connections with the listener.
func (n abstractNames) lock(ctx context.Context) (release func(), err error) {
	addr := &net.UnixAddr{Name: "@" + n.prefix + "/turn", Net: "unix"}
	for {
		l, err := net.ListenUnix("unix", addr)
		if err == nil {
			return func() { _ = l.Close() }, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		holder, err := awaitClose(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("%s (pid %d) is taking leases: %w", programName(holder), holder, err)
		}
	}
}

// awaitClose returns nil when the listener may be gone.
func awaitClose(ctx context.Context, addr *net.UnixAddr) (holder int, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", addr.String())
	if ctx.Err() != nil {
		if err == nil {
			c.Close()
		}
		return 0, context.Cause(ctx)
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		return 0, nil
	}
	if err != nil { // a full queue: as good as a short pause
		timer := time.NewTimer(time.Millisecond)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-timer.C:
			return 0, nil
		}
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = c.Read(make([]byte, 1)) // nothing is ever sent
	if ctx.Err() != nil {
		return peerPID(c), context.Cause(ctx)
	}
	return 0, nil
}

func peerPID(c net.Conn) int {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	var cred *unix.Ucred
	_ = raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || cred == nil {
		return 0
	}
	return int(cred.Pid)
}

// descriptor is a bare file descriptor: a lease of 2000 ports should not cost
// 2000 entries in the runtime's poller.
type descriptor int

func (d descriptor) Close() error { return unix.Close(int(d)) }

func (n abstractNames) hold(l Leased) (io.Closer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + n.encode(l)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind lease: %w", err)
	}
	return descriptor(fd), nil
}

func (n abstractNames) encode(l Leased) string {
	name := n.prefix + "/lease/" + strconv.Itoa(l.PID) + "/" + l.lease + "/" + l.key() + "/" + url.PathEscape(l.Owner)
	const longest = 106 // of 108 bytes the first is the NUL, and x/sys keeps the last
	return name[:min(len(name), longest)]
}

// decode is the reverse of encode; ok is false for any other socket.
func (n abstractNames) decode(name string) (l Leased, ok bool) {
	rest, ok := strings.CutPrefix(name, n.prefix+"/lease/")
	if !ok {
		return Leased{}, false
	}
	f := strings.Split(rest, "/")
	if len(f) < 4 {
		return Leased{}, false
	}
	l.PID, _ = strconv.Atoi(f[0])
	l.lease = f[1]
	l.Owner = unescape(f[len(f)-1])
	switch {
	case f[2] == "name" && len(f) == 5:
		l.Name, l.wire = unescape(f[3]), f[3]
		return l, true
	case f[2] == "port" && len(f) == 7:
		l.Addr = Addr{Proto: Proto(f[3]), Host: f[5]}
		port, err := strconv.Atoi(f[4])
		l.Addr.Port = port
		return l, err == nil
	}
	return Leased{}, false
}

// unescape takes an owner that was cut off in the middle of an escape, too.
func unescape(s string) string {
	for cut := 0; cut <= 2 && cut <= len(s); cut++ {
		if text, err := url.PathUnescape(s[:len(s)-cut]); err == nil {
			return text
		}
	}
	return s
}

// list reads the names of all unix sockets; the last column has an abstract one
// with "@" for its leading NUL.
func (n abstractNames) list() ([]Leased, error) {
	b, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	var all []Leased
	mark := " @" + n.prefix + "/lease/"
	for line := range strings.Lines(string(b)) {
		i := strings.Index(line, mark)
		if i < 0 {
			continue
		}
		if l, ok := n.decode(strings.TrimSuffix(line[i+2:], "\n")); ok {
			all = append(all, l)
		}
	}
	return all, nil
}
