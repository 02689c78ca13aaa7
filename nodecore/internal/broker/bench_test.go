package broker

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Throughput and latency of one publisher and one subscriber, on one node and on two.

func BenchmarkThroughput(b *testing.B) {
	for _, qos := range []byte{0, 1} {
		for _, to := range []int{0, 1} {
			b.Run(fmt.Sprintf("qos%d/%s", qos, [...]string{"same", "cross"}[to]), func(b *testing.B) { throughput(b, qos, to, true) })
		}
	}
}

// BenchmarkLasting is BenchmarkThroughput with sessions that outlive their connections, so that what they are sent is stored.
func BenchmarkLasting(b *testing.B) {
	for _, to := range []int{0, 1} {
		b.Run([...]string{"same", "cross"}[to], func(b *testing.B) { throughput(b, 1, to, false) })
	}
}

func BenchmarkLatency(b *testing.B) {
	for _, qos := range []byte{0, 1} {
		for _, to := range []int{0, 1} {
			b.Run(fmt.Sprintf("qos%d/%s", qos, [...]string{"same", "cross"}[to]), func(b *testing.B) { latency(b, qos, to) })
		}
	}
}

// throughput publishes with up to 500 messages unacknowledged.
func throughput(b *testing.B, qos byte, to int, clean bool) {
	c := newCluster(b, 2)
	sub, pub := c.raw(to, "sub", clean), c.raw(0, "pub", clean)
	sub.subscribe(qos, "bench/topic")
	payload := make([]byte, 64)
	acked := make(chan error, 1)
	room := make(chan struct{}, 500)
	before := cpu()
	b.ResetTimer()
	go func() {
		if qos > 0 {
			for range b.N {
				if _, _, err := readPacket(pub.br, MaxPacket); err != nil {
					acked <- err
					return
				}
				<-room
			}
		}
		acked <- nil
	}()
	go func() {
		w := bufio.NewWriterSize(pub.nc, 32<<10)
		m := &message{topic: "bench/topic", payload: payload}
		for i := range b.N {
			if qos > 0 {
				select {
				case room <- struct{}{}:
				default:
					w.Flush()
					room <- struct{}{}
				}
			}
			w.Write(appendPublish(nil, m, delivery{qos: qos, id: uint16(i%65000) + 1}, 0, 4))
		}
		w.Flush()
	}()
	drain(b, sub, qos, b.N)
	if err := <-acked; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/msg")
}

// cpu is the processor time that this process, so both nodes and both clients, has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drain reads and acknowledges n messages.
func drain(b *testing.B, sub *raw, qos byte, n int) {
	sub.nc.SetReadDeadline(time.Now().Add(2 * time.Minute))
	var acks []byte
	for range n {
		head, body, err := readPacket(sub.br, MaxPacket)
		if err != nil || head>>4 != packets.Publish {
			b.Fatalf("%x: %v", head, err)
		}
		if qos > 0 {
			p, err := decodePublish(head, body, 4, "")
			if err != nil {
				b.Fatal(err)
			}
			acks = appendAck(acks, ack{kind: packets.Puback, id: p.id}, 4)
			if sub.br.Buffered() == 0 {
				sub.write(acks)
				acks = acks[:0]
			}
		}
	}
}

// latency is from the write of a message to its arrival, one at a time.
func latency(b *testing.B, qos byte, to int) {
	c := newCluster(b, 2)
	sub, pub := c.raw(to, "sub", true), c.raw(0, "pub", true)
	sub.subscribe(qos, "bench/topic")
	m := &message{topic: "bench/topic", payload: make([]byte, 64)}
	times := make([]time.Duration, 0, b.N)
	nodelay(pub.nc, sub.nc)
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		pub.write(appendPublish(nil, m, delivery{qos: qos, id: 1}, 0, 4))
		p := sub.readPublish()
		times = append(times, time.Since(began))
		if qos > 0 {
			sub.ack(packets.Puback, p.id)
			pub.readAck(packets.Puback)
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-µs")
}

func nodelay(all ...net.Conn) {
	for _, nc := range all {
		nc.(*net.TCPConn).SetNoDelay(true)
	}
}
