package peer

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// big is a frame of a kilobyte to be held, with a sender.
func big(i int, s *sender, done func(ok bool)) Frame {
	f := number(i)
	f.Body = bytes.Repeat([]byte("x"), 1000)
	f.Hold, f.Waiter = true, DoneFunc(done)
	if s != nil {
		f.Sender = s
	}
	return f
}

// Senders of frames to be held wait for room: nothing is dropped, and not more than is allowed is kept.
func TestSenderWaitsForRoom(t *testing.T) {
	const max = 256 << 10
	a, b := pair(t, func(c *Config) { c.QueueMax = max })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	var sent, accepted atomic.Int64
	go func() {
		for i := range 500 {
			a.Send("b", big(i, &sender{}, func(ok bool) {
				if ok {
					accepted.Add(1)
				}
			}))
			sent.Add(1)
		}
	}()
	eventually(t, "the queue is long", func() bool { return a.Stats()[0].Bytes > max/backpressurePart })
	eventually(t, "the peer is seen to be unreachable", func() bool { return a.Stats()[0].State == "down" })
	if s := a.Stats()[0]; s.Bytes > max/backpressurePart+2000 || sent.Load() > 20 {
		t.Errorf("%d sent, queue %+v", sent.Load(), s)
	}
	a.fault(nil)
	eventually(t, "all accepted", func() bool { return accepted.Load() == 500 })
	if s := a.Stats()[0]; s.Dropped != 0 || !slices.Equal(b.received("a"), upTo(500)) {
		t.Errorf("%d frames came, queue %+v", len(b.received("a")), s)
	}
}

// Nobody waits for room any longer than for the peer, or when there is no point in it.
func TestWaitForRoomEnds(t *testing.T) {
	a, _ := pair(t, func(c *Config) { c.QueueMax, c.Hold = 256<<10, 300*time.Millisecond })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	gone := &sender{ended: make(chan struct{})}
	close(gone.ended)
	for i := range 20 { // at once
		a.Send("b", big(i, gone, func(bool) {}))
	}
	if s := a.Stats()[0]; s.Queued != 20 || s.Dropped != 0 {
		t.Errorf("queue %+v", s)
	}
	done := make(chan bool, 1)
	a.Send("b", big(20, &sender{}, func(ok bool) { done <- ok })) // when the hold is over
	if <-done {
		t.Error("accepted by a peer that is not reached")
	}
}

// A peer that can be reached, but handles nothing, is given up like one that can't.
func TestFlappingIsNoProgress(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.Hold = 300 * time.Millisecond })
	a.Send("b", number(0))
	eventually(t, "first frame", func() bool { return len(b.received("a")) == 1 })
	a.fault(map[string]Fault{"b": {Drop: 1}}) // every frame costs the connection
	done := make(chan bool, 1)
	a.Send("b", big(1, nil, func(ok bool) { done <- ok }))
	select {
	case ok := <-done:
		if ok {
			t.Error("accepted, though it never came")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("never given up")
	}
	a.fault(nil)
	eventually(t, "it is met again after the loss", func() bool { return a.count("met b") == 2 })
}

// A handler can make the senders of frames wait, wherever they are, until it lets them go on or the connection is lost; other
// frames go on meanwhile.
func TestPause(t *testing.T) {
	a, b := pair(t, nil)
	resumes := make(chan func(), 1000)
	b.on = func(i int, p Pauser) {
		if i < 500 && i%5 == 0 {
			resumes <- p.Pause()
			resumes <- p.Pause() // by somebody else
			p.Pause()()          // over before anybody has heard of it
		}
	}
	var s sender
	told := make(chan int64, 1)
	for i := range 600 {
		f := number(i)
		f.Sender = &s
		if i == 0 {
			f.Waiter = DoneFunc(func(bool) { told <- s.pauses.Load() })
		}
		a.Send("b", f)
	}
	if <-told == 0 {
		t.Error("the sender was not told to wait before its frame was done")
	}
	a.Flush(t.Context())
	if got := s.pauses.Load(); got != 100 || s.resumes.Load() != 0 {
		t.Errorf("%d pauses, %d resumes", got, s.resumes.Load())
	}
	if !slices.Equal(b.received("a"), upTo(600)) {
		t.Errorf("got %d frames", len(b.received("a")))
	}
	for range 100 { // of the first 50 frames
		(<-resumes)()
	}
	eventually(t, "half of the pauses are over", func() bool { return s.resumes.Load() == 50 })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	a.Send("b", number(600)) // notices it
	eventually(t, "all pauses are over", func() bool { return s.resumes.Load() == 100 })
	for len(resumes) > 0 {
		(<-resumes)()
	}
}

// What a peer must know is taken however long the queue is; a frame that it would refuse breaks nothing.
func TestMustAndTooLarge(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.QueueMax = 64 << 10 })
	a.fault(map[string]Fault{"b": {Blocked: true}})
	for i := range 200 {
		f := number(i)
		f.Body, f.Must = make([]byte, 1000), true
		a.Send("b", f)
	}
	done := make(chan bool, 1)
	a.Send("b", Frame{Kind: 1, Body: make([]byte, MaxFrame+1), Hold: true, Keep: true, Waiter: DoneFunc(func(ok bool) { done <- ok })})
	if <-done {
		t.Error("accepted, though it is too large")
	}
	a.Send("b", number(200))
	a.fault(nil)
	eventually(t, "all other frames", func() bool { return slices.Equal(b.received("a"), upTo(201)) })
}
