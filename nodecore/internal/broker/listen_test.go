package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// dial connects to a listener of node i, as MQTT clients do.
func (c *testCluster) dial(i int, listener string) (net.Conn, error) {
	addr := c.nodes[i].addr(listener)
	pem, err := c.nodes[0].Certs.CA() // of another node: they are all the same
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conf := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch listener {
	case "mqtt":
		return net.Dial("tcp", addr)
	case "mqtts":
		return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
	}
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if listener == "wss" {
		raw = tls.Client(raw, conf)
	}
	ws, _, err := websocket.Dial(ctx, "ws://"+addr+"/mqtt", &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPClient: clientOver(raw)})
	if err != nil {
		raw.Close()
		return nil, err
	}
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
}

func TestAllListeners(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	var all []*client
	for i := range 2 {
		for _, l := range []string{"mqtt", "mqtts", "ws", "wss"} {
			nc, err := c.dial(i, l)
			if err != nil {
				t.Fatalf("%s of node %d: %v", l, i, err)
			}
			cl, err := connectOver(t, nc, fmt.Sprint(l, i), nil)
			if err != nil {
				t.Fatalf("%s of node %d: %v", l, i, err)
			}
			cl.subscribe(2, "#")
			all = append(all, cl)
		}
	}
	big := strings.Repeat("x", 100_000)
	var want []string
	for i, cl := range all {
		cl.publish("t", byte(i%3), false, fmt.Sprint(i)+big)
		want = append(want, fmt.Sprint("t=", i)+big)
	}
	for _, cl := range all {
		cl.expectAny(want...)
	}
}

func TestOneCA(t *testing.T) {
	c := newCluster(t, 2)
	a, err := c.nodes[0].Certs.CA()
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.nodes[1].Certs.CA()
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("nodes have different CAs (%v)", err)
	}
	if err := c.nodes[1].Certs.WriteCA(); err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(filepath.Join(c.nodes[1].dir, CAFile)); err != nil || !bytes.Equal(file, a) {
		t.Errorf("file differs (%v)", err)
	}
}

// Garbage hurts nobody: not other clients, and not the node's memory.
func TestGarbage(t *testing.T) {
	c := newCluster(t, 2)
	sub := c.connect(0, "sub", nil)
	sub.subscribe(1, "t")
	pub := c.connect(1, "pub", nil)
	pub.publish("t", 1, false, "before")
	connect := append([]byte{0x10, 13}, "\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"...)
	openings := [][]byte{
		nil, connect, {0x10, 0xff, 0xff, 0xff, 0x7f}, {0x10, 0xff, 0xff, 0xff, 0xff}, {0x30}, {0xff, 0xff, 0xff, 0xff},
		append(connect[:len(connect):len(connect)], 0x30, 0xff, 0xff, 0xff, 0x03),                          // a PUBLISH of 8 MB that doesn't come
		append(connect[:len(connect):len(connect)], 0x82, 6, 0, 1, 0, 0, 1, 'a'),                           // a SUBSCRIBE that the codec can't take
		append(connect[:len(connect):len(connect)], 0x10, 13), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), // a second CONNECT; a browser
		[]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, l := range []string{"mqtt", "mqtts", "ws", "wss", "forward"} {
		var wg sync.WaitGroup
		for k := range 4 * len(openings) {
			wg.Go(func() {
				nc, err := net.Dial("tcp", c.nodes[0].addr(l))
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				junk := make([]byte, rand.IntN(3000))
				for i := range junk {
					junk[i] = byte(rand.Uint32())
				}
				nc.Write(openings[k%len(openings)])
				nc.Write(junk)
				nc.(*net.TCPConn).CloseWrite()
				nc.SetReadDeadline(time.Now().Add(30 * time.Second))
				io.Copy(io.Discard, nc)
			})
		}
		wg.Wait()
	}
	eventually(t, "the garbage is gone", func() bool { return c.nodes[0].Stats().Connections == 1 })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if allocAhead := int64(after.HeapAlloc) - int64(before.HeapAlloc); allocAhead > 8<<20 {
		t.Errorf("%d bytes more on the heap", allocAhead)
	}
	pub.publish("t", 1, false, "after")
	sub.expect("t=before", "t=after")
}

// The command-line clients that people have.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("mosquitto_sub"); err != nil {
		t.Skip("mosquitto-clients are not installed")
	}
	c := newCluster(t, 2)
	port := func(i int) string { _, p, _ := net.SplitHostPort(c.nodes[i].addr("mqtt")); return p }
	for _, version := range []string{"mqttv311", "mqttv5"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		sub := exec.CommandContext(ctx, "mosquitto_sub", "-p", port(1), "-V", version, "-q", "2", "-t", "m/#", "-C", "300", "-F", "%p %q")
		var out bytes.Buffer
		sub.Stdout = &out
		if err := sub.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "subscribed", func() bool { return c.nodes[0].Stats().Routes == 1 })
		var want strings.Builder
		for qos := range 3 {
			var in strings.Builder
			for i := range 100 {
				fmt.Fprintln(&in, i)
				fmt.Fprintln(&want, i, qos)
			}
			pub := exec.CommandContext(ctx, "mosquitto_pub", "-p", port(0), "-V", version, "-q", fmt.Sprint(qos), "-t", "m/x", "-l")
			pub.Stdin = strings.NewReader(in.String())
			if b, err := pub.CombinedOutput(); err != nil {
				t.Fatalf("mosquitto_pub: %v: %s", err, b)
			}
		}
		if err := sub.Wait(); err != nil {
			t.Fatalf("mosquitto_sub: %v", err)
		}
		if out.String() != want.String() {
			t.Errorf("%s: got %.200q, want %.200q", version, out.String(), want.String())
		}
		cancel()
		eventually(t, "unsubscribed", func() bool { return c.nodes[0].Stats().Routes == 0 })
	}
}
