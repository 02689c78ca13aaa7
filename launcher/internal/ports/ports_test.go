package ports

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runHelper() {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestConflict(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"127.0.0.1", "0.0.0.0", true},
		{"127.0.0.1", "::", true},
		{"127.0.0.1", "", true},
		{"127.0.0.1", "*", true},
		{"127.0.0.1", "localhost", true},
		{"127.0.0.1", "::ffff:127.0.0.1", true},
		{"127.0.0.1", "::1", false},
		{"127.0.0.1", "some.host.example", true},
		{"0.0.0.0", "0.0.0.0", true},
		{"0.0.0.0", "::", true},
		{"0.0.0.0", "::1", false},
		{"::", "::1", true},
		{"[::1]", "::1", true},
		{"", "", true},
	} {
		a, b := Addr{TCP, tt.a, 1883}, Addr{TCP, tt.b, 1883}
		if got := Conflict(a, b); got != tt.want {
			t.Errorf("%v with %v: got %v", a, b, got)
		}
		if got := Conflict(b, a); got != tt.want {
			t.Errorf("%v with %v: got %v", b, a, got)
		}
		b.Proto = UDP
		if Conflict(a, b) {
			t.Errorf("%v with %v: protocols share no ports", a, b)
		}
		b.Proto, b.Port = TCP, 1884
		if Conflict(a, b) {
			t.Errorf("%v with %v: different ports", a, b)
		}
	}
	v6only := Socket{Proto: TCP, Host: netip.IPv6Unspecified(), Port: 1, V6Only: true}
	for host, want := range map[string]bool{"127.0.0.1": false, "0.0.0.0": false, "::1": true, "::": true} {
		if got := v6only.Conflicts(Addr{TCP, host, 1}); got != want {
			t.Errorf("IPv6-only socket with %s: got %v", host, got)
		}
	}
}

func TestViewUsed(t *testing.T) {
	v := View{
		Sockets: []Socket{{Proto: TCP, Host: netip.MustParseAddr("127.0.0.1"), Port: 1883, Listening: true}},
		Leases: []Leased{
			{Addr: Addr{UDP, "", 7946}, Owner: "cluster a", PID: 7},
			{Name: "number 3", Owner: "cluster a", PID: 7},
		},
	}
	for _, tt := range []struct {
		addr Addr
		want string
	}{
		{Addr{TCP, "127.0.0.1", 1883}, "in use"},
		{Addr{TCP, "", 1883}, "in use"},
		{Addr{TCP, "127.0.0.2", 1883}, ""},
		{Addr{UDP, "127.0.0.1", 1883}, ""},
		{Addr{UDP, "127.0.0.1", 7946}, "leased by cluster a"},
	} {
		if why, used := v.Used(tt.addr); why != tt.want || used != (tt.want != "") {
			t.Errorf("%v: got %q %v, want %q", tt.addr, why, used, tt.want)
		}
	}
	if !v.NameUsed("number 3") || v.NameUsed("number 4") || v.NameUsed("") {
		t.Error("names are mixed up")
	}
}

// listen returns a listener on a free port of the host.
func listen(t *testing.T, host string) (net.Listener, Addr) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("can't listen on %q: %v", host, err)
	}
	t.Cleanup(func() { l.Close() })
	return l, Addr{TCP, host, l.Addr().(*net.TCPAddr).Port}
}

// free returns an address of this host that is likely to stay free.
func free(t *testing.T) Addr {
	t.Helper()
	l, a := listen(t, "127.0.0.1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return a
}

func busy(t *testing.T, a Addr) bool {
	t.Helper()
	got, err := Busy([]Addr{a})
	if err != nil {
		t.Fatal(err)
	}
	return len(got) == 1
}

func TestBusy(t *testing.T) {
	_, a := listen(t, "127.0.0.1")
	for host, want := range map[string]bool{
		"127.0.0.1": true, "0.0.0.0": true, "": true, "localhost": true, "127.0.0.2": false,
	} {
		if host == "127.0.0.2" && !hasAddress(host) {
			continue
		}
		if got := busy(t, Addr{TCP, host, a.Port}); got != want {
			t.Errorf("listener on 127.0.0.1, %q: busy %v", host, got)
		}
	}
	_, all := listen(t, "")
	if !busy(t, Addr{TCP, "127.0.0.1", all.Port}) {
		t.Error("listener on every address: 127.0.0.1 counts as free")
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	port := u.LocalAddr().(*net.UDPAddr).Port
	if !busy(t, Addr{UDP, "127.0.0.1", port}) {
		t.Error("a bound UDP socket counts as free")
	}
	if busy(t, free(t)) {
		t.Error("a free port counts as busy")
	}
	if _, err := Busy([]Addr{{TCP, "192.0.2.1", 1883}}); err == nil || !strings.Contains(err.Error(), "not an address of this host") {
		t.Errorf("a foreign address: got %v", err)
	}
}

func hasAddress(host string) bool {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// The local end of a connection occupies its port, too; what is left of closed
// connections does not.
func TestBusyConnections(t *testing.T) {
	client, leave := connection(t)
	if !busy(t, client) {
		t.Error("the local end of a connection counts as free")
	}
	if left := leave(); busy(t, left) {
		t.Error("a port with connections in TIME_WAIT counts as busy")
	}
}

// Ports are tested side by side: no test is taken for somebody who has the port.
func TestBusyManyConnections(t *testing.T) {
	var left []Addr
	for range 40 {
		_, leave := connection(t)
		left = append(left, leave())
	}
	for range 100 {
		taken, err := Busy(left)
		if err != nil || len(taken) > 0 {
			t.Fatalf("of %d free ports are busy: %v, %v", len(left), taken, err)
		}
	}
}

// connection is one between two addresses. After leave, only the server's end is left of it, in TIME_WAIT.
func connection(t *testing.T) (client Addr, leave func() Addr) {
	t.Helper()
	l, server := listen(t, "127.0.0.1")
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client = Addr{TCP, "127.0.0.1", conn.LocalAddr().(*net.TCPAddr).Port}
	return client, func() Addr {
		if err := accepted.Close(); err != nil { // who closes first has TIME_WAIT
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Fatal("read something")
		}
		if err := errors.Join(conn.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		return server
	}
}
