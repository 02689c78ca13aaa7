package peer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestInOrderOnceEach(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault Fault
		n     int
	}{{"quiet", Fault{}, 5000}, {"lossy", Fault{Drop: 0.02}, 600}, {"slow", Fault{Delay: time.Millisecond}, 600}} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pair(t, nil)
			a.fault(map[string]Fault{"b": tt.fault})
			b.fault(map[string]Fault{"a": tt.fault})
			var accepted, refused atomic.Int64
			var wg sync.WaitGroup
			for from, to := range map[*node]*node{a: b, b: a} {
				wg.Go(func() {
					for i := range tt.n {
						f := number(i)
						f.Hold = true
						f.Waiter = DoneFunc(func(ok bool) {
							if ok {
								accepted.Add(1)
							} else {
								refused.Add(1)
							}
						})
						f.Sender = &sender{}
						from.Send(to.name, f)
					}
				})
			}
			wg.Wait()
			eventually(t, "all accepted", func() bool { return accepted.Load() == int64(2*tt.n) })
			if refused.Load() != 0 {
				t.Errorf("%d frames were refused", refused.Load())
			}
			if !slices.Equal(b.received("a"), upTo(tt.n)) || !slices.Equal(a.received("b"), upTo(tt.n)) {
				t.Errorf("got %d and %d frames, not each of %d once in order", len(b.received("a")), len(a.received("b")), tt.n)
			}
			if a.count("met b") != 1 || b.count("met a") != 1 {
				t.Errorf("events of a: %q, b: %q", a.events, b.events)
			}
		})
	}
}

func TestIdleUntilSomethingIsSaid(t *testing.T) {
	a, b := pair(t, nil)
	if got := a.Stats(); len(got) != 1 || got[0].State != "idle" {
		t.Fatalf("stats %+v", got)
	}
	b.Connect("a")
	eventually(t, "both met", func() bool { return a.count("met b") == 1 && b.count("met a") == 1 })
	if got := a.Stats(); got[0].State != "idle" {
		t.Errorf("a dialed for nothing: %+v", got)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	a := open(t, listen(t, "127.0.0.1:0"), "a", nil)
	secret := open(t, listen(t, "127.0.0.1:0"), "x", func(c *Config) { c.Secret = []byte("guess") })
	cluster := open(t, listen(t, "127.0.0.1:0"), "y", func(c *Config) { c.ClusterID = "other" })
	unknown := open(t, listen(t, "127.0.0.1:0"), "z", nil)
	otherID := open(t, listen(t, "127.0.0.1:0"), "w", func(c *Config) { c.NodeID = "former" })
	a.SetPeers([]Peer{secret.peer(), cluster.peer(), otherID.peer()})
	for _, n := range []*node{secret, cluster, unknown, otherID} {
		n.SetPeers([]Peer{a.peer()})
		done := make(chan bool, 1)
		f := number(1)
		f.Waiter = DoneFunc(func(ok bool) { done <- ok })
		n.Send("a", f)
		if <-done {
			t.Errorf("%s was accepted", n.name)
		}
		if got := a.received(n.name); len(got) != 0 || a.count("met "+n.name) != 0 {
			t.Errorf("a took %v from %s", got, n.name)
		}
		f = number(1)
		f.Waiter = DoneFunc(func(ok bool) { done <- ok })
		if a.Send(n.name, f); <-done {
			t.Errorf("a accepted %s", n.name)
		}
	}
}

func TestGarbage(t *testing.T) {
	a, b := pair(t, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			c, err := net.Dial("tcp", a.addr)
			if err != nil {
				return
			}
			defer c.Close()
			junk := make([]byte, rand.IntN(5000))
			for j := range junk {
				junk[j] = byte(rand.Uint32())
			}
			switch i % 4 {
			case 0: // a frame of 4 GB
				junk = append([]byte{255, 255, 255, 255, kindHello}, junk...)
			case 1: // a hello that isn't one
				junk = appendFrame(nil, kindHello, 1, junk[:min(len(junk), 1000)], nil)
			case 2: // a true hello, and no proof
				g := greeting{identity: identity{"c", "b", "id-b", 1}, nonce: newNonce(), to: "a", next: 1}
				junk = append(appendFrame(nil, kindHello, 0, g.append(nil), nil), junk...)
			}
			c.Write(junk)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c) // until it is thrown out
		})
	}
	for i := range 100 {
		b.Send("a", number(i))
	}
	wg.Wait()
	eventually(t, "frames of b", func() bool { return slices.Equal(a.received("b"), upTo(100)) })
}

func TestBlockedThenHealed(t *testing.T) {
	a, b := pair(t, nil)
	a.Send("b", number(0))
	eventually(t, "first frame", func() bool { return len(b.received("a")) == 1 })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	held, quick := make(chan bool, 1), make(chan bool, 1)
	f := number(1)
	f.Hold, f.Waiter = true, DoneFunc(func(ok bool) { held <- ok })
	a.Send("b", f)
	f = number(2)
	f.Waiter = DoneFunc(func(ok bool) { quick <- ok })
	a.Send("b", f)
	if <-quick {
		t.Error("accepted through a blocked link")
	}
	select {
	case ok := <-held:
		t.Errorf("done %v while blocked", ok)
	default:
	}
	a.fault(nil)
	if !<-held {
		t.Error("not accepted after healing")
	}
	eventually(t, "all frames", func() bool { return slices.Equal(b.received("a"), upTo(3)) })
	if a.count("met b") != 1 {
		t.Error("met again, though nothing was lost")
	}
}

func TestGivenUpAfterHold(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.Hold = 50 * time.Millisecond })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	done := make(chan bool, 3)
	for i := range 3 {
		f := number(i)
		f.Hold, f.Keep, f.Waiter = true, i != 1, DoneFunc(func(ok bool) { done <- ok })
		a.Send("b", f)
	}
	for range 3 {
		if <-done {
			t.Error("accepted though blocked")
		}
	}
	f := number(3)
	f.Hold, f.Keep, f.Waiter = true, true, DoneFunc(func(ok bool) { done <- ok })
	a.Send("b", f)
	if <-done {
		t.Error("accepted though given up")
	}
	a.onMet = func(name string) { a.Send(name, number(4)) }
	a.fault(nil)
	eventually(t, "frames to be kept, and what Met sent", func() bool { return slices.Equal(b.received("a"), []int{0, 2, 3, 4}) })
}

func TestRestartOfTheReceiver(t *testing.T) {
	a, b := pair(t, nil)
	a.Send("b", number(0))
	eventually(t, "first frame", func() bool { return len(b.received("a")) == 1 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	f := number(1)
	f.Hold, f.Waiter = true, DoneFunc(func(ok bool) { done <- ok })
	a.Send("b", f)
	b = open(t, listen(t, b.addr), "b", nil)
	b.SetPeers([]Peer{a.peer()})
	if !<-done {
		t.Error("not accepted by the restarted node")
	}
	if got := b.received("a"); !slices.Equal(got, []int{1}) {
		t.Errorf("restarted node got %v", got)
	}
	if a.count("met b") != 2 {
		t.Errorf("events of a: %q", a.events)
	}
}

// A peer that was dropped from one side's list for a while is met again on both.
func TestLeaveAndComeBack(t *testing.T) {
	a, b := pair(t, nil)
	a.Send("b", number(0))
	eventually(t, "first frame", func() bool { return len(b.received("a")) == 1 })
	done := make(chan bool, 1)
	b.SetPeers(nil)
	eventually(t, "a is refused", func() bool { return a.Stats()[0].State == "down" })
	f := number(1)
	f.Hold, f.Waiter = true, DoneFunc(func(ok bool) { done <- ok })
	a.Send("b", f)
	b.SetPeers([]Peer{a.peer()})
	if !<-done {
		t.Error("not accepted after coming back")
	}
	if a.count("met b") != 2 || b.count("met a") != 2 || b.count("left a") != 1 {
		t.Errorf("events of a: %q, of b: %q", a.events, b.events)
	}
	a.SetPeers(nil) // the numbering starts anew
	a.SetPeers([]Peer{b.peer()})
	a.Send("b", number(2))
	eventually(t, "frame of the new numbering", func() bool { return slices.Equal(b.received("a"), []int{0, 1, 2}) })
}

func TestLeavingGivesUp(t *testing.T) {
	a, _ := pair(t, nil)
	a.fault(map[string]Fault{"b": {Blocked: true}})
	done := make(chan bool, 1)
	f := number(0)
	f.Hold, f.Keep, f.Waiter = true, true, DoneFunc(func(ok bool) { done <- ok })
	a.Send("b", f)
	a.SetPeers(nil)
	if <-done {
		t.Error("accepted by a peer that left")
	}
	f.Waiter = DoneFunc(func(ok bool) { done <- ok })
	if a.Send("b", f); <-done {
		t.Error("accepted by no peer")
	}
}

func TestQueueIsBounded(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.QueueMax = 64 << 10 })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	var refused atomic.Int64
	for i := range 1000 {
		f := number(i)
		f.Body = bytes.Repeat([]byte("x"), 1000)
		f.Hold, f.Waiter = true, DoneFunc(func(ok bool) {
			if !ok {
				refused.Add(1)
			}
		})
		a.Send("b", f)
	}
	s := a.Stats()[0]
	if s.Bytes > 64<<10 || s.Dropped != uint64(refused.Load()) || s.Dropped < 900 {
		t.Errorf("queue %+v, refused %d", s, refused.Load())
	}
	a.onMet = func(name string) { a.Send(name, number(5000)) }
	a.fault(nil)
	eventually(t, "the frames that fitted, then a new meeting", func() bool {
		got := b.received("a")
		return len(got) > 0 && got[len(got)-1] == 5000 && slices.Equal(got[:len(got)-1], upTo(len(got)-1))
	})
}

func TestFlushAndReset(t *testing.T) {
	a, b := pair(t, nil)
	a.Connect("b")
	eventually(t, "up", func() bool { return a.Up("b") })
	for i := range 500 {
		a.Send("b", number(i))
	}
	a.Flush(t.Context())
	if got := b.received("a"); !slices.Equal(got, upTo(500)) {
		t.Errorf("%d frames after Flush", len(got))
	}
	a.Reset("d")
	a.SetPeers([]Peer{b.peer()})
	done := make(chan bool, 1)
	f := number(0)
	f.Waiter = DoneFunc(func(ok bool) { done <- ok })
	if a.Send("b", f); <-done {
		t.Error("accepted in another cluster")
	}
	b.Reset("d")
	know(a, b)
	eventually(t, "frames in the new cluster", func() bool { return slices.Contains(b.received("a")[500:], 0) })
}

func TestOpenRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no secret":   func(c *Config) { c.Secret = nil },
		"no name":     func(c *Config) { c.Name = "" },
		"no listener": func(c *Config) { c.Listener = nil },
	} {
		cfg := Config{Name: "a", NodeID: "i", ClusterID: "c", Secret: []byte("s"), Handler: &node{}}
		change(&cfg)
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(greeting{identity: identity{"c", "n", "i", 7}, nonce: newNonce(), to: "x", stream: 3, next: 9}.append(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, rest, err := parseGreeting(b)
		if err != nil {
			return
		}
		if again, _, err := parseGreeting(g.append(nil)); err != nil || fmt.Sprint(again) != fmt.Sprint(g) {
			t.Errorf("%v became %v, %v (rest %d)", g, again, err, len(rest))
		}
	})
}

func BenchmarkSend(b *testing.B) {
	ln := func() net.Listener { l, _ := net.Listen("tcp", "127.0.0.1:0"); return l }
	x := &node{name: "x", got: map[string][]int{}}
	y := &node{name: "y", got: map[string][]int{}}
	for _, n := range []*node{x, y} {
		l := ln()
		n.addr = l.Addr().String()
		m, err := Open(Config{Name: n.name, NodeID: "id-" + n.name, ClusterID: "c", Secret: []byte("s"), Listener: l, Handler: n})
		if err != nil {
			b.Fatal(err)
		}
		n.Mesh = m
		defer m.Close()
	}
	know(x, y)
	x.Connect("y")
	b.ResetTimer()
	var s sender
	for i := range b.N {
		f := number(i)
		f.Sender = &s
		x.Send("y", f)
	}
	x.Flush(b.Context())
}

// A draining node handles nothing more, and says so, but what it sent arrives.
func TestDrain(t *testing.T) {
	a, b := pair(t, nil)
	a.Connect("b")
	b.Connect("a")
	eventually(t, "both up", func() bool { return a.Up("b") && b.Up("a") })
	for i := range 500 {
		a.Send("b", number(i))
	}
	a.Drain(t.Context())
	if got := b.received("a"); !slices.Equal(got, upTo(500)) {
		t.Errorf("%d frames after Drain", len(got))
	}
	done := make(chan bool, 1)
	f := number(0)
	f.Waiter = DoneFunc(func(ok bool) { done <- ok })
	if b.Send("a", f); <-done {
		t.Error("accepted by a node that ends")
	}
}
