package broker

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"onemore/nodecore/internal/netpoll"
)

// inputSize is how much is read at once.
const inputSize = 8 << 10

var (
	errParked = errors.New("nothing more has come")
	errEnded  = errors.New("the client has ended the connection")
)

// inputs are buffers that no connection uses at the moment.
var inputs = sync.Pool{New: func() any { return new([inputSize]byte) }}

// input is what has come from a client and is not handled yet.
type input struct {
	buf     *[inputSize]byte // nil while nothing is in it
	at, end int
	open    bool // a packet has come in part:
	head    byte
	size    int
	body    []byte // what there is of it
}

// next takes a packet off; ok is false if more must come. body is newly allocated.
func (in *input) next(limit int) (head byte, body []byte, ok bool, err error) {
	if in.buf == nil {
		return 0, nil, false, nil
	}
	if !in.open {
		size, used, err := packetSize(in.buf[in.at:in.end])
		switch {
		case err != nil || used == 0:
			return 0, nil, false, err
		case size > limit:
			return 0, nil, false, packets.ErrPacketTooLarge
		}
		in.open, in.head, in.size, in.body = true, in.buf[in.at], size, make([]byte, 0, min(size, allocAhead))
		in.at += used
	}
	n := min(in.size-len(in.body), in.end-in.at)
	in.body = append(in.body, in.buf[in.at:in.at+n]...)
	in.at += n
	if len(in.body) < in.size {
		return 0, nil, false, nil
	}
	body = in.body
	in.open, in.body = false, nil
	return in.head, body, true, nil
}

// packetSize reads a fixed header; used is its length, 0 if more of it must come.
func packetSize(b []byte) (size, used int, err error) {
	for i := 1; i < len(b); i++ {
		size |= int(b[i]&127) << (7 * (i - 1))
		switch {
		case b[i] < 128:
			return size, i + 1, nil
		case i == 4:
			return 0, 0, packets.ErrMalformedVariableByteInteger
		}
	}
	return 0, 0, nil
}

// read reads once. The rest of a large packet goes where it belongs.
func (in *input) read(r io.Reader) error {
	if in.buf == nil {
		in.buf = inputs.Get().(*[inputSize]byte)
		in.at, in.end = 0, 0
	}
	if in.at > 0 {
		in.end = copy(in.buf[:], in.buf[in.at:in.end])
		in.at = 0
	}
	var n int
	var err error
	if left := in.size - len(in.body); in.open && left >= inputSize {
		if len(in.body) == cap(in.body) { // what has come says that the rest will
			in.body = slices.Grow(in.body, min(left, 3*cap(in.body)))
		}
		n, err = r.Read(in.body[len(in.body):min(cap(in.body), in.size)])
		in.body = in.body[:len(in.body)+n]
	} else {
		n, err = r.Read(in.buf[in.end:])
		in.end += n
	}
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// release gives the buffer back if nothing is in it.
func (in *input) release() {
	if in.buf != nil && in.at == in.end && !in.open {
		inputs.Put(in.buf)
		in.buf = nil
	}
}

// kind is the type of the packet that comes first; 0 if it has begun before.
func (in *input) kind() byte {
	if in.open || in.at == in.end {
		return 0
	}
	return in.buf[in.at] >> 4
}

// reading is the reading half of a connection.
type reading struct {
	c       *conn
	polled  bool // the connection is one of the poller
	in      input
	turn    *turn                // of the first packet that came after a pause; nil if it needs none
	later   atomic.Pointer[turn] // of what came while the connection was busy
	quiet   atomic.Bool          // the last packet was none of many: one that comes while it is handled needs a turn
	readErr error                // of the read after a pause
	state   atomic.Int32         // see below
}

// States of reading, of a connection of the poller.
const (
	parked int32 = iota // nobody reads; the poller tells when there is something
	active              // somebody reads
	again               // and there may be more since
)

// fill reads more. If nothing has come, a connection of the poller is parked.
func (r *reading) fill() error {
	r.endTurn()
	if r.c.keepalive > 0 { // the packets before may have had to wait long
		r.c.nc.SetReadDeadline(time.Now().Add(r.c.keepalive))
	}
	err := r.in.read(r.c.nc)
	if !errors.Is(err, netpoll.ErrAgain) {
		if !r.polled && r.in.kind() == packets.Publish { // the scheduler runs the last one first of those that become readable at once
			runtime.Gosched()
		}
		return err
	}
	r.in.release()
	if r.state.CompareAndSwap(active, parked) {
		return errParked
	}
	r.state.Store(active)
	r.turn = r.later.Swap(nil)
	return nil
}

// readable is called by the poller: there may be something to read, and nobody reads if the connection is parked. What came first on
// any connection is read first, and has its turn first.
func (r *reading) readable() {
	for !r.postpone() {
		if !r.state.CompareAndSwap(parked, active) {
			continue
		}
		r.readErr = r.in.read(r.c.nc)
		if !errors.Is(r.readErr, netpoll.ErrAgain) {
			r.turn = r.c.b.server.turns.next(r.in.kind())
			r.c.b.server.workers.run(task{r.c, false})
			return
		}
		r.in.release()
		if r.state.CompareAndSwap(active, parked) {
			return
		}
		r.state.Store(parked) // there may be something since
	}
}

// postpone tells those who read, if somebody does, that there may be more.
func (r *reading) postpone() bool {
	switch r.state.Load() {
	case parked:
		return false
	case again:
		return true
	}
	if r.quiet.Load() {
		r.replaceLater(r.c.b.server.turns.next(unread))
	}
	if r.state.CompareAndSwap(active, again) {
		return true
	}
	r.replaceLater(nil)
	return false
}

func (r *reading) replaceLater(t *turn) {
	if old := r.later.Swap(t); old != nil {
		old.end()
	}
}

// read handles what has come on a connection of the poller.
func (r *reading) read() {
	err := r.readErr
	if err == nil {
		err = r.c.handle()
	}
	if err != errParked {
		r.c.finish(err)
		r.c.b.server.accepting.Done()
	}
}

// endTurn lets those go on that came after the packet; it may have no turn.
func (r *reading) endTurn() {
	if r.turn != nil {
		r.turn.end()
		r.turn = nil
	}
}
