package nodecore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// notifyTime is how long one message to the supervisor may take: a busy supervisor must not
// stop the node.
const notifyTime = 500 * time.Millisecond

// notifier tells whoever started the node how it is doing, in sd_notify's
// form. It is used by one goroutine. The zero notifier tells nobody.
type notifier struct {
	socket string // a path, or an abstract name after @
}

func newNotifier(socket string) (notifier, error) {
	if socket != "" && !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return notifier{}, fmt.Errorf("notify supervisor: NOTIFY_SOCKET %q is neither a path nor an abstract name", socket)
	}
	return notifier{socket: socket}, nil
}

// send tells a state. It opens the socket each time, so that a supervisor may
// come back, and gives up rather than wait, at the latest when ctx ends. An error for which again is true is
// worth another try: the supervisor is there, but busy.
func (n notifier) send(ctx context.Context, state string) (again bool, err error) {
	if n.socket == "" {
		return false, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return false, fmt.Errorf("notify supervisor: %w", err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTime))
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetWriteDeadline(time.Unix(1, 0)) // fails only on a closed connection
	})
	defer stop()
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return errors.Is(err, os.ErrDeadlineExceeded), fmt.Errorf("notify supervisor: %w", err)
	}
	return false, nil
}
