package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

// Notify is a socket on which a server announces itself in sd_notify's form.
type Notify struct {
	// Addr is the value for the server's NOTIFY_SOCKET.
	Addr string
	// C gets each message, and is closed by Close. One that nobody takes holds up
	// the following ones.
	C <-chan map[string]string

	conn   *net.UnixConn
	cancel context.CancelFunc
	reader sync.WaitGroup
	remove func() error
}

// ListenNotify opens the socket. The name must be unique on the host; it becomes
// part of the address. Anyone on the host can send to it: a message is a reason
// to look, not a proof.
func ListenNotify(name string) (*Notify, error) {
	addr, remove, err := notifyAddr(name)
	if err != nil {
		return nil, fmt.Errorf("listen for notifications of %q: %w", name, err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for notifications of %q: %w", name, err), remove())
	}
	ctx, cancel := context.WithCancel(context.Background())
	messages := make(chan map[string]string, 8)
	n := &Notify{Addr: addr, C: messages, conn: conn, cancel: cancel, remove: remove}
	n.reader.Go(func() {
		defer close(messages)
		n.read(ctx, messages)
	})
	return n, nil
}

func (n *Notify) read(ctx context.Context, messages chan<- map[string]string) {
	buf := make([]byte, 8<<10)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		select {
		case messages <- parseNotify(string(buf[:size])):
		case <-ctx.Done():
			return
		}
	}
}

// parseNotify reads lines of NAME=VALUE; others are left out.
func parseNotify(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			m[name] = value
		}
	}
	return m
}

// Close closes the socket and C. It may be called twice.
func (n *Notify) Close() error {
	n.cancel()
	err := n.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	n.reader.Wait()
	return errors.Join(err, n.remove())
}
