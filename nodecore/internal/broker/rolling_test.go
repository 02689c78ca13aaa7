package broker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// roamer is a client with a lasting session that connects to whichever node answers, again and again.
type roamer struct {
	c     *testCluster
	id    string
	first int // node to try first

	mu  sync.Mutex
	cl  *client
	all []*client // that there ever were: what comes last may be noted, and acknowledged, late
}

// connected returns the client, connecting it if need be; nil when ctx ends.
func (r *roamer) connected(ctx context.Context, setUp func(*client) error) *client {
	r.mu.Lock()
	cl := r.cl
	r.mu.Unlock()
	if cl != nil {
		select {
		case <-cl.gone:
		default:
			return cl
		}
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := r.first; ; i++ {
		n := r.c.nodes[i%len(r.c.nodes)]
		if nc, err := net.Dial("tcp", n.addr("mqtt")); err == nil {
			cl, err := connectOver(r.c.t, nc, r.id, lasting(false))
			if err == nil && setUp != nil {
				err = setUp(cl)
			}
			r.mu.Lock()
			r.all = append(r.all, cl)
			if err == nil {
				r.cl = cl
				r.mu.Unlock()
				return cl
			}
			r.mu.Unlock()
			nc.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// got is all that came.
func (r *roamer) got() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, cl := range r.all {
		for _, p := range cl.payloads() {
			seen[p] = true
		}
	}
	return seen
}

// All nodes are restarted one after the other while clients publish and subscribe, connecting again wherever they can: what was
// acknowledged arrives.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	sub := &roamer{c: c, id: "sub", first: 1}
	pub := &roamer{c: c, id: "pub", first: 0}
	subscribe := func(cl *client) error {
		_, err := cl.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "t", QoS: 1}}})
		return err
	}
	if sub.connected(ctx, subscribe) == nil || pub.connected(ctx, nil) == nil {
		t.Fatal("not connected")
	}
	stop := make(chan struct{})
	var mu sync.Mutex
	var acked []string
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			cl := pub.connected(ctx, nil)
			if cl == nil {
				t.Error("publisher is not connected")
				return
			}
			pctx, done := context.WithCancel(ctx)
			go func() { // paho waits for its timeout when the connection ends
				select {
				case <-cl.gone:
				case <-pctx.Done():
				}
				done()
			}()
			if _, err := cl.Publish(pctx, &paho.Publish{Topic: "t", QoS: 1, Payload: fmt.Append(nil, i)}); err == nil {
				mu.Lock()
				acked = append(acked, fmt.Sprint("t=", i))
				mu.Unlock()
			}
			done()
		}
	})
	wg.Go(func() { // keeps the subscriber connected
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				sub.connected(ctx, subscribe)
			}
		}
	})
	for i := range 6 {
		before := count()
		eventually(t, "messages are acknowledged", func() bool { return count() > before+30 })
		c.stop(i % 3)
		c.meet()
		c.start(i % 3)
		c.meet()
	}
	close(stop)
	wg.Wait()
	eventually(t, "all that was acknowledged came", func() bool {
		sub.connected(ctx, subscribe)
		got := sub.got()
		return !slices.ContainsFunc(acked, func(m string) bool { return !got[m] })
	})
	t.Logf("%d messages were acknowledged", len(acked))
}
