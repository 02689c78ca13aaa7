package peer

import (
	"testing"
	"time"
)

// A peer that handles nothing is taken for unreachable, though there is more to send to it all the time.
func TestHungUnderTraffic(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	wake := make(chan struct{})
	b.on = func(int, Pauser) { <-wake }
	t.Cleanup(func() { close(wake) }) // before the meshes are closed
	done := make(chan bool, 1)
	f := number(0)
	f.Waiter = DoneFunc(func(ok bool) { done <- ok })
	a.Send("b", f)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(4 * ackTimeout)
	for i := 1; ; i++ {
		select {
		case <-tick.C:
			a.Send("b", number(i))
		case ok := <-done:
			if ok {
				t.Error("accepted by a peer that hangs")
			}
			return
		case <-late:
			t.Fatalf("still waited for, state %s", a.Stats()[0].State)
		}
	}
}
