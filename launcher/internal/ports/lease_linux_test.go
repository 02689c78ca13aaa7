package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func addSystemSpaces(t *testing.T, all map[string]namespace) {
	t.Helper()
	all["abstract"] = abstractNames{prefix: fmt.Sprintf("ports-test-%x", rand.Uint32())}
}

func TestDecode(t *testing.T) {
	n := abstractNames{prefix: "onemore"}
	for _, text := range []string{
		"", "onemore", "onemore/lease", "onemore/lease/1", "onemore/lease/1/x/port/tcp",
		"onemore/lease/1/x/port/tcp/one/127.0.0.1/c", "other/lease/1/x/name/a/c", "onemore/turn",
	} {
		if l, ok := n.decode(text); ok {
			t.Errorf("%q: got %+v", text, l)
		}
	}
	long := Leased{Addr: Addr{TCP, "2001:db8:1234:5678:9abc:def0:1234:5678", 65535}, PID: 1 << 22, lease: "ABCDEFGH",
		Owner: strings.Repeat("ü", 40)}
	name := n.encode(long)
	got, ok := n.decode(name)
	if len(name) > 106 || !ok || got.Addr != long.Addr || got.PID != long.PID || !strings.HasPrefix(long.Owner, got.Owner) {
		t.Errorf("got %+v from %q", got, name)
	}
}

func TestSocketsAgree(t *testing.T) {
	_, a := listen(t, "127.0.0.1")
	_, b := listen(t, "::1")
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	udp := Addr{UDP, "127.0.0.1", u.LocalAddr().(*net.UDPAddr).Port}
	slow, err := readProcNet()
	if err != nil {
		t.Fatal(err)
	}
	fast, err := diagnose(1 << stateListen)
	if err != nil {
		t.Skipf("no sock_diag: %v", err)
	}
	for _, a := range []Addr{a, b, udp} {
		s, f := find(slow, a), find(fast, a)
		if s.Inode == 0 || s != f {
			t.Errorf("%v: /proc has %+v, netlink %+v", a, s, f)
		}
	}
}

func find(all []Socket, a Addr) Socket {
	for _, s := range all {
		if s.Addr() == a {
			return s
		}
	}
	return Socket{}
}

func TestParseProcNet(t *testing.T) {
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4712 1
   2: 0100007F:075C 0100007F:0FFF 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 100 0 0 10 0
   3: 0000000000000000FFFF00000200007F:0001 0:0 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
   4: garbage
   5: 01:02 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 x
`
	var got []string
	for _, s := range parseProcNet(text, TCP) {
		got = append(got, fmt.Sprint(s.Addr(), " ", s.Inode))
	}
	want := "[tcp 127.0.0.1:1883 4711 tcp [::]:8080 4712 tcp 127.0.0.2:1 4713]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMessagesRejectGarbage(t *testing.T) {
	var sockets []Socket
	for _, b := range [][]byte{nil, {1}, make([]byte, 16), {200, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if done, err := messages(b, TCP, &sockets); done || (len(b) >= 16) != (err != nil) {
			t.Errorf("%v: done %v, %v", b, done, err)
		}
	}
	random := rand.NewChaCha8([32]byte{})
	for range 2000 {
		b := make([]byte, rand.IntN(300))
		random.Read(b)
		if len(b) > 4 {
			b[1], b[2], b[3] = 0, 0, 0
		}
		_, _ = messages(b, TCP, &sockets)
	}
}

// A TCP socket that is bound and does not listen has its port, with or without
// SO_REUSEADDR.
func TestBusySeesBoundOnly(t *testing.T) {
	for _, reuse := range []int{0, 1} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, reuse); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		a := Addr{TCP, "127.0.0.1", sa.(*unix.SockaddrInet4).Port}
		all, err := occupied()
		if err != nil {
			t.Fatal(err)
		}
		shown := find(all, a).Inode != 0 // since Linux 6.8
		if !busy(t, a) && (reuse == 0 || shown) {
			t.Errorf("SO_REUSEADDR %d: counts as free", reuse)
		}
		if p, ok := Holder(a); shown && (!ok || p.PID != os.Getpid()) {
			t.Errorf("SO_REUSEADDR %d: holder %v %v", reuse, p, ok)
		}
	}
}

func TestOwnedAndHolder(t *testing.T) {
	_, a := listen(t, "127.0.0.1")
	all, err := Sockets()
	if err != nil {
		t.Fatal(err)
	}
	s := find(all, a)
	for _, tt := range []struct {
		pids []int
		want map[uint64]int
	}{
		{nil, map[uint64]int{}},
		{[]int{1 << 30}, map[uint64]int{}},
		{[]int{os.Getpid()}, map[uint64]int{s.Inode: os.Getpid()}},
		{[]int{1 << 30, os.Getpid(), os.Getpid()}, map[uint64]int{s.Inode: os.Getpid()}},
	} {
		got, err := Owned([]Socket{s}, tt.pids)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%v: got %v, %v, want %v", tt.pids, got, err, tt.want)
		}
	}
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0"} {
		p, ok := Holder(Addr{TCP, host, a.Port})
		if !ok || p.PID != os.Getpid() || p.Name == "" {
			t.Errorf("holder on %q: got %v %v", host, p, ok)
		}
	}
	if p, ok := Holder(free(t)); ok {
		t.Errorf("a free port has holder %v", p)
	}
	_, err = Acquire(t.Context(), Want{Addrs: []Addr{a}}, "cluster")
	clash, ok := errors.AsType[*ClashError](err)
	if !ok || clash.Process.PID != os.Getpid() || clash.Owner != "" {
		t.Errorf("got %v, want a clash with ourselves", err)
	}
}

func TestObserve(t *testing.T) {
	_, a := listen(t, "127.0.0.1")
	b := free(t)
	l, err := Acquire(t.Context(), Want{Addrs: []Addr{b}}, "cluster look")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v, err := Observe()
	if err != nil {
		t.Fatal(err)
	}
	if why, used := v.Used(a); !used || why != "in use" {
		t.Errorf("listener: %q %v", why, used)
	}
	if why, used := v.Used(b); !used || why != "leased by cluster look" {
		t.Errorf("lease: %q %v", why, used)
	}
	if v.Blind || v.EphemeralLow <= 0 || v.EphemeralHigh < v.EphemeralLow {
		t.Errorf("got range %d-%d, blind %v", v.EphemeralLow, v.EphemeralHigh, v.Blind)
	}
}

func BenchmarkSockets1000(b *testing.B) {
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
	}
	for b.Loop() {
		if _, err := Sockets(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, n := range []int{20, 700, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkAcquire(b, n) })
	}
}

func benchmarkAcquire(b *testing.B, n int) {
	var want Want
	for i := range n {
		want.Addrs = append(want.Addrs, Addr{TCP, "127.0.0.1", 10000 + i})
	}
	for b.Loop() {
		l, err := Acquire(b.Context(), want, "cluster bench")
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
