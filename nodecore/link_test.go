package nodecore

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy passes connections on to an address that is set later, and keeps what the dialing sides write.
type proxy struct {
	net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards what follows
	to    string
	seen  bytes.Buffer
	conns []net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// Write keeps what passes.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Write(b)
}

func (p *proxy) has(s string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.seen.Bytes(), []byte(s))
}

func (p *proxy) serve(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	addr := p.to
	p.mu.Unlock()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	p.conns = append(p.conns, from, to)
	p.mu.Unlock()
	p.wg.Go(func() {
		_, _ = io.Copy(from, to) // either side may end it
		from.Close()
	})
	_, _ = io.Copy(io.MultiWriter(to, p), from)
}

// Links go where nodes say that they are reached, and are encrypted if they are to be.
func TestAdvertisedAndEncryptedLinks(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		p := newProxy(t)
		ca, cb := testConfig(t, "a"), testConfig(t, "b")
		ca.Cluster.TLS, cb.Cluster.TLS = encrypted, encrypted
		cb.Cluster.AdvertiseForward = p.Addr().String()
		a, b := open(t, ca), open(t, cb)
		p.mu.Lock()
		p.to = b.Addr("forward")
		p.mu.Unlock()
		if err := b.Join(t.Context(), target(a)); err != nil {
			t.Fatal(err)
		}
		got := subscribe(t, b, "sub", "t")
		if err := done(client(t, a, "pub").Publish("t", 1, false, "the payload itself")); err != nil {
			t.Fatal(err)
		}
		receive(t, got, "t the payload itself")
		if plain := p.has("the payload itself"); plain == encrypted {
			t.Errorf("encrypted %v: the payload was readable on the way: %v", encrypted, plain)
		}
	}
}

func TestAdvertise(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 7000}
	any := &net.TCPAddr{IP: net.IPv4zero, Port: 7000}
	tests := []struct {
		configured, name string
		addr             net.Addr
		want             string
	}{
		{"", "a@127.0.0.1", bound, "10.0.0.5:7000"}, {"", "a@10.0.0.9", any, "10.0.0.9:7000"}, {"", "a@n.example.com", any, "n.example.com:7000"},
		{"192.0.2.1", "a@127.0.0.1", bound, "192.0.2.1:7000"}, {"192.0.2.1:80", "a@127.0.0.1", bound, "192.0.2.1:80"},
		{"[2001:db8::1]:80", "a@127.0.0.1", bound, "[2001:db8::1]:80"}, {"2001:db8::1", "a@127.0.0.1", bound, "[2001:db8::1]:7000"},
		{"n.example.com:80", "a@127.0.0.1", bound, "n.example.com:80"},
	}
	for _, tt := range tests {
		c := DefaultConfig(t.TempDir())
		c.Node.Name, c.Cluster.AdvertiseForward = tt.name, tt.configured
		if got, err := c.advertiseForward(tt.addr); err != nil || got != tt.want {
			t.Errorf("%q of %s on %s: got %q, %v; want %q", tt.configured, tt.name, tt.addr, got, err, tt.want)
		}
	}
	for _, bad := range []string{"host", "192.0.2.1:0", "192.0.2.1:x", ":80", "a b.c"} {
		c := DefaultConfig(t.TempDir())
		c.Cluster.Advertise = bad
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "cluster.advertise: "+fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
