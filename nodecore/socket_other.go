//go:build !linux

package nodecore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// socketPathMax is what fits into sun_path with its final zero, on the
// stingiest of systems.
const socketPathMax = 103

// errLongPath: without /proc a socket has no other name than its path.
var errLongPath = fmt.Errorf("the path is longer than the %d bytes that this system allows for a socket: use a node directory with a shorter one", socketPathMax)

// listenSocket opens a unix socket for this user only.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > socketPathMax {
		return nil, fmt.Errorf("listen on %q: %w", path, errLongPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// dialSocket connects to a socket that listenSocket opened.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > socketPathMax {
		return nil, fmt.Errorf("dial %q: %w", path, errLongPath)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
