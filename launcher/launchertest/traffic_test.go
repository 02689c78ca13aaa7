package launchertest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"

	"onemore/launcher/launchertest"
)

const patience = time.Minute // for what must come, on a busy machine

// TestSoakPartition cuts a node off under QoS 1 traffic, again and again. What the majority acknowledged reaches all of its
// subscribers, and after each healing all nodes have the same retained messages soon.
func TestSoakPartition(t *testing.T) {
	c := launchertest.Up(t, 3, launchertest.Options{})
	var subs []*subscriber
	for _, n := range c.Nodes()[:2] {
		subs = append(subs, subscribe(t, n.Addr("mqtt"), fmt.Sprint("sub", n.Index), "t/#", "majority/#"))
	}
	subs = append(subs, subscribe(t, c.Node(3).Addr("mqtt"), "sub3", "t/#"))
	traffic, stop := context.WithCancel(t.Context())
	defer stop()
	own := publish(traffic, t, c.Node(1).Addr("mqtt"), "majority/1") // nobody who is cut off wants it
	pubs := []*publisher{own}
	for _, n := range c.Nodes() {
		pubs = append(pubs, publish(traffic, t, n.Addr("mqtt"), fmt.Sprint("t/", n.Index)))
	}
	for round := range partitions {
		c.Partition([]int{1, 2}, []int{3})
		settled := retain(t, c, round)
		pass(t, partitionLasts)
		before := own.count()
		eventually(t, "the majority goes on", func() error { return more(own.count(), before) })
		c.Heal()
		healed := time.Now()
		if err := settled(); err != nil {
			t.Fatal(err)
		}
		sameRetained(t, c)
		took := time.Since(healed)
		t.Logf("round %d: the same retained messages on all nodes %v after the healing", round, took)
		if took > retainedWithin {
			t.Errorf("round %d: that took %v, want %v", round, took, retainedWithin)
		}
	}
	stop()
	for _, p := range pubs {
		acked := p.wait(t)
		t.Logf("%s: %d acknowledged", p.topic, len(acked))
		if p.topic == "t/3" {
			continue
		}
		for _, s := range subs {
			if p != own || s.name != "sub3" {
				eventually(t, s.name+" has all of "+p.topic+" that was acknowledged", func() error { return s.missing(acked) })
			}
		}
	}
}

// TestSoakRollingRestart restarts one node after the other under QoS 1 traffic of clients that connect again. No message that
// was acknowledged is lost.
func TestSoakRollingRestart(t *testing.T) {
	c := launchertest.Up(t, 3, launchertest.Options{})
	var subs []*subscriber
	traffic, stop := context.WithCancel(t.Context())
	defer stop()
	for _, n := range c.Nodes() {
		subs = append(subs, subscribe(t, n.Addr("mqtt"), fmt.Sprint("sub", n.Index), "t/#"))
	}
	var pubs []*publisher
	for _, n := range c.Nodes() {
		pubs = append(pubs, publish(traffic, t, n.Addr("mqtt"), fmt.Sprint("t/", n.Index)))
	}
	for range rollings {
		for _, p := range pubs {
			before := p.count()
			eventually(t, p.topic+" is published", func() error { return more(p.count(), before) })
		}
		c.RollingRestart()
	}
	for _, p := range pubs {
		before := p.count()
		eventually(t, p.topic+" is published again", func() error { return more(p.count(), before) })
	}
	stop()
	sent := map[string]bool{}
	for _, p := range pubs {
		acked := p.wait(t)
		t.Logf("%s: %d acknowledged", p.topic, len(acked))
		maps.Copy(sent, acked)
	}
	for _, s := range subs {
		eventually(t, s.name+" has all that was acknowledged", func() error { return s.missing(sent) })
	}
}

func more(now, before int) error {
	if now > before {
		return nil
	}
	return fmt.Errorf("%d acknowledged, as before", now)
}

// options are those of a client that keeps its session and connects again.
func options(addr, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetCleanSession(false).SetAutoReconnect(true).
		SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(100 * time.Millisecond).
		SetKeepAlive(5 * time.Second).SetOrderMatters(true)
}

func connect(t *testing.T, o *mqtt.ClientOptions) mqtt.Client {
	t.Helper()
	cl := mqtt.NewClient(o)
	if err := done(cl.Connect()); err != nil {
		t.Fatalf("connect %s: %v", o.ClientID, err)
	}
	t.Cleanup(func() { cl.Disconnect(0) })
	return cl
}

func done(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return errors.New("no answer")
	}
	return token.Error()
}

// subscriber notes what arrives.
type subscriber struct {
	name string
	mu   sync.Mutex
	got  map[string]bool
}

func subscribe(t *testing.T, addr, id string, filters ...string) *subscriber {
	t.Helper()
	s := &subscriber{name: id, got: map[string]bool{}}
	take := func(_ mqtt.Client, m mqtt.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got[string(m.Payload())] = true
	}
	o := options(addr, id).SetDefaultPublishHandler(take) // what was kept for it may come before it subscribes again
	cl := connect(t, o)
	for _, filter := range filters {
		if err := done(cl.Subscribe(filter, 1, take)); err != nil {
			t.Fatalf("subscribe %s: %v", id, err)
		}
	}
	return s
}

func (s *subscriber) missing(want map[string]bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost []string
	for p := range want {
		if !s.got[p] {
			lost = append(lost, p)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d are missing, such as %q", len(lost), len(want), lost[0])
}

// publisher sends one message after the other and notes what was acknowledged.
type publisher struct {
	topic string
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]bool
}

func publish(ctx context.Context, t *testing.T, addr, topic string) *publisher {
	t.Helper()
	p := &publisher{topic: topic, acked: map[string]bool{}}
	cl := connect(t, options(addr, "pub "+topic))
	p.wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			payload := fmt.Sprintf("%s %d", topic, i)
			token := cl.Publish(topic, 1, false, payload)
			select {
			case <-token.Done():
			case <-ctx.Done():
				return
			}
			if token.Error() == nil {
				p.mu.Lock()
				p.acked[payload] = true
				p.mu.Unlock()
			}
		}
	})
	return p
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// wait returns what was acknowledged once the publisher has stopped.
func (p *publisher) wait(t *testing.T) map[string]bool {
	t.Helper()
	p.wg.Wait()
	if len(p.acked) == 0 {
		t.Errorf("nothing on %s was acknowledged", p.topic)
	}
	return p.acked
}

// retain publishes retained messages on both sides of a partition, to the same topics and to different ones. The function
// that it returns waits until they are acknowledged.
func retain(t *testing.T, c *launchertest.Cluster, round int) func() error {
	t.Helper()
	var tokens []mqtt.Token
	for _, i := range []int{1, 3} {
		cl := connect(t, options(c.Node(i).Addr("mqtt"), fmt.Sprintf("retain %d %d", i, round)))
		for k := range 10 {
			tokens = append(tokens, cl.Publish(fmt.Sprint("r/both/", k), 1, true, fmt.Sprintf("%d of node %d", round, i)))
			tokens = append(tokens, cl.Publish(fmt.Sprintf("r/%d/%d", i, k), 1, true, fmt.Sprint(round)))
		}
	}
	return func() error {
		for _, token := range tokens {
			if err := done(token); err != nil {
				return fmt.Errorf("publish a retained message: %w", err)
			}
		}
		return nil
	}
}

// sameRetained returns when every node has the same retained messages.
func sameRetained(t *testing.T, c *launchertest.Cluster) {
	t.Helper()
	eventually(t, "the same retained messages on all nodes", func() error {
		var first map[string]string
		for _, n := range c.Nodes() {
			now, err := retained(n.Addr("mqtt"))
			if err != nil {
				return err
			}
			if first == nil {
				first = now
			}
			if diff := cmp.Diff(first, now); diff != "" || len(now) != 30 {
				return fmt.Errorf("node 1 has %v, node %d %v: %s", slices.Sorted(maps.Keys(first)), n.Index, slices.Sorted(maps.Keys(now)), diff)
			}
		}
		return nil
	})
}

// retained asks a node for all of its retained messages: those that come before the one sent last.
func retained(addr string) (map[string]string, error) {
	got := map[string]string{}
	end := make(chan struct{}, 1)
	id := fmt.Sprint("look ", addr)
	cl := mqtt.NewClient(options(addr, id).SetCleanSession(true).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		if m.Topic() == "end/"+id {
			end <- struct{}{}
			return
		}
		got[m.Topic()] = string(m.Payload())
	}))
	if err := done(cl.Connect()); err != nil {
		return nil, err
	}
	defer cl.Disconnect(0)
	for _, filter := range []string{"r/#", "end/" + id} {
		if err := done(cl.Subscribe(filter, 0, nil)); err != nil {
			return nil, err
		}
	}
	if err := done(cl.Publish("end/"+id, 0, false, "")); err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-end:
		return got, nil
	case <-timer.C:
		return nil, fmt.Errorf("%s sends nothing", addr)
	}
}

// pass lets time go by: how long a fault lasts is what is tried.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// eventually fails the test with the last reason when what is wanted does not come.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}
