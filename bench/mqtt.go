package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	throughputMessages = 30000
	latencyMessages    = 1500
	payload            = 64   // bytes
	inFlight           = 1000 // published and not yet delivered, so that nobody's queue overflows
)

// mqtt compares one publisher to one subscriber across two nodes with the same on one node.
func mqtt(ctx context.Context, b *bench) (rows []row, err error) {
	if _, err := b.onemore(ctx, "up", "3", "--base", "auto", "-q"); err != nil {
		return nil, err
	}
	defer func() {
		if _, derr := b.onemore(context.WithoutCancel(ctx), "down", "-q"); err == nil {
			err = derr
		}
	}()
	st, err := b.status(ctx)
	if err != nil {
		return nil, err
	}
	one, two := st.Nodes[0].Listeners["mqtt"], st.Nodes[1].Listeners["mqtt"]
	for qos := range byte(2) {
		same, cross, err := compare(ctx, one, two, qos, 2*b.runs)
		if err != nil {
			return rows, err
		}
		rows = append(rows,
			row{fmt.Sprintf("MQTT QoS %d across nodes, throughput", qos), rate(cross.total), rate(same.total) + " on one node",
				fmt.Sprintf("%.2f", float64(same.total)/float64(cross.total)), "≥ 0.60 ×", float64(same.total) >= 0.6*float64(cross.total)},
			atMostMicro(fmt.Sprintf("MQTT QoS %d across nodes, p50", qos), cross.p50, same.p50))
	}
	return rows, nil
}

func rate(total time.Duration) string {
	return fmt.Sprintf("%.0f /s", throughputMessages/total.Seconds())
}

func atMostMicro(what string, measured, reference time.Duration) row {
	r := atMost(what, measured, reference, "", 2.5)
	r.measured, r.reference = strconv.FormatInt(measured.Microseconds(), 10)+" µs", strconv.FormatInt(reference.Microseconds(), 10)+" µs on one node"
	return r
}

// flow is what was measured of one way through the cluster.
type flow struct{ total, p50 time.Duration }

// compare measures both ways in turn and returns the medians.
func compare(ctx context.Context, one, two string, qos byte, rounds int) (same, cross flow, err error) {
	var flows [2][]flow
	for round := range rounds + 1 {
		for i, to := range []string{one, two} {
			f, err := measureFlow(ctx, one, to, qos)
			if err != nil {
				return same, cross, err
			}
			if round > 0 {
				flows[i] = append(flows[i], f)
			}
		}
	}
	return middle(flows[0]), middle(flows[1]), nil
}

func middle(fs []flow) flow {
	var totals, halves []time.Duration
	for _, f := range fs {
		totals, halves = append(totals, f.total), append(halves, f.p50)
	}
	return flow{median(totals), median(halves)}
}

// measureFlow sends through one publisher at from and one subscriber at to: first as many as go, then one at a time.
func measureFlow(ctx context.Context, from, to string, qos byte) (flow, error) {
	topic := "bench/" + strconv.FormatInt(time.Now().UnixNano(), 36)
	sub, err := dial(ctx, to)
	if err != nil {
		return flow{}, err
	}
	defer sub.close()
	pub, err := dial(ctx, from)
	if err != nil {
		return flow{}, err
	}
	defer pub.close()
	if err := sub.subscribe(topic, qos); err != nil {
		return flow{}, err
	}
	if err := reach(ctx, pub, sub, topic); err != nil {
		return flow{}, err
	}
	total, err := throughput(ctx, pub, sub, topic, qos)
	if err != nil {
		return flow{}, err
	}
	p50, err := latency(ctx, pub, sub, topic, qos)
	return flow{total, p50}, err
}

// reach publishes until something arrives: a subscription takes a moment to be known on the other node. Then it waits for
// all of it.
func reach(ctx context.Context, pub, sub *client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := pub.publish(topic, 0, []byte("are you there?")); err != nil {
			return err
		}
		if err := pub.flush(); err != nil {
			return err
		}
		select {
		case <-sub.arrived:
			return drain(ctx, pub, sub, topic)
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nothing arrives from the other node: %w", context.Cause(ctx))
		}
	}
}

// drain publishes a last word and takes everything up to it.
func drain(ctx context.Context, pub, sub *client, topic string) error {
	const last = "last"
	if err := pub.publish(topic, 0, []byte(last)); err != nil {
		return err
	}
	if err := pub.flush(); err != nil {
		return err
	}
	for {
		m, err := sub.next(ctx)
		if err != nil {
			return err
		}
		if string(m) == last {
			return nil
		}
	}
}

// throughput is the time for throughputMessages from the first publish to the last arrival.
func throughput(ctx context.Context, pub, sub *client, topic string, qos byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("messages were lost"))
	defer cancel()
	window := make(chan struct{}, inFlight)
	sent := make(chan error, 1)
	begin := time.Now()
	go func() { sent <- sendAll(ctx, pub, window, topic, qos) }()
	var err error
	for range throughputMessages {
		if _, err = sub.next(ctx); err != nil {
			cancel()
			break
		}
		<-window
	}
	took := time.Since(begin)
	if serr := <-sent; err == nil {
		err = serr
	}
	return took, err
}

func sendAll(ctx context.Context, pub *client, window chan struct{}, topic string, qos byte) error {
	data := make([]byte, payload)
	for range throughputMessages {
		select {
		case window <- struct{}{}:
		default:
			if err := pub.flush(); err != nil {
				return err
			}
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := pub.publish(topic, qos, data); err != nil {
			return err
		}
	}
	return pub.flush()
}

// latency is the median time from a publish to its arrival, with nothing else under way.
func latency(ctx context.Context, pub, sub *client, topic string, qos byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("a message was lost"))
	defer cancel()
	data := make([]byte, payload)
	times := make([]time.Duration, 0, latencyMessages)
	for range latencyMessages {
		begin := time.Now()
		if err := pub.publish(topic, qos, data); err != nil {
			return 0, err
		}
		if err := pub.flush(); err != nil {
			return 0, err
		}
		if _, err := sub.next(ctx); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
