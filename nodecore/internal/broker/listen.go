package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// listen serves all listeners.
func (b *Broker) listen() {
	plain, secure := b.cfg.MQTT, b.cfg.MQTTS
	if plain != nil {
		b.accepting.Go(func() { b.accept(plain) })
	}
	if secure != nil {
		b.accepting.Go(func() { b.accept(tls.NewListener(secure, b.certs.config())) })
	}
	if b.cfg.WS != nil {
		b.accepting.Go(func() { b.web(b.cfg.WS) })
	}
	if b.cfg.WSS != nil {
		b.accepting.Go(func() { b.web(tls.NewListener(b.cfg.WSS, b.certs.config())) })
	}
}

func (b *Broker) closeListeners() error {
	var errs []error
	for _, l := range []net.Listener{b.cfg.MQTT, b.cfg.MQTTS, b.cfg.WS, b.cfg.WSS} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// accept serves MQTT connections until the listener is closed.
func (b *Broker) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err == nil {
			b.accepting.Go(func() { b.serve(nc) })
			continue
		}
		if errors.Is(err, net.ErrClosed) || b.isClosed() {
			return
		}
		b.log.Warn("accept a client", "error", err)
		t := time.NewTimer(50 * time.Millisecond) // out of file descriptors, for one
		select {
		case <-t.C:
		case <-b.ctx.Done():
		}
		t.Stop()
	}
}

// web serves MQTT over WebSocket until the listener is closed. All paths are taken, as clients differ in theirs.
func (b *Broker) web(l net.Listener) {
	srv := &http.Server{
		Handler:           http.HandlerFunc(b.upgrade),
		ReadHeaderTimeout: connectTime,
		IdleTimeout:       connectTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, s http.ConnState) { // Close of the server doesn't wait for its connections
			switch s {
			case http.StateNew:
				b.accepting.Add(1)
			case http.StateClosed, http.StateHijacked:
				b.accepting.Done()
			}
		},
	}
	if err := srv.Serve(l); !b.isClosed() {
		b.log.Error("serve WebSocket", "listener", l.Addr(), "error", err)
	}
	srv.Close() // those not upgraded; the others are connections of ours
}

// upgrade serves one WebSocket. It is counted by itself, as a connection is no longer counted once it is hijacked.
func (b *Broker) upgrade(w http.ResponseWriter, r *http.Request) {
	b.accepting.Add(1)
	defer b.accepting.Done()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"mqtt", "mqttv3.1"},
		InsecureSkipVerify: true, // any origin: test pages come from anywhere, and there is nothing to steal with cookies
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	b.serve(&wsConn{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws: ws})
}

// wsConn closes without the closing handshake, which a client that is gone would never answer.
type wsConn struct {
	net.Conn
	ws *websocket.Conn
}

func (c *wsConn) Close() error { return c.ws.CloseNow() }
