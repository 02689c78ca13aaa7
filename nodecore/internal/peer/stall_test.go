package peer

import (
	"slices"
	"testing"
	"time"
)

// waited sends a frame, and returns how long it was waited for, and whether it was accepted.
func waited(t *testing.T, n *node, to string, f Frame) (took time.Duration, accepted bool) {
	t.Helper()
	done := make(chan bool, 1)
	f.Waiter = DoneFunc(func(ok bool) { done <- ok })
	began := time.Now()
	n.Send(to, f)
	select {
	case accepted = <-done:
	case <-time.After(4 * DefaultHold):
		t.Fatal("waited for without end")
	}
	return time.Since(began), accepted
}

// A peer that hangs, as if it were paused, costs one short wait; then nothing waits for it until it handles frames again. What was
// sent meanwhile arrives then.
func TestPausedPeerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	waited(t, a, "b", number(0))
	wake := make(chan struct{})
	b.on = func(int, Pauser) { <-wake }
	// Whatever is done with it, the connection lasts at most ackTimeout, and is opened anew all the time.
	if took, ok := waited(t, a, "b", number(1)); ok || took < suspectTime/2 || took > 2*suspectTime {
		t.Errorf("first frame: accepted %v after %v", ok, took)
	}
	if took, ok := waited(t, a, "b", number(2)); ok || took > suspectTime/2 {
		t.Errorf("second frame: accepted %v after %v", ok, took)
	}
	if a.Reachable("b") {
		t.Error("taken for reachable")
	}
	held := func(i int) Frame {
		f := number(i)
		f.Hold = true
		return f
	}
	if took, ok := waited(t, a, "b", held(3)); ok || took > answerTime+suspectTime {
		t.Errorf("first held frame: accepted %v after %v", ok, took)
	}
	eventually(t, "the connection is given up", func() bool { return a.Stats()[0].State == "down" })
	for i := range 20 {
		if took, ok := waited(t, a, "b", held(4+i)); ok || took > suspectTime/2 {
			t.Errorf("held frame %d: accepted %v after %v", 4+i, ok, took)
		}
	}
	close(wake)
	eventually(t, "all have arrived", func() bool { return slices.Equal(b.received("a"), upTo(24)) })
	eventually(t, "it is waited for again", func() bool {
		_, ok := waited(t, a, "b", held(24))
		return ok
	})
}

// A process that has acknowledged more than it has stored does not wait for frames that will not come again.
func TestRestartWithOldPosition(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	for i := range 10 {
		waited(t, a, "b", number(i))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := &node{name: "b", stream: a.link("b").stream, seq: 5}
	openNode(t, listen(t, b.addr), again, nil)
	know(a, again)
	f := number(10)
	f.Hold = true
	if _, ok := waited(t, a, "b", f); !ok || !slices.Equal(again.received("a"), []int{10}) {
		t.Errorf("accepted %v, received %v", ok, again.received("a"))
	}
}
