package broker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// slow acknowledges what comes to r one by one, at a pace, until fast is closed, and notes it.
type slow struct {
	*raw
	fast  chan struct{}
	acked atomic.Int64
	done  chan []string // all that came, when it is n messages
}

func (r *raw) slowly(pace time.Duration, n int) *slow {
	s := &slow{raw: r, fast: make(chan struct{}), done: make(chan []string, 1)}
	go func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		var all []string
		for range n {
			select {
			case <-tick.C:
			case <-s.fast:
			}
			r.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
			head, body, err := readPacket(r.br, 1<<28)
			if err != nil || head>>4 != packets.Publish {
				break
			}
			p, _ := decodePublish(head, body, 4, "")
			all = append(all, p.topic+"="+string(p.payload))
			r.nc.Write(appendAck(nil, ack{kind: packets.Puback, id: p.id}, 4))
			s.acked.Add(1)
		}
		s.done <- all
	}()
	return s
}

// flood publishes n messages without waiting, and reports when all are acknowledged.
func (r *raw) flood(topic string, n, size int) (acked <-chan error) {
	done := make(chan error, 1)
	go func() {
		var b []byte
		for i := range n {
			m := &message{topic: topic, payload: []byte(fmt.Sprint(i) + strings.Repeat(" ", size))}
			b = appendPublish(b[:0], m, delivery{qos: 1, id: uint16(i%60000) + 1}, 0, 4)
			if _, err := r.nc.Write(b); err != nil {
				return // so the reader will see
			}
		}
	}()
	go func() {
		for range n {
			if _, _, err := readPacket(r.br, 1<<28); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

func (c *testCluster) queued(i int) int { return c.nodes[i].Stats().Queued }

// A subscriber that is slow, but alive, slows its publishers down, on all nodes; it loses nothing, and disturbs nobody else.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	const n = 6000
	for from, name := range []string{"across nodes", "same node"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			sub := c.raw(1, "slow", true)
			sub.subscribe(1, "t")
			s := sub.slowly(5*time.Millisecond, n)
			other := c.connect(1, "other", nil)
			other.subscribe(1, "ping")
			ping := c.connect(0, "ping", nil)
			acked := c.raw(from, "pub", true).flood("t", n, 0)
			eventually(t, "the queue is long", func() bool { return c.queued(1) > inflightMax+pauseQueue })
			before := s.acked.Load()
			for i := range 20 {
				ping.publish("ping", 1, false, fmt.Sprint(i))
			}
			other.expect(numbers("ping", 20)...)
			if took := s.acked.Load() - before; took > 200 {
				t.Errorf("others were held up for as long as %d messages took", took)
			}
			if q := c.queued(1); q > inflightMax+pauseQueue+2*DefaultReceiveMaximum {
				t.Errorf("%d messages are queued, so nobody waits", q)
			}
			close(s.fast)
			if err := <-acked; err != nil {
				t.Error(err)
			}
			got, want := <-s.done, numbers("t", n)
			if len(got) != n || got[0] != want[0] || got[n-1] != want[n-1] {
				t.Errorf("%d messages came, want %d", len(got), n)
			}
		})
	}
}

// A publisher that is made to wait can connect again at once, and isn't taken for dead as long as it sends in time.
func TestThrottledPublisher(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	sub := c.raw(0, "slow", true)
	sub.subscribe(1, "t")
	s := sub.slowly(25*time.Millisecond, 10000)
	pub := c.rawWith(0, "pub", true, 1)
	acked := pub.flood("t", inflightMax+pauseQueue+50, 100)
	select { // after more than the time that a silent client has
	case err := <-acked:
		if err != nil {
			t.Errorf("publisher was thrown out: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("never acknowledged")
	}
	pub.write([]byte{packets.Pingreq << 4, 0})
	if head, _ := pub.read(); head>>4 != packets.Pingresp {
		t.Errorf("got %x", head)
	}
	pub = c.raw(0, "pub", true)
	pub.flood("t", 500, 100)
	eventually(t, "the queue is long", func() bool { return c.queued(0) > inflightMax+pauseQueue })
	before := s.acked.Load()
	careful := c.raw(0, "careful", true) // has few messages unacknowledged, and hears that it is heard
	for i := range 20 {
		careful.publish("t", "x", 1, uint16(i+1), false)
	}
	careful.write([]byte{packets.Pingreq << 4, 0})
	if head, _ := careful.read(); head>>4 != packets.Pingresp {
		t.Errorf("got %x instead of a PINGRESP", head)
	}
	c.raw(0, "pub", true)
	if took := s.acked.Load() - before; took > 30 {
		t.Errorf("it took as long as %d messages to connect again", took)
	}
	close(s.fast)
	for i := range 20 {
		if id := careful.readAck(packets.Puback); int(id) != i+1 {
			t.Errorf("acknowledged %d, want %d", id, i+1)
		}
	}
}

// However much is published while a node can't be reached, it is kept within bounds, and what is acknowledged arrives.
func TestFullLink(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	sub := c.raw(1, "sub", true)
	sub.subscribe(1, "t")
	const n, size = 450, 100_000
	s := sub.slowly(time.Hour, n)
	close(s.fast)
	c.partition(1)
	acked := c.raw(0, "pub", true).flood("t", n, size)
	link := func() int { return c.nodes[0].Stats().Links[0].Bytes }
	last, same := 0, 0
	eventually(t, "nothing more is queued", func() bool {
		if same++; link() != last {
			last, same = link(), 0
		}
		return last > 0 && same > 50
	})
	if link() > 2<<20 {
		t.Errorf("%d bytes are queued", link())
	}
	c.partition()
	if err := <-acked; err != nil {
		t.Error(err)
	}
	got := <-s.done
	for i, p := range got {
		if strings.TrimRight(p, " ") != fmt.Sprint("t=", i) {
			t.Fatalf("message %d is %.20q", i, p)
		}
	}
	if len(got) != n || c.nodes[0].Stats().Links[0].Dropped != 0 {
		t.Errorf("%d messages came, %+v", len(got), c.nodes[0].Stats())
	}
}

// A subscriber that took nothing for a while is waited for again as soon as it takes something.
func TestStalledThenSlow(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	sub := c.raw(1, "sub", true)
	sub.subscribe(1, "t")
	const n = 4000
	if err := <-c.raw(0, "first", true).flood("t", n, 0); err != nil { // nobody waits for long
		t.Fatal(err)
	}
	s := sub.slowly(5*time.Millisecond, 3*n)
	eventually(t, "it takes something", func() bool { return s.acked.Load() > 10 })
	acked := c.raw(0, "second", true).flood("t", 2*n, 0)
	eventually(t, "it takes more", func() bool { return s.acked.Load() > 100 })
	if q := c.queued(1); q > n+2*DefaultReceiveMaximum {
		t.Errorf("%d messages are queued, so nobody waits", q)
	}
	close(s.fast)
	if err := <-acked; err != nil {
		t.Error(err)
	}
	if got := <-s.done; len(got) != 3*n {
		t.Errorf("%d messages came", len(got))
	}
}
