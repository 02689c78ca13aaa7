package ports

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// helperVariable makes this test binary lease the port and wait for its end.
const helperVariable = "PORTS_TEST_LEASE"

func runHelper() bool {
	port, err := strconv.Atoi(os.Getenv(helperVariable))
	if err != nil {
		return false
	}
	l, err := Acquire(context.Background(), Want{Addrs: []Addr{{TCP, "127.0.0.1", port}}}, "cluster helper")
	fmt.Println("ready", err)
	_, _ = os.Stdin.Read(make([]byte, 1))
	if l != nil {
		_ = l.Close()
	}
	return true
}

// spaces are the ways to keep leases, each with nothing in it.
func spaces(t *testing.T) map[string]namespace {
	t.Helper()
	all := map[string]namespace{"files": lockFiles{dir: filepath.Join(t.TempDir(), "leases")}}
	addSystemSpaces(t, all)
	return all
}

func TestLease(t *testing.T) {
	for name, space := range spaces(t) {
		t.Run(name, func(t *testing.T) { testLease(t, space) })
	}
}

func testLease(t *testing.T, space namespace) {
	ctx := t.Context()
	a, b, c := free(t), free(t), free(t)
	for a == b || b == c || c == a { // the kernel may give one again
		b, c = free(t), free(t)
	}
	long := "a directory with a long name, /" + strings.Repeat("x/%", 60)
	first, err := acquire(ctx, space, Want{Addrs: []Addr{a, b, b}, Names: []string{"number 3", long}}, "cluster a/ü")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	held, err := space.list()
	if err != nil || len(held) != 4 {
		t.Fatalf("listed %+v, %v, want 4", held, err)
	}
	for _, l := range held {
		if l.PID != os.Getpid() || !strings.HasPrefix("cluster a/ü", l.Owner) || len(l.Owner) < 5 {
			t.Errorf("listed %+v", l)
		}
	}
	view := View{Leases: held}
	if !view.NameUsed(long) || !view.NameUsed("number 3") || view.NameUsed(long+"x") {
		t.Error("listed names are not found")
	}

	checkClashes(t, space, a, b, c, long)
	if after, err := space.list(); err != nil || len(after) != len(held) {
		t.Errorf("refused leases left something: %+v, %v", after, err)
	}
	any, other := a, a
	any.Host, other.Host = "", "127.0.0.2"
	if err := first.Add(ctx, Want{Addrs: []Addr{a, any, c}}); err != nil {
		t.Errorf("a lease clashes with itself: %v", err)
	}
	if err := first.Release(Want{Addrs: []Addr{a, any, other}, Names: []string{long}}); err != nil {
		t.Error(err)
	}
	second, err := acquire(ctx, space, Want{Addrs: []Addr{a}, Names: []string{long}}, "cluster b")
	if err != nil {
		t.Fatalf("what was released is still held: %v", err)
	}
	for range 2 {
		if err := errors.Join(first.Close(), second.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := first.Add(ctx, Want{Addrs: []Addr{a}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("add after close: got %v", err)
	}
	if left, err := space.list(); err != nil || len(left) != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// checkClashes tries to take what cluster a has, which is a, b, and the names
// "number 3" and long; c is free.
func checkClashes(t *testing.T, space namespace, a, b, c Addr, long string) {
	t.Helper()
	any := a
	any.Host = ""
	for _, tt := range []struct {
		want Want
		free bool
	}{
		{Want{Addrs: []Addr{a}}, false},
		{Want{Addrs: []Addr{any}}, false},
		{Want{Addrs: []Addr{c, b}}, false},
		{Want{Addrs: []Addr{c}, Names: []string{"number 3"}}, false},
		{Want{Names: []string{long}}, false},
		{Want{Names: []string{"number 4", long + "x"}}, true},
		{Want{Addrs: []Addr{c}}, true},
		{Want{Addrs: []Addr{{UDP, a.Host, a.Port}}}, true},
		{Want{}, true},
	} {
		second, err := acquire(t.Context(), space, tt.want, "cluster b")
		clash, isClash := errors.AsType[*ClashError](err)
		if tt.free != (err == nil) || err != nil && (!isClash || !strings.HasPrefix("cluster a/ü", clash.Owner) || clash.Process.PID != os.Getpid()) {
			t.Errorf("%+v: got %v", tt.want, err)
		}
		if second != nil {
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAcquireRefuses(t *testing.T) {
	_, taken := listen(t, "127.0.0.1")
	ok := free(t)
	for _, tt := range []struct {
		addr Addr
		want string
	}{
		{taken, "port " + taken.String() + " is in use by "},
		{Addr{TCP, "", taken.Port}, "is in use by "},
		{Addr{TCP, "127.0.0.1", 0}, "not between 1 and 65535"},
		{Addr{TCP, "127.0.0.1", 65536}, "not between 1 and 65535"},
		{Addr{"sctp", "127.0.0.1", 1883}, `unknown protocol "sctp"`},
		{Addr{TCP, "192.0.2.1", 1883}, "not an address of this host"},
	} {
		_, err := Acquire(t.Context(), Want{Addrs: []Addr{ok, tt.addr}}, "cluster")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q in it", tt.addr, err, tt.want)
		}
	}
	l, err := Acquire(t.Context(), Want{Addrs: []Addr{ok}}, "cluster")
	if err != nil {
		t.Fatalf("a refused Acquire kept a part: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Of many that want the same port at the same moment, one at a time gets it;
// and none that wants everything is refused because of one that holds nothing.
func TestAcquireAtTheSameMoment(t *testing.T) {
	for name, space := range spaces(t) {
		t.Run(name, func(t *testing.T) {
			a, any := free(t), Addr{}
			any = a
			any.Host = ""
			var holders, won atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					want := Want{Addrs: []Addr{a}}
					if i%2 == 1 {
						want.Addrs[0] = any
					}
					for range 20 {
						l, err := acquire(t.Context(), space, want, fmt.Sprint("cluster ", i))
						if err != nil {
							if _, ok := errors.AsType[*ClashError](err); !ok {
								t.Error(err)
							}
							continue
						}
						won.Add(1)
						if n := holders.Add(1); n != 1 {
							t.Errorf("%d hold the port", n)
						}
						holders.Add(-1)
						if err := l.Close(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if won.Load() == 0 {
				t.Error("none ever got it")
			}
		})
	}
}

func TestTurnIsBounded(t *testing.T) {
	for name, space := range spaces(t) {
		t.Run(name, func(t *testing.T) {
			release, err := space.lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := space.lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the context", err)
			}
			done := make(chan error, 1)
			var wg sync.WaitGroup
			wg.Go(func() {
				release, err := space.lock(t.Context())
				if err == nil {
					release()
				}
				done <- err
			})
			release()
			wg.Wait()
			if err := <-done; err != nil {
				t.Errorf("the next turn: %v", err)
			}
		})
	}
}

// A lease ends with its process, however that ends.
func TestLeaseDiesWithProcess(t *testing.T) {
	a := free(t)
	helper, lines := startHelper(t, a.Port)
	line, err := lines.ReadString('\n')
	if err != nil || line != "ready <nil>\n" {
		t.Fatalf("helper says %q, %v", line, err)
	}
	_, err = Acquire(t.Context(), Want{Addrs: []Addr{a}}, "cluster")
	clash, ok := errors.AsType[*ClashError](err)
	if !ok || clash.Owner != "cluster helper" || clash.Process.PID != helper.Pid {
		t.Errorf("got %v, want the helper %d", err, helper.Pid)
	}
	if err := helper.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := helper.Wait(); err != nil {
		t.Fatal(err)
	}
	l, err := Acquire(t.Context(), Want{Addrs: []Addr{a}}, "cluster")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func startHelper(t *testing.T, port int) (*os.Process, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, inWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, outWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); inWriter.Close(); out.Close() })
	p, err := os.StartProcess(exe, []string{exe}, &os.ProcAttr{
		Env:   append(os.Environ(), helperVariable+"="+strconv.Itoa(port)),
		Files: []*os.File{in, outWriter, os.Stderr},
	})
	outWriter.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p, bufio.NewReader(out)
}
