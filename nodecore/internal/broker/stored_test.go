package broker

import (
	"fmt"
	ossignal "os/signal"
	"slices"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"
)

// What is acknowledged is on the disk of the node that holds it, at that moment.
func TestAcknowledgedIsStored(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		for _, at := range []int{0, 1} {
			t.Run(fmt.Sprintf("qos%d/%s", qos, [...]string{"same", "cross"}[at]), func(t *testing.T) {
				c := newCluster(t, 2)
				sub := c.raw(at, "sub", false)
				sub.subscribe(qos, "t/#")
				sub.write([]byte{packets.Disconnect << 4, 0})
				sub.readEnd()
				pub := c.raw(0, "pub", true)
				const n = 20
				kind := byte(packets.Puback)
				if qos == 2 {
					kind = packets.Pubrec
				}
				for i := range n {
					pub.publish(fmt.Sprint("t/", i), fmt.Sprint(i), qos, uint16(i+1), false)
					pub.readAck(kind)
				}
				c.kill(at)
				c.start(at)
				c.meet()
				sub = c.raw(at, "sub", false)
				for i := range n {
					if p := sub.readPublish(); string(p.payload) != fmt.Sprint(i) {
						t.Fatalf("got %q, want %d", p.payload, i)
					}
				}
			})
		}
	}
}

func TestAcknowledgedRetainedIsStored(t *testing.T) {
	c := newCluster(t, 1)
	pub := c.connect(0, "pub", nil)
	for i := range 10 {
		pub.publish(fmt.Sprint("r/", i), 1, true, "x")
	}
	c.kill(0)
	c.start(0)
	if got := c.nodes[0].Stats().Retained; got != 10 {
		t.Errorf("%d retained messages are left, want 10", got)
	}
}

// once is what a client gets that keeps the rules of QoS 2.
type once struct {
	held map[uint16]bool
	got  []string
}

// receive handles packets until n messages have come, or just what there is to be handled is.
func (o *once) receive(r *raw, n int) {
	r.t.Helper()
	for len(o.got) < n {
		head, body := r.read()
		switch head >> 4 {
		case packets.Publish:
			p, err := decodePublish(head, body, 4, "")
			if err != nil {
				r.t.Fatal(err)
			}
			if !o.held[p.id] {
				o.got = append(o.got, string(p.payload))
			}
			o.held[p.id] = true
			r.ack(packets.Pubrec, p.id)
		case packets.Pubrel:
			a, err := decodeAck(head, body)
			if err != nil {
				r.t.Fatal(err)
			}
			delete(o.held, a.id)
			r.ack(packets.Pubcomp, a.id)
		}
	}
}

// The node of a subscriber is killed amid messages of QoS 2, at any step of any of them; none is lost, and none comes twice.
func TestQoS2IsOnceWhenTheSubscribersNodeIsKilled(t *testing.T) {
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newCluster(t, 2)
			const n = 600
			sub := c.raw(1, "sub", false)
			sub.subscribe(2, "t")
			pub := c.connect(0, "pub", nil)
			sent := make(chan error, 1)
			go func() {
				for i := range n {
					if _, err := pub.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 2, Payload: fmt.Append(nil, i)}); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			o := &once{held: map[uint16]bool{}}
			o.receive(sub, 100+37*round)
			sub.nc.Close()
			c.partition(1) // what is said after the moment of the kill nobody hears
			c.kill(1)
			c.partition()
			c.start(1)
			c.meet()
			sub = c.raw(1, "sub", false)
			if !sub.present {
				t.Fatal("no session present")
			}
			o.receive(sub, n)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			sub.nc.Close()
			sorted := slices.Clone(o.got)
			slices.Sort(sorted)
			if got := len(slices.Compact(sorted)); got != n {
				t.Errorf("%d different messages came, want %d", got, n)
			}
		})
	}
}

// A node that can't store what it accepts says so, and goes on when it can again.
func TestStoreFails(t *testing.T) {
	ossignal.Ignore(syscall.SIGXFSZ)
	defer ossignal.Reset(syscall.SIGXFSZ)
	c := newCluster(t, 2)
	sub := c.raw(0, "sub", false)
	sub.subscribe(1, "t")
	clean := c.raw(1, "clean", true)
	clean.subscribe(1, "u")
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	full := was
	full.Cur = 16
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)
	publish := func(r *raw, topic string, qos, id byte) (reason byte) {
		t.Helper()
		r.send(packets.Publish<<4|qos<<1, text(topic), []byte{0, id, 0, 'x'})
		head, body := r.read()
		if kind := head >> 4; kind != packets.Puback && kind != packets.Pubrec {
			t.Fatalf("%x %x is no acknowledgement", head, body)
		}
		if len(body) > 2 {
			reason = body[2]
		}
		return reason
	}
	for i := range c.nodes {
		pub := c.raw5(i, fmt.Sprint("pub", i), true)
		for qos := byte(1); qos <= 2; qos++ {
			for id := byte(1); id <= 2; id++ {
				if got := publish(pub, "t", qos, 10*qos+id); got != packets.ErrQuotaExceeded.Code {
					t.Errorf("a message of QoS %d for a full disk, sent to node %d, is acknowledged with %#x", qos, i+1, got)
				}
			}
		}
		if got := publish(pub, "u", 1, 99); got != 0 {
			t.Errorf("a message that nobody stores is acknowledged with %#x", got)
		}
	}
	old := c.raw(0, "old", true)
	old.publish("t", "x", 1, 1, false)
	if old.readEnd() != 0 { // MQTT 3.1.1 has no reason codes
		t.Error("the client of an older version is told something")
	}
	late := c.open(0)
	late.send(packets.Connect<<4, connect5("late", false, []byte{packets.PropSessionExpiryInterval, 0, 0, 0, 60}))
	if got := late.readEnd(); got != packets.ErrQuotaExceeded.Code {
		t.Errorf("a session on a full disk is answered with %#x", got)
	}
	if why, n := c.nodes[0].StoreTrouble(), c.nodes[0].Stats().StoreFailures; why == "" || n == 0 {
		t.Errorf("trouble is %q, after %d failures", why, n)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store is written again", func() bool { return c.nodes[0].StoreTrouble() == "" })
	pub := c.raw5(1, "pub", true)
	eventually(t, "the other node takes messages again", func() bool { return publish(pub, "t", 1, 1) == 0 })
}

// finish answers so many PUBRECs, and returns when so many PUBCOMPs have come as well.
func (r *raw) finish(recs, comps uint16) {
	r.t.Helper()
	for recs > 0 || comps > 0 {
		head, body := r.read()
		a, err := decodeAck(head, body)
		if err != nil || a.reason >= 0x80 {
			r.t.Fatalf("%x %x: %v", head, body, err)
		}
		switch {
		case a.kind == packets.Pubrec && recs > 0:
			recs--
			r.ack(packets.Pubrel, a.id)
		case a.kind == packets.Pubcomp && comps > 0:
			comps--
		}
	}
}

// The node of a publisher is killed amid messages of QoS 2, which go to sessions on it and on another node; none is lost, and none
// comes twice.
func TestQoS2IsOnceWhenThePublishersNodeIsKilled(t *testing.T) {
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newCluster(t, 2)
			const n = 300
			subs := []*raw{c.raw(0, "sub0", false), c.raw(1, "sub1", false)}
			for _, s := range subs {
				s.subscribe(2, "t")
			}
			pub := c.raw(0, "pub", false)
			for id := uint16(1); id <= n; id++ {
				pub.publish("t", fmt.Sprint(id), 2, id, false)
			}
			first := uint16(20 * round)
			pub.finish(first, first/2)
			near, far := &once{held: map[uint16]bool{}}, &once{held: map[uint16]bool{}}
			near.receive(subs[0], 17*round)
			pub.nc.Close()
			subs[0].nc.Close()
			c.partition(0)
			c.kill(0)
			c.partition()
			c.start(0)
			c.meet()
			pub = c.raw(0, "pub", false)
			for id := uint16(1); id <= n; id++ {
				if id <= first {
					pub.ack(packets.Pubrel, id)
				} else {
					pub.publish("t", fmt.Sprint(id), 2, id, true)
				}
			}
			pub.finish(n-first, n)
			pub.publish("t", "new", 2, 1, false)
			pub.readAck(packets.Pubrec)
			near.receive(c.raw(0, "sub0", false), n+1)
			far.receive(subs[1], n+1)
			for i, o := range []*once{near, far} {
				sorted := slices.Clone(o.got)
				slices.Sort(sorted)
				if got := len(slices.Compact(sorted)); got != n+1 {
					t.Errorf("subscriber %d got %d different messages, want %d", i, got, n+1)
				}
			}
		})
	}
}

// Retained messages of QoS 2 that go both ways between nodes, and are stored on both, don't wait for each other.
func TestStoredRetainedGoBothWays(t *testing.T) {
	c := newCluster(t, 2)
	const n = 300
	var pubs []*raw
	for i := range c.nodes {
		r := c.raw(i, fmt.Sprint("pub", i), false)
		r.subscribe(1, fmt.Sprint("none/", i))
		pubs = append(pubs, r)
	}
	for id := uint16(1); id <= n; id++ {
		for i, r := range pubs {
			r.write(append([]byte{packets.Publish<<4 | 2<<1 | 1, 8, 0, 3, 'r', '/', byte('0' + i)}, byte(id>>8), byte(id), 'x'))
		}
	}
	for _, r := range pubs {
		r.finish(n, n)
	}
}
