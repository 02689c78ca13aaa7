package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"onemore/nodecore/internal/netpoll"
)

// acceptAgain is the time until the next attempt to accept: out of file descriptors, for one.
const acceptAgain = 50 * time.Millisecond

// server is the listeners for clients, and what was accepted by them.
type server struct {
	b         *Broker
	accepting sync.WaitGroup // listeners and connections
	workers   workers
	poller    *netpoll.Poller // nil where there is none
	turns     turns
	failing   atomic.Bool // the poller could not accept the last connection
}

// listen serves all listeners.
func (sv *server) listen() {
	plain, secure := sv.b.cfg.MQTT, sv.b.cfg.MQTTS
	if plain != nil && !sv.poll(plain) {
		sv.accepting.Go(func() { sv.accept(plain) })
	}
	if secure != nil {
		sv.accepting.Go(func() { sv.accept(tls.NewListener(secure, sv.b.Certs.config())) })
	}
	if sv.b.cfg.WS != nil {
		sv.accepting.Go(func() { sv.web(sv.b.cfg.WS) })
	}
	if sv.b.cfg.WSS != nil {
		sv.accepting.Go(func() { sv.web(tls.NewListener(sv.b.cfg.WSS, sv.b.Certs.config())) })
	}
}

// poll has the poller accept and wait for plain connections; false if it can't.
func (sv *server) poll(l net.Listener) bool {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return false
	}
	var err error
	if sv.poller, err = netpoll.Open(); err == nil {
		err = sv.poller.Listen(sc, sv.accepted, func(err error, again func()) {
			if !sv.failing.Swap(true) {
				sv.b.log.Warn("accept connection", "listener", "mqtt", "error", err)
			}
			sv.b.after(acceptAgain, again)
		})
	}
	if err != nil && !errors.Is(err, netpoll.ErrUnsupported) {
		sv.b.log.Warn("connections need a goroutine each", "error", err)
	}
	return err == nil
}

// accepted begins with a connection of the poller.
func (sv *server) accepted(nc *netpoll.Conn) {
	sv.failing.Store(false)
	c := sv.newConn(nc)
	if c == nil {
		return
	}
	c.polled = true
	sv.accepting.Add(1)
	if err := nc.Start(c.readable); err != nil {
		sv.b.log.Warn("accept a client", "error", err)
		nc.Close()
	}
}

// close ends what listen has begun, once all connections have ended.
func (sv *server) close() error {
	sv.accepting.Wait()
	sv.workers.close()
	if sv.poller != nil {
		return sv.poller.Close()
	}
	return nil
}

func (sv *server) closeListeners() error {
	var errs []error
	for _, l := range []net.Listener{sv.b.cfg.MQTT, sv.b.cfg.MQTTS, sv.b.cfg.WS, sv.b.cfg.WSS} {
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
func (sv *server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err == nil {
			sv.accepting.Go(func() { sv.serve(nc) })
			continue
		}
		if errors.Is(err, net.ErrClosed) || sv.b.isClosed() {
			return
		}
		sv.b.log.Warn("accept a client", "error", err)
		t := time.NewTimer(acceptAgain)
		select {
		case <-t.C:
		case <-sv.b.ctx.Done():
		}
		t.Stop()
	}
}

// web serves MQTT over WebSocket until the listener is closed. All paths are taken, as clients differ in theirs.
func (sv *server) web(l net.Listener) {
	srv := &http.Server{
		Handler:           http.HandlerFunc(sv.upgrade),
		ReadHeaderTimeout: connectTime,
		IdleTimeout:       connectTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(sv.b.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, s http.ConnState) { // Close of the server doesn't wait for its connections
			switch s {
			case http.StateNew:
				sv.accepting.Add(1)
			case http.StateClosed, http.StateHijacked:
				sv.accepting.Done()
			}
		},
	}
	if err := srv.Serve(l); !sv.b.isClosed() {
		sv.b.log.Error("serve WebSocket", "listener", l.Addr(), "error", err)
	}
	srv.Close() // those not upgraded; the others are connections of ours
}

// upgrade serves one WebSocket. It is counted by itself, as a connection is no longer counted once it is hijacked.
func (sv *server) upgrade(w http.ResponseWriter, r *http.Request) {
	sv.accepting.Add(1)
	defer sv.accepting.Done()
	if web := sv.b.cfg.Web; web != nil {
		if err := web.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"mqtt", "mqttv3.1"},
		InsecureSkipVerify: true, // Check has looked at the origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	sv.serve(&wsConn{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws: ws})
}

// wsConn closes without the closing handshake, which a client that is gone would never answer.
type wsConn struct {
	net.Conn
	ws *websocket.Conn
}

func (c *wsConn) Close() error { return c.ws.CloseNow() }
