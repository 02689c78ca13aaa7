package nodecore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// socketPathMax is what fits into sun_path with its final zero.
const socketPathMax = 107

// listenSocket opens a unix socket for this user only, at a path of any length.
func listenSocket(path string) (net.Listener, error) {
	var l net.Listener
	err := shorten(path, func(p string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, err
	}
	// The listener would unlink the name it was given, which may be the short
	// one, whose meaning ends here.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// dialSocket connects to a socket that listenSocket opened.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var conn net.Conn
	err := shorten(path, func(p string) (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", p)
		return err
	})
	return conn, err
}

// shorten calls use with a name for path that fits into a socket address: the
// kernel takes the directory by its descriptor just as well.
func shorten(path string, use func(string) error) error {
	if len(path) <= socketPathMax {
		return use(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))), dir.Close())
}
