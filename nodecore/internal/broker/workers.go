package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// workersKept is how many goroutines wait for work.
const workersKept = 32

// task is what a worker does: it reads, or writes, on a connection.
type task struct {
	c     *conn
	write bool
}

// workers do what is to be done on connections. Some are kept for the next task, whose stacks have grown already.
type workers struct {
	wg sync.WaitGroup

	mu     sync.Mutex // guards what follows
	idle   []chan task
	closed bool
}

// run has a task done. It doesn't wait.
func (ws *workers) run(t task) {
	ws.mu.Lock()
	n := len(ws.idle)
	if n == 0 {
		ws.mu.Unlock()
		ws.wg.Go(func() { ws.work(t) })
		return
	}
	next := ws.idle[n-1]
	ws.idle = ws.idle[:n-1]
	ws.mu.Unlock()
	next <- t
}

func (ws *workers) work(t task) {
	next := make(chan task, 1)
	for ok := true; ok; {
		if t.write {
			t.c.write()
		} else {
			t.c.read()
		}
		t = task{}
		ws.mu.Lock()
		if ws.closed || len(ws.idle) == workersKept {
			ws.mu.Unlock()
			return
		}
		ws.idle = append(ws.idle, next)
		ws.mu.Unlock()
		t, ok = <-next
	}
}

// close returns when all workers have ended. There must be no more to do.
func (ws *workers) close() {
	ws.mu.Lock()
	ws.closed = true
	for _, next := range ws.idle {
		close(next)
	}
	ws.idle = nil
	ws.mu.Unlock()
	ws.wg.Wait()
}

// turnTime is how long a packet waits at most for those that came before it on other connections.
const turnTime = 100 * time.Millisecond

// turns keep the order between connections: a PUBLISH that comes after a SUBSCRIBE on another connection is handled after it, and the
// other way round. Packets of one kind that come one after another have one turn together, since they need no order.
type turns struct {
	mu   sync.Mutex // guards what follows
	last *turn
	kind byte // what the last turn is for: packets.Publish, Subscribe (UNSUBSCRIBE, too), or unread
}

// unread is the kind of a packet that has come while its connection is busy with the one before. It may be any.
const unread byte = 0xff

// turn is for some packets. It ends when they are handled, as far as others could notice.
type turn struct {
	before atomic.Pointer[turn] // nil once it has ended
	open   atomic.Int32         // packets, and one while more may come
	ended  chan struct{}
}

// next returns the turn of a packet that has just come; nil if it needs none.
func (ts *turns) next(kind byte) *turn {
	switch kind {
	case packets.Publish, packets.Subscribe, unread:
	case packets.Unsubscribe:
		kind = packets.Subscribe
	default:
		return nil
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.last == nil || ts.kind != kind || kind == unread {
		t := &turn{ended: make(chan struct{})}
		t.open.Store(1)
		if ts.last != nil {
			t.before.Store(ts.last)
			ts.last.end()
		}
		ts.last, ts.kind = t, kind
	}
	ts.last.open.Add(1)
	return ts.last
}

func (t *turn) end() {
	if t.open.Add(-1) == 0 {
		close(t.ended)
	}
}

// await returns when the turn before has ended, or takes too long: it may have to wait for something else.
func (t *turn) await() {
	before := t.before.Load()
	if before == nil {
		return
	}
	select {
	case <-before.ended:
	default:
		late := time.NewTimer(turnTime)
		defer late.Stop()
		select {
		case <-before.ended:
		case <-late.C:
		}
	}
	t.before.Store(nil)
}
