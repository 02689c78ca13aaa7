package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// MQTT packet types, in the upper four bits of a packet's first byte.
const (
	packetConnect    = 1
	packetPublish    = 3
	packetSubscribe  = 8
	packetPing       = 12
	packetDisconnect = 14
	longestPacket    = 1 << 20
	mqtt5            = 5
)

// serveMQTT answers CONNECT, PINGREQ, and what is about retained messages; it reads over everything else: this is no broker.
func serveMQTT(conn io.ReadWriter, m messages) error {
	reader := bufio.NewReader(conn)
	var version byte
	for connected := false; ; connected = true {
		first, body, err := readPacket(reader)
		if err != nil {
			return err
		}
		kind := first >> 4
		var answer []byte
		switch {
		case kind == packetDisconnect:
			return nil
		case !connected && kind != packetConnect:
			return fmt.Errorf("read packet: the first one is of type %d, want CONNECT", kind)
		case kind == packetConnect:
			answer, version = []byte{0x20, 2, 0, 0}, level(body)
			if version == mqtt5 {
				answer = []byte{0x20, 3, 0, 0, 0} // no properties
			}
		case kind == packetPublish:
			answer = m.published(first, version, body)
		case kind == packetSubscribe:
			answer = m.subscribed(version, body)
		case kind == packetPing:
			answer = []byte{0xd0, 0}
		}
		if _, err := conn.Write(answer); err != nil {
			return fmt.Errorf("answer packet: %w", err)
		}
	}
}

func readPacket(reader *bufio.Reader) (first byte, body []byte, err error) {
	first, err = reader.ReadByte()
	if err != nil {
		return 0, nil, fmt.Errorf("read packet: %w", err)
	}
	length := 0
	for shift := 0; ; shift += 7 {
		digit, err := reader.ReadByte()
		if err != nil {
			return 0, nil, fmt.Errorf("read packet length: %w", err)
		}
		length |= int(digit&0x7f) << shift
		if length > longestPacket || shift > 21 {
			return 0, nil, fmt.Errorf("read packet: longer than %d bytes", longestPacket)
		}
		if digit&0x80 == 0 {
			break
		}
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(reader, body); err != nil {
		return 0, nil, fmt.Errorf("read packet: %w", err)
	}
	return first, body, nil
}

// level is the protocol level of a CONNECT: it follows the protocol's name.
func level(body []byte) byte {
	if len(body) < 2 {
		return 0
	}
	at := 2 + int(body[0])<<8 + int(body[1])
	if len(body) <= at {
		return 0
	}
	return body[at]
}

// openMQTT opens one listener; certificate makes the TLS ones' at first use.
func openMQTT(l listener, certificate func() (*tls.Certificate, error), m messages) (io.Closer, error) {
	socket, err := listen(l.addr)
	if err != nil {
		return nil, err
	}
	if l.kind == "ssl" || l.kind == "wss" {
		socket = tls.NewListener(socket, &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
		})
	}
	if l.kind == "ws" || l.kind == "wss" {
		return serveHTTP(socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveWebSocket(w, r, m) })), nil
	}
	return accept(socket, func(conn net.Conn) {
		_ = serveMQTT(conn, m) // what a client does wrong ends its connection, and no more
	}), nil
}

// listen opens a port on exactly the addresses that are asked for: 0.0.0.0 means IPv4 alone.
func listen(addr string) (net.Listener, error) {
	if strings.HasPrefix(addr, "[") {
		return net.Listen("tcp6", addr)
	}
	return net.Listen("tcp4", addr)
}

func serveWebSocket(w http.ResponseWriter, r *http.Request, m messages) {
	if r.URL.Path != "/mqtt" {
		http.NotFound(w, r)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"mqtt"}, InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	_ = serveMQTT(websocket.NetConn(r.Context(), conn, websocket.MessageBinary), m)
}

// webServer is an HTTP server whose Close waits for every handler, those of web sockets too.
type webServer struct {
	server *http.Server
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func serveHTTP(socket net.Listener, handler http.Handler) *webServer {
	ctx, cancel := context.WithCancel(context.Background())
	s := &webServer{cancel: cancel}
	s.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.enter() {
				defer s.wg.Done()
				handler.ServeHTTP(w, r)
			}
		}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: askTimeout,
		ErrorLog:          log.New(io.Discard, "", 0), // strangers' mistakes
	}
	s.wg.Go(func() { _ = s.server.Serve(socket) }) // it ends with ErrServerClosed
	return s
}

func (s *webServer) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wg.Add(1)
	}
	return !s.closed
}

func (s *webServer) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := s.server.Close()
	s.wg.Wait()
	return err
}

// selfSigned makes the certificate that the release's etc/certs would hold.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Server"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
